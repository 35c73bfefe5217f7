import { readFile } from 'node:fs/promises';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { etagOf, isNotModified } from '../http-headers.js';

/** Written by `npm run build`; relative to the compiled file. */
const SCRIPT = new URL('../../../page/likeness-search.js', import.meta.url);
/** Host pages use the stable name: browsers check for a newer script once an hour. */
const CACHE_CONTROL = 'public, max-age=3600';
/** Compressed files beside the script, best first. */
const ENCODINGS = [
  { name: 'br', ending: '.br' },
  { name: 'gzip', ending: '.gz' },
] as const;

/**
 * GET /likeness-search.js: the embeddable search box, open to pages of all origins. No route where it was not built.
 */
export const elementRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const script = await readIfBuilt(SCRIPT);
  if (script === undefined) return;
  const files = await Promise.all(
    ENCODINGS.map(async ({ name, ending }) => ({ name, bytes: await readIfBuilt(new URL(SCRIPT + ending)) })),
  );
  app.get('/likeness-search.js', { config: { access: 'open' }, schema: { hide: true } }, async (request, reply) => {
    const accepted = String(request.headers['accept-encoding'] ?? '')
      .split(',')
      .map((encoding) => encoding.trim().toLowerCase())
      .filter((encoding) => !/;\s*q=0(\.0*)?$/.test(encoding))
      .map((encoding) => encoding.replace(/;.*/, ''));
    const file = files.find(({ name, bytes }) => bytes !== undefined && accepted.includes(name));
    const bytes = file?.bytes ?? script;
    reply
      .header('cross-origin-resource-policy', 'cross-origin')
      .header('cache-control', CACHE_CONTROL)
      .header('vary', 'accept-encoding');
    if (isNotModified(request, reply, etagOf(bytes))) return reply.send();
    if (file !== undefined) reply.header('content-encoding', file.name);
    return reply.type('text/javascript; charset=utf-8').send(bytes);
  });
};

async function readIfBuilt(path: URL): Promise<Buffer | undefined> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
