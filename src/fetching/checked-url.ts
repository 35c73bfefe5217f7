import { isIP } from 'node:net';
import { SearchError } from '../errors.js';

/** A URL whose every part but the host's addresses has been looked at. */
export type CheckedUrl = {
  readonly url: URL;
  /** Name or address to resolve, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
};

/** Longest URL that is taken. */
export const MAX_URL_CHARACTERS = 2048;
const STANDARD_PORTS: { readonly [protocol: string]: number } = { 'http:': 80, 'https:': 443 };

/**
 * Reads a URL that a stranger wrote or a server redirects to. The parser is the web's own, so 0x7f.1, 2130706433 and 127.1 are all 127.0.0.1 from here on. Throws
 * URL_REFUSED: not http(s), with credentials, on a port that is not allowed; INVALID_REQUEST: no URL at all.
 */
export function checkUrl(text: string, options: { readonly ports: readonly number[]; readonly base?: URL }): CheckedUrl {
  const { base } = options;
  if (text.length > MAX_URL_CHARACTERS || !URL.canParse(text, base?.href)) {
    if (base !== undefined) throw new SearchError('URL_REFUSED', 'The URL redirects to something that is no URL.');
    throw new SearchError('INVALID_REQUEST', `A URL has at most ${MAX_URL_CHARACTERS} characters and begins with http:// or https://.`);
  }
  const url = new URL(text, base);
  const standardPort = STANDARD_PORTS[url.protocol];
  if (standardPort === undefined) throw new SearchError('URL_REFUSED', 'Only http and https URLs are fetched.');
  if (url.username !== '' || url.password !== '')
    throw new SearchError('URL_REFUSED', 'A URL with a user name or password is not fetched.');
  const port = url.port === '' ? standardPort : Number(url.port);
  if (!options.ports.includes(port)) throw new SearchError('URL_REFUSED', `Port ${port} is not fetched from (--url-fetch-ports).`);
  url.hash = '';
  return { url, host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port, isTls: url.protocol === 'https:' };
}

/** Ports from the setting's text. Throws INVALID_SETTINGS. */
export function parsePorts(text: string): readonly number[] {
  return text.split(',').map((part) => {
    const port = /^\s*\d{1,5}\s*$/.test(part) ? Number(part) : 0;
    if (port >= 1 && port <= 65_535) return port;
    throw new SearchError('INVALID_SETTINGS', `Settings are wrong:\n  --url-fetch-ports: "${part.slice(0, 100)}" is no port`);
  });
}

/** What a person would call the file: the last part of the path, decoded; undefined where there is none. */
export function fileNameOf(url: URL): string | undefined {
  const last = url.pathname.split('/').at(-1) ?? '';
  if (last === '' || isIP(last) !== 0) return undefined;
  try {
    return decodeURIComponent(last);
  } catch {
    return last; // A stray % is part of the name.
  }
}
