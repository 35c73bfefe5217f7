import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { etagOf, isNotModified } from '../http-headers.js';

/** The search page loads its own files, the service's responses, and pictures that it made itself; nothing inline. */
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

/** Written by `npm run build`; relative to the compiled file. */
const PAGE_FOLDER = new URL('../../../page/', import.meta.url);

export type Page = { readonly html: Buffer; readonly etag: string };

/** The page, or undefined where it was not built: the API works without. */
export async function readPage(): Promise<Page | undefined> {
  try {
    const html = await readFile(new URL('index.html', PAGE_FOLDER));
    return { html, etag: etagOf(html) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** True for a browser that opens a page. Programs accept anything or JSON, and get JSON. */
export function wantsPage({ headers }: FastifyRequest): boolean {
  return /\btext\/html\b/i.test(headers.accept ?? '');
}

/** Sends the page. Its files have hashed names, so only the page itself is revalidated. */
export function sendPage(request: FastifyRequest, reply: FastifyReply, { html, etag }: Page): FastifyReply {
  reply.header('content-security-policy', PAGE_POLICY).header('cache-control', 'no-cache');
  if (isNotModified(request, reply, etag)) return reply.send();
  return reply.type('text/html; charset=utf-8').send(html);
}

/** The files of the page under /assets, open to all, since they hold no data. Their names change with their content. */
export const pageRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, access: 'open' };
  });
  await app.register(fastifyStatic, {
    root: fileURLToPath(new URL('assets/', PAGE_FOLDER)),
    prefix: '/assets/',
    decorateReply: false,
    index: false,
    wildcard: false, // one route per file: no path of a request is looked up on the disk
    preCompressed: true,
    immutable: true,
    maxAge: '365d',
  });
};
