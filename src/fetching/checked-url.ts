import { isIP } from 'node:net';
import { SearchError } from '../errors.js';

/** A URL that is checked but for the addresses of its host. */
export type CheckedUrl = {
  readonly url: URL;
  /** Name or address to resolve, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
};

export const MAX_URL_CHARACTERS = 2048;
const STANDARD_PORTS: { readonly [protocol: string]: number } = { 'http:': 80, 'https:': 443 };

/**
 * Checks a client's URL or a redirect. The WHATWG parser normalises 0x7f.1, 2130706433 and 127.1 to 127.0.0.1. Throws
 * URL_REFUSED for other schemes than http(s), credentials, and ports that are not allowed; INVALID_REQUEST where it is
 * no URL.
 */
export function checkUrl(
  text: string,
  options: { readonly ports: readonly number[]; readonly base?: URL },
): CheckedUrl {
  const { base } = options;
  if (text.length > MAX_URL_CHARACTERS || !URL.canParse(text, base?.href)) {
    if (base !== undefined) throw new SearchError('URL_REFUSED', 'The URL redirects to an invalid URL.');
    throw new SearchError(
      'INVALID_REQUEST',
      `A URL has at most ${MAX_URL_CHARACTERS} characters and begins with http:// or https://.`,
    );
  }
  const url = new URL(text, base);
  const standardPort = STANDARD_PORTS[url.protocol];
  if (standardPort === undefined) throw new SearchError('URL_REFUSED', 'Only http and https URLs are fetched.');
  if (url.username !== '' || url.password !== '')
    throw new SearchError('URL_REFUSED', 'A URL with a user name or password is not fetched.');
  const port = url.port === '' ? standardPort : Number(url.port);
  if (!options.ports.includes(port))
    throw new SearchError('URL_REFUSED', `Port ${port} is not fetched from (--url-fetch-ports).`);
  url.hash = '';
  return { url, host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port, isTls: url.protocol === 'https:' };
}

/** Ports from the setting's text. Throws INVALID_SETTINGS. */
export function parsePorts(text: string): readonly number[] {
  return text.split(',').map((part) => {
    const port = /^\s*\d{1,5}\s*$/.test(part) ? Number(part) : 0;
    if (port >= 1 && port <= 65_535) return port;
    throw new SearchError(
      'INVALID_SETTINGS',
      `Invalid settings:\n  --url-fetch-ports: "${part.slice(0, 100)}" is not a port`,
    );
  });
}

/** The file name: the last part of the path, decoded; undefined where it is empty. */
export function fileNameOf(url: URL): string | undefined {
  const last = url.pathname.split('/').at(-1) ?? '';
  if (last === '' || isIP(last) !== 0) return undefined;
  try {
    return decodeURIComponent(last);
  } catch {
    return last; // with its stray %
  }
}
