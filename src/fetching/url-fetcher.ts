/** Fetching a picture by its URL without becoming a stranger's hand inside the network (server-side request forgery). */
import { lookup } from 'node:dns/promises';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { SearchError } from '../errors.js';
import { type AddressRules, createAddressRules } from './address-rules.js';
import { type CheckedUrl, checkUrl, fileNameOf } from './checked-url.js';
import { exchange } from './exchange.js';

/** Addresses of a name; rejects where there are none. */
export type Resolve = (host: string) => Promise<readonly { readonly address: string; readonly family: number }[]>;

/** What may be fetched, and how much of it at once. */
export type UrlFetcherOptions = {
  readonly ports: readonly number[];
  /** Networks (CIDR) that are allowed although they are special. */
  readonly networks: readonly string[];
  /** Longest time for one fetch, redirects and body included; and half of it for a connection on which nothing moves. */
  readonly timeoutMs: number;
  /** Fetches at once; more are OVERLOADED. */
  readonly concurrency: number;
  readonly userAgent: string;
  /** The system's resolver if not given. */
  readonly resolve?: Resolve;
};

/** Bytes of a URL, and the file name in it, if any, as the URL's owner wrote it. Nobody has looked at either. */
export type FetchedFile = { readonly bytes: Buffer; readonly name: string | undefined };

/** Fetches files by URL. */
export type UrlFetcher = {
  /**
   * Rejects with INVALID_REQUEST, URL_REFUSED (the URL or what it redirects to must not be fetched), URL_FETCH_FAILED, UPLOAD_TOO_LARGE, OVERLOADED, or the signal's reason.
   * `onBytes` is told of every chunk before it is kept, and may throw.
   */
  fetch(
    text: string,
    options: { readonly maxBytes: number; readonly signal: AbortSignal; readonly onBytes?: (count: number) => void },
  ): Promise<FetchedFile>;
  readonly active: number;
};

const MAX_REDIRECTS = 5;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** A fetcher under these rules. Throws INVALID_SETTINGS where a network is none. */
export function createUrlFetcher(options: UrlFetcherOptions): UrlFetcher {
  const { ports, timeoutMs, concurrency, userAgent, resolve = resolveBySystem } = options;
  const isAllowed = createAddressRules(options.networks);
  let active = 0;

  return {
    async fetch(text, { maxBytes, signal, onBytes = () => {} }) {
      const target = checkUrl(text, { ports });
      signal.throwIfAborted();
      if (active >= concurrency) {
        const message = `${concurrency} URLs are being fetched already (--url-fetch-concurrency).`;
        throw new SearchError('OVERLOADED', message, { retryAfterSeconds: 1 });
      }
      const timeout = new AbortController();
      const timer = setTimeout(() => timeout.abort(failed(`it took longer than ${timeoutMs} ms (--url-fetch-timeout-ms)`)), timeoutMs);
      const either = AbortSignal.any([signal, timeout.signal]);
      const ended = new Promise<never>((_, reject) => either.addEventListener('abort', () => reject(either.reason), { once: true }));
      ended.catch(() => {});
      active += 1;
      const work = follow(target, either, { maxBytes, onBytes });
      // A look-up cannot be called off: the place is free when it has really ended, so that slow names cannot take up every thread.
      work.then(free, free);
      try {
        either.throwIfAborted();
        return await Promise.race([work, ended]);
      } catch (error) {
        either.throwIfAborted(); // what ended it says more than how the connection broke
        throw error instanceof SearchError ? error : failed('it could not be reached, or did not answer as a web server does', error);
      } finally {
        clearTimeout(timer);
        timeout.abort(); // nothing of it stays open, whichever way it ended
      }
    },
    get active() {
      return active;
    },
  };

  function free(): void {
    active -= 1;
  }

  async function follow(first: CheckedUrl, signal: AbortSignal, body: BodyOptions): Promise<FetchedFile> {
    let target = first;
    for (let redirects = 0; ; redirects++) {
      const addresses = await checkedAddresses(target.host, resolve, isAllowed);
      signal.throwIfAborted();
      const response = await exchange(target, { addresses, isAllowed, idleMs: Math.ceil(timeoutMs / 2), signal, userAgent });
      const { statusCode = 0 } = response;
      const { location } = response.headers;
      if (!REDIRECTS.includes(statusCode) || location === undefined) {
        return { bytes: await readBody(response, body), name: fileNameOf(target.url) };
      }
      response.destroy(); // its body is of no use, and may be endless
      if (redirects === MAX_REDIRECTS) throw failed(`it redirects more than ${MAX_REDIRECTS} times`);
      target = checkUrl(location, { ports, base: target.url });
    }
  }
}

type BodyOptions = { readonly maxBytes: number; readonly onBytes: (count: number) => void };

/** All of them are allowed, or none is used. A name that does not exist is refused in the same words, so that inner names cannot be told from none. */
async function checkedAddresses(host: string, resolve: Resolve, isAllowed: AddressRules): ReturnType<Resolve> {
  const family = isIP(host);
  const found = family === 0 ? await resolve(host).catch(() => []) : [{ address: host, family }];
  if (found.length > 0 && found.every(({ address }) => isAllowed(address))) return found;
  throw new SearchError('URL_REFUSED', 'The host of the URL, or of what it redirects to, has no public address.');
}

async function readBody(response: IncomingMessage, { maxBytes, onBytes }: BodyOptions): Promise<Buffer> {
  try {
    const { statusCode = 0, headers } = response;
    if (statusCode !== 200) throw failed(`it was answered with status ${statusCode}`);
    const encoding = headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity') throw failed('the answer is compressed, which was not asked for');
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
  return new SearchError('UPLOAD_TOO_LARGE', `The file at the URL is larger than ${maxBytes} bytes (--max-upload-bytes).`);
}
