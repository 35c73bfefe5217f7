import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** What the search page may load: its own files, the service's answers, and pictures it made itself. Nothing inline, nothing from elsewhere. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** Where `npm run build` puts the page, seen from the compiled file. */
const PAGE_FOLDER = new URL('../../../page/', import.meta.url);

/** The search page as GET / answers it to a browser. */
export type Page = { readonly html: Buffer; readonly etag: string };

/** The built page, or undefined where it was not built: the API works without. */
export async function readPage(): Promise<Page | undefined> {
  try {
    const html = await readFile(new URL('index.html', PAGE_FOLDER));
    return { html, etag: `"${createHash('sha256').update(html).digest('base64url').slice(0, 22)}"` };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** True for a browser that opens a page; programs, which take anything or JSON, get the JSON as ever. */
export function wantsPage({ headers }: FastifyRequest): boolean {
  return /\btext\/html\b/i.test(headers.accept ?? '');
}

/** Sends the page. Its files have hashed names, so only the page itself is asked for anew. */
export function sendPage(request: FastifyRequest, reply: FastifyReply, { html, etag }: Page): FastifyReply {
  reply.header('content-security-policy', PAGE_POLICY).header('cache-control', 'no-cache').header('etag', etag);
  if (request.headers['if-none-match']?.includes(etag)) return reply.code(304).send();
  return reply.type('text/html; charset=utf-8').send(html);
}

/** The files of the page under /assets, open to all: they hold no data. Names change with content, so they are kept for a year. */
export const pageRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, access: 'open' };
  });
  await app.register(fastifyStatic, {
    root: fileURLToPath(new URL('assets/', PAGE_FOLDER)),
    prefix: '/assets/',
    decorateReply: false,
    index: false,
    wildcard: false, // Every file is a route of its own: no path from a request ever meets the disk.
    preCompressed: true,
    immutable: true,
    maxAge: '365d',
  });
};
