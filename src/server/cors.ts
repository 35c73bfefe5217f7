/**
 * Web pages of other origins: none by default, exact ones by setting. Browsers ask (CORS); this answers. Keys travel in
 * headers only, so no cookie is ever allowed.
 */
import cors from '@fastify/cors';
import { SearchError } from '../errors.js';
import type { App } from './server-context.js';

const ANY = '*';
const METHODS = ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE'];
const REQUEST_HEADERS = ['content-type', 'x-api-key', 'authorization', 'if-none-match'];
const ANSWER_HEADERS = ['x-request-id', 'retry-after', 'location', 'etag', 'content-disposition'];
const PREFLIGHT_SECONDS = 600;

/**
 * Origins from the setting's text: exact ones (`https://shop.example`), or `*`. Throws INVALID_SETTINGS for anything
 * else, and for `*` without keys, where any page that a user of this machine opens could read and change
 * the collection.
 */
export function parseOrigins(text: string, hasKeys: boolean): readonly string[] {
  const origins = text === '' ? [] : text.split(',').map((origin) => origin.trim());
  for (const origin of origins) {
    const isExact = /^https?:\/\/[^*]+$/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin;
    if (origin === ANY ? origins.length > 1 : !isExact)
      throw wrong(
        `"${origin.slice(0, 100)}" is no origin; write https://shop.example, several with commas, or * alone`,
      );
  }
  if (origins.includes(ANY) && !hasKeys)
    throw wrong('* lets every web page in, and there are no API keys; set keys, or name the origins');
  return origins;
}

/** True where pages of the origin are let in. */
export function isOriginAllowed(origins: readonly string[], origin: string): boolean {
  return origins.includes(ANY) || origins.includes(origin);
}

/**
 * Answers preflights, before any key is looked for, and names the allowed origin in every answer. To be called before
 * other hooks are added.
 */
export async function allowOrigins(app: App, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return;
  app.addHook('onRoute', (route) => {
    // the plugin's own; a preflight carries no key
    if (route.method === 'OPTIONS') route.config = { ...route.config, access: 'open' };
  });
  await app.register(cors, {
    origin: origins.includes(ANY) ? ANY : [...origins],
    methods: METHODS,
    allowedHeaders: REQUEST_HEADERS,
    exposedHeaders: ANSWER_HEADERS,
    credentials: false,
    maxAge: PREFLIGHT_SECONDS,
    strictPreflight: true,
  });
}

function wrong(why: string): SearchError {
  return new SearchError('INVALID_SETTINGS', `Invalid settings:\n  --cors-origins: ${why}`);
}
