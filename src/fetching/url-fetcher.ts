/** Fetches a file by its URL, safe against server-side request forgery. */
import { lookup } from 'node:dns/promises';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { SearchError } from '../errors.js';
import { type AddressRules, createAddressRules } from './address-rules.js';
import { type CheckedUrl, checkUrl, fileNameOf } from './checked-url.js';
import { exchange } from './exchange.js';

/** Resolves a name to its addresses; rejects where there are none. */
export type Resolve = (host: string) => Promise<readonly { readonly address: string; readonly family: number }[]>;

export type UrlFetcherOptions = {
  readonly ports: readonly number[];
  /** Special networks (CIDR) that are allowed. */
  readonly networks: readonly string[];
  /** Longest fetch, with redirects and body. A connection may be idle for half of it. */
  readonly timeoutMs: number;
  /** Concurrent fetches; more are OVERLOADED. */
  readonly concurrency: number;
  readonly userAgent: string;
  /** Default: the system's resolver. */
  readonly resolve?: Resolve;
};

/** The bytes, and the file name in the URL, if any. Both are unchecked. */
type FetchedFile = { readonly bytes: Buffer; readonly name: string | undefined };

/** Fetches files by URL. */
export type UrlFetcher = {
  /**
   * Rejects with INVALID_REQUEST, URL_REFUSED (for the URL or a redirect), URL_FETCH_FAILED, UPLOAD_TOO_LARGE,
   * OVERLOADED, or the signal's reason. `onBytes` is called with the size of every chunk before it is kept, and may
   * throw. `caller`: whose fetch it is; no caller gets the last permits.
   */
  fetch(
    text: string,
    options: {
      readonly maxBytes: number;
      readonly signal: AbortSignal;
      readonly onBytes?: (count: number) => void;
      readonly caller?: unknown;
    },
  ): Promise<FetchedFile>;
  readonly active: number;
};

/**
 * A caller may hold this many times the permits that are free, so that one is left for another caller. Source:
 * Choudhury & Hahne 1998, Dynamic queue length thresholds for shared-memory packet switches.
 */
const SHARE_OF_FREE = 4;
const MAX_REDIRECTS = 5;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** Throws INVALID_SETTINGS where a network is invalid. */
export function createUrlFetcher(options: UrlFetcherOptions): UrlFetcher {
  const { ports, timeoutMs, concurrency, userAgent, resolve = resolveBySystem } = options;
  const isAllowed = createAddressRules(options.networks);
  /** Permits held, by caller. */
  const held = new Map<unknown, number>();
  let active = 0;

  return {
    async fetch(text, { maxBytes, signal, onBytes = () => {}, caller }) {
      const target = checkUrl(text, { ports });
      signal.throwIfAborted();
      const own = held.get(caller) ?? 0;
      const free = concurrency - active;
      if (free <= 0 || (own > 0 && own + 1 > SHARE_OF_FREE * free)) {
        const message = `${active} URLs are being fetched already, ${own} of them by this caller (--url-fetch-concurrency).`;
        throw new SearchError('OVERLOADED', message, { retryAfterSeconds: 1 });
      }
      const timeout = new AbortController();
      const timer = setTimeout(
        () => timeout.abort(failed(`it took longer than ${timeoutMs} ms (--url-fetch-timeout-ms)`)),
        timeoutMs,
      );
      const either = AbortSignal.any([signal, timeout.signal]);
      const ended = new Promise<never>((_, reject) =>
        either.addEventListener('abort', () => reject(either.reason), { once: true }),
      );
      ended.catch(() => {});
      active += 1;
      held.set(caller, own + 1);
      const release = (): void => {
        active -= 1;
        const left = (held.get(caller) ?? 1) - 1;
        if (left === 0) held.delete(caller);
        else held.set(caller, left);
      };
      const work = follow(target, either, { maxBytes, onBytes });
      // A name lookup cannot be cancelled: its permit is released when it ends, so that slow names cannot occupy
      // every thread.
      work.then(release, release);
      try {
        either.throwIfAborted();
        return await Promise.race([work, ended]);
      } catch (error) {
        either.throwIfAborted(); // the abort's reason says more than the broken connection
        throw error instanceof SearchError
          ? error
          : failed('its server could not be reached, or did not respond with HTTP', error);
      } finally {
        clearTimeout(timer);
        timeout.abort(); // closes what is still open
      }
    },
    get active() {
      return active;
    },
  };

  async function follow(first: CheckedUrl, signal: AbortSignal, body: BodyOptions): Promise<FetchedFile> {
    let target = first;
    for (let redirects = 0; ; redirects++) {
      const addresses = await checkedAddresses(target.host, resolve, isAllowed);
      signal.throwIfAborted();
      const response = await exchange(target, {
        addresses,
        isAllowed,
        idleMs: Math.ceil(timeoutMs / 2),
        signal,
        userAgent,
      });
      const { statusCode = 0 } = response;
      const { location } = response.headers;
      if (!REDIRECTS.includes(statusCode) || location === undefined) {
        return { bytes: await readBody(response, body), name: fileNameOf(target.url) };
      }
      response.destroy(); // the body may be endless
      if (redirects === MAX_REDIRECTS) throw failed(`it redirects more than ${MAX_REDIRECTS} times`);
      target = checkUrl(location, { ports, base: target.url });
    }
  }
}

type BodyOptions = { readonly maxBytes: number; readonly onBytes: (count: number) => void };

/**
 * Returns the addresses where all are allowed. An unknown name is refused with the same message, so that internal names
 * cannot be probed.
 */
async function checkedAddresses(host: string, resolve: Resolve, isAllowed: AddressRules): ReturnType<Resolve> {
  const family = isIP(host);
  const found = family === 0 ? await resolve(host).catch(() => []) : [{ address: host, family }];
  if (found.length > 0 && found.every(({ address }) => isAllowed(address))) return found;
  throw new SearchError('URL_REFUSED', 'The host of the URL, or of what it redirects to, has no public address.');
}

async function readBody(response: IncomingMessage, { maxBytes, onBytes }: BodyOptions): Promise<Buffer> {
  try {
    const { statusCode = 0, headers } = response;
    if (statusCode !== 200) throw failed(`its server responded with status ${statusCode}`);
    const encoding = headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity') throw failed('the response is compressed, which was not requested');
    if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      onBytes(chunk.length);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, bytes);
  } finally {
    response.destroy();
  }
}

function resolveBySystem(host: string): ReturnType<Resolve> {
  return lookup(host, { all: true, verbatim: true });
}

function failed(why: string, cause?: unknown): SearchError {
  return new SearchError('URL_FETCH_FAILED', `The URL gave no picture: ${why}.`, { cause });
}

function tooLarge(maxBytes: number): SearchError {
  return new SearchError(
    'UPLOAD_TOO_LARGE',
    `The file at the URL is larger than ${maxBytes} bytes (--max-upload-bytes).`,
  );
}
