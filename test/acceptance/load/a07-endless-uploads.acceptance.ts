/**
 * Endless uploads (A7): 10 GB declared, and the same in chunks without a length, as raw bodies and as forms: 413 and a
 * closed socket, soon after the limit.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { startApplication } from '../../server/application.js';
import { openClient } from '../raw-clients.js';
import { atMost, below, record } from '../record.js';

const MEBIBYTE = 2 ** 20;
const MAX_UPLOAD = 10 * MEBIBYTE;
const PART =
  '--b\r\ncontent-disposition: form-data; name="f"; filename="x.png"\r\ncontent-type: application/octet-stream\r\n\r\n';
const BODIES = [
  { type: 'image/png', start: '' },
  { type: 'multipart/form-data; boundary=b', start: PART },
] as const;

test('declared and undeclared endless bodies', async (context) => {
  const server = await startApplication(context, { maxUploadBytes: MAX_UPLOAD });
  const { url } = await server.listen();
  const block = Buffer.alloc(65_536, 'x');
  const chunk = Buffer.concat([Buffer.from('10000\r\n'), block, Buffer.from('\r\n')]);
  const found = { declaredBytes: 0, chunkedBytes: 0, declaredMs: 0, chunkedMs: 0, otherwise: 0 };
  for (const path of ['/search', '/index']) {
    for (const { type, start } of BODIES) {
      for (const isDeclared of [true, false]) {
        const connection = once(server.app.server, 'connection') as Promise<[Socket]>;
        const client = await openClient(url);
        const [socket] = await connection;
        const closed = once(socket, 'close');
        const startedAt = performance.now();
        let answeredMs = Number.POSITIVE_INFINITY;
        client.socket.once('data', () => {
          answeredMs = performance.now() - startedAt;
        });
        const length = isDeclared ? `content-length: ${10 * 2 ** 30}` : 'transfer-encoding: chunked';
        client.socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${type}\r\n${length}\r\n\r\n`);
        if (start !== '') client.socket.write(isDeclared ? start : `${start.length.toString(16)}\r\n${start}\r\n`);
        for (let sent = 0; client.closedAfterMs === undefined && sent < 64 * MEBIBYTE; sent += block.length) {
          if (client.socket.write(isDeclared ? block : chunk)) continue;
          await Promise.race([once(client.socket, 'drain').catch(() => {}), client.closed]);
        }
        await closed;
        if (!client.received().startsWith('HTTP/1.1 413 ')) found.otherwise += 1;
        const kind = isDeclared ? 'declared' : 'chunked';
        found[`${kind}Bytes`] = Math.max(found[`${kind}Bytes`], socket.bytesRead);
        found[`${kind}Ms`] = Math.max(found[`${kind}Ms`], answeredMs);
        client.socket.destroy();
      }
    }
  }
  record({
    criterion: 'A7',
    given:
      '10 GB declared, and endless chunks; raw and multipart; POST /search and POST /index; --max-upload-bytes 10 MiB',
    measures: [
      atMost('answers other than 413', found.otherwise, 0),
      atMost('most bytes read of a declared body', found.declaredBytes, 2 ** 16 + 1024, 'bytes'),
      atMost('most bytes read of an endless one', found.chunkedBytes / MEBIBYTE, 11, 'MiB'),
      below('slowest answer to a declared body', found.declaredMs, 1000, 'ms'),
      below('slowest answer to an endless one', found.chunkedMs, 1000, 'ms'),
    ],
  });
});
