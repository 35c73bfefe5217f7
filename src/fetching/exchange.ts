import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { LookupFunction } from 'node:net';
import type { AddressRules } from './address-rules.js';
import type { CheckedUrl } from './checked-url.js';

/** One request, and how long nothing may move on its connection. */
export type ExchangeOptions = {
  /** Where to connect: addresses that have been checked, and no others. */
  readonly addresses: readonly { readonly address: string; readonly family: number }[];
  readonly isAllowed: AddressRules;
  readonly idleMs: number;
  readonly signal: AbortSignal;
  readonly userAgent: string;
};

const MAX_HEADER_BYTES = 16 * 1024;
/** What the decoder reads. Only a wish: it is the decoder that says what the bytes are. */
const ACCEPT = 'image/avif,image/webp,image/png,image/jpeg,image/gif,image/tiff';

/**
 * Sends one GET and resolves with the answer's head; its body is still to be read, or destroyed. A connection of its own, closed afterwards: no pool, no
 * proxy, no cookie, no compression, no second look-up of the name. Rejects with whatever the connection failed with.
 */
export function exchange({ url, host, port, isTls }: CheckedUrl, options: ExchangeOptions): Promise<IncomingMessage> {
  const { addresses, isAllowed, idleMs, signal, userAgent } = options;
  // The name was resolved once and its addresses were checked; to resolve it again here would let its owner answer otherwise.
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
      agent: isTls ? new https.Agent({ keepAlive: false, rejectUnauthorized: true }) : new http.Agent({ keepAlive: false }),
      lookup,
      signal,
      timeout: idleMs,
      maxHeaderSize: MAX_HEADER_BYTES,
      insecureHTTPParser: false,
    });
    request.once('timeout', () => request.destroy(new Error(`Nothing arrived for ${idleMs} ms.`)));
    // Belt and braces: whatever led here, not a byte is written to an address that is not allowed.
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
