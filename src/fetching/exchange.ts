import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { LookupFunction } from 'node:net';
import type { AddressRules } from './address-rules.js';
import type { CheckedUrl } from './checked-url.js';

export type ExchangeOptions = {
  /** Checked addresses; the only ones to connect to. */
  readonly addresses: readonly { readonly address: string; readonly family: number }[];
  readonly isAllowed: AddressRules;
  /** Longest time without a byte on the connection. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
  readonly userAgent: string;
};

const MAX_HEADER_BYTES = 16 * 1024;
/** The decoder's formats. A hint to the server: the decoder checks the bytes. */
const ACCEPT = 'image/avif,image/webp,image/png,image/jpeg,image/gif,image/tiff';

/**
 * Sends one GET and resolves with the response, whose body the caller reads or destroys. One connection per request: no
 * pool, proxy, cookie, compression or second name lookup. Rejects with the connection's error.
 */
export function exchange({ url, host, port, isTls }: CheckedUrl, options: ExchangeOptions): Promise<IncomingMessage> {
  const { addresses, isAllowed, idleMs, signal, userAgent } = options;
  // Resolving the name again would let its owner return another, unchecked address (DNS rebinding).
  const lookup: LookupFunction = (_hostname, wanted, callback) => {
    const [first] = addresses;
    if (first === undefined) callback(new Error('No address is left to connect to. This is a bug.'), '');
    else if (wanted.all === true) callback(null, [...addresses]);
    else callback(null, first.address, first.family);
  };
  return new Promise((resolve, reject) => {
    const request = (isTls ? https : http).request({
      host,
      port,
      path: `${url.pathname}${url.search}`,
      method: 'GET',
      headers: { host: url.host, accept: ACCEPT, 'accept-encoding': 'identity', 'user-agent': userAgent },
      agent: isTls
        ? new https.Agent({ keepAlive: false, rejectUnauthorized: true })
        : new http.Agent({ keepAlive: false }),
      lookup,
      signal,
      timeout: idleMs,
      maxHeaderSize: MAX_HEADER_BYTES,
      insecureHTTPParser: false,
    });
    request.once('timeout', () => request.destroy(new Error(`No data for ${idleMs} ms.`)));
    // Defence in depth: no byte is written to an address that is not allowed.
    request.once('socket', (socket) => {
      socket.once('connect', () => {
        if (!isAllowed(socket.remoteAddress ?? ''))
          request.destroy(new Error('Connected to an address that was not checked. This is a bug.'));
      });
    });
    request.on('error', reject);
    request.once('response', resolve);
    request.end();
  });
}
