import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

/** Where `npm run build` puts the script, seen from the compiled file. */
const SCRIPT = new URL('../../../page/likeness-search.js', import.meta.url);
/** Its name lasts, so that host pages need no change: they look for a newer one once an hour. */
const CACHE_CONTROL = 'public, max-age=3600';

/** GET /likeness-search.js, the embeddable search box, open to all and to pages of other origins; it holds no data. Absent where it was not built. */
export const elementRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const script = await readFile(SCRIPT).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (script === undefined) return;
  const etag = `"${createHash('sha256').update(script).digest('base64url').slice(0, 22)}"`;
  app.get('/likeness-search.js', { config: { access: 'open' }, schema: { hide: true } }, async (request, reply) => {
    reply.header('cross-origin-resource-policy', 'cross-origin').header('cache-control', CACHE_CONTROL).header('etag', etag);
    if (request.headers['if-none-match']?.includes(etag)) return reply.code(304).send();
    return reply.type('text/javascript; charset=utf-8').send(script);
  });
};
