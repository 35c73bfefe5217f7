import { randomBytes } from 'node:crypto';
import { readServiceAddress, readSettings } from '../config.js';

/** Flags that say which service a client command speaks to. */
export type ServiceFlags = {
  readonly url?: string;
  readonly apiKey?: string;
  readonly collection: string;
  readonly data?: string;
  readonly model?: string;
  readonly device?: string;
};

/** A service to speak to, and what to do when the command is done with it. */
export type OpenedService = {
  readonly address: { readonly url: string; readonly apiKey: string | undefined; readonly collection: string };
  close(): Promise<void>;
};

/**
 * The running service at --url, or, with --data, one that lives for the length of the command on a free loopback port under a key that
 * nobody else knows. So every entrance is the same entrance, with the same limits and checks. Throws CATALOGUE_LOCKED where a service
 * already runs on the folder.
 */
export async function openService(flags: ServiceFlags): Promise<OpenedService> {
  const { collection, data, model, device } = flags;
  if (data === undefined) return { address: { ...readServiceAddress(flags), collection }, close: async () => {} };
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
  return { address: { url: server.url, apiKey, collection }, close: () => server.close() };
}
