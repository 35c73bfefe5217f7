import { readSettings } from '../config.js';

/** Starts the service and leaves it running until SIGTERM or SIGINT. Resolves to undefined: the process lives on. */
export async function runServe(flags: { readonly [name: string]: unknown }): Promise<undefined> {
  const settings = readSettings(flags);
  const [{ letHeapGrow }, { startServer }] = await Promise.all([import('../server/heap-growth.js'), import('../server/serve.js')]);
  letHeapGrow();
  const server = await startServer(settings);
  server.stopOnSignals();
}
