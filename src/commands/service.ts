import { randomBytes } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { type ClientOptions, createClient, type LikenessClient } from '../client/client.js';
import { readServiceAddress, readSettings } from '../config.js';
import { requireNativeModules } from '../native-modules.js';

/** Starts the service and leaves it running until SIGTERM or SIGINT. Resolves to undefined: the process lives on. */
export async function runServe(flags: { readonly [name: string]: unknown }): Promise<undefined> {
  const settings = readSettings(flags, undefined, (warning) => console.error(`likeness: ${warning}`));
  // Let the heap treble between full collections: a service makes little garbage, and V8's default marks all live
  // objects every second. A search then takes 0.95 of the processor time.
  setFlagsFromString('--heap-growing-percent=200');
  const { startServer } = await import('../server/serve.js');
  const server = await startServer(settings);
  server.stopOnSignals();
}

/** Flags that name the service of a client command. */
export type ServiceFlags = {
  readonly url?: string;
  readonly apiKey?: string;
  readonly collection: string;
  readonly data?: string;
  readonly model?: string;
  readonly device?: string;
};

/** A client of the service, to be closed at the end of the command. */
type OpenedService = { readonly client: LikenessClient; close(): Promise<void> };

/**
 * A client of the running service at --url or, with --data, of a service that runs for the length of the command on a
 * free loopback port with a random key. Thus both have the same limits and checks. Throws CATALOGUE_LOCKED where a
 * service runs on the folder.
 */
export async function openService(flags: ServiceFlags, retry: ClientOptions['retry']): Promise<OpenedService> {
  const { data, model, device } = flags;
  const options = retry === undefined ? {} : { retry };
  if (data === undefined)
    return { client: createClient({ ...readServiceAddress(flags), ...options }), close: async () => {} };
  requireNativeModules();
  const apiKey = randomBytes(24).toString('base64url');
  const settings = readSettings({
    data,
    model,
    device,
    host: '127.0.0.1',
    port: 0,
    metricsPort: 0,
    apiKeys: `admin:${apiKey}`,
    apiKeysFile: '',
    rateLimit: 0,
    logLevel: 'warn',
  });
  const { startServer } = await import('../server/serve.js');
  const server = await startServer(settings);
  return { client: createClient({ url: server.url, apiKey, ...options }), close: () => server.close() };
}
