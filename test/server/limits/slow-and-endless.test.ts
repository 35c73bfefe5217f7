/** Clients that send too much, too slowly, or never stop: through real sockets, with shortened times. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import {
  API_KEYS,
  assertError,
  eventually,
  KEYS,
  openRaw,
  picture,
  type RawConnection,
  raw,
  startApplication,
  type TestApplication,
} from '../application.js';

const MEBIBYTE = 1024 * 1024;
const MULTIPART_START =
  '--b\r\ncontent-disposition: form-data; name="f"; filename="x.png"\r\ncontent-type: application/octet-stream\r\n\r\n';
const requestLine = (path: string, ...headers: readonly string[]): string =>
  [`POST ${path} HTTP/1.1`, 'host: localhost', ...headers, '', ''].join('\r\n');

/**
 * Writes until the connection closes or the bound is reached, as fast as the other side reads; returns the bytes handed
 * over. What has come in is read before each write: a write that meets a reset makes Node drop an answer that it has
 * not read yet, and on a busy machine both may arrive together.
 */
async function pour(client: RawConnection, chunk: Buffer, bound: number): Promise<number> {
  let sent = 0;
  let isClosed = false;
  void client.closed.then(() => {
    isClosed = true;
  });
  while (!isClosed && sent < bound) {
    await new Promise((resolve) => setImmediate(resolve));
    sent += chunk.length;
    if (!client.socket.write(chunk)) await Promise.race([once(client.socket, 'drain').catch(() => {}), client.closed]);
  }
  await client.closed;
  return sent;
}

function statusOf(client: RawConnection): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(client.received())?.[1]);
}

function bodyOf(client: RawConnection): { code: string } {
  return JSON.parse(client.received().split('\r\n\r\n')[1] ?? '') as { code: string };
}

test('a body declared too large is refused before it is read, and the connection closed', async (context) => {
  const server = await startApplication(context, { maxUploadBytes: MEBIBYTE, maxFilesPerRequest: 1 });
  const { port } = await server.listen();
  for (const path of ['/search', '/index', '/nowhere', '/images/x']) {
    const client = await openRaw(port);
    client.socket.write(requestLine(path, 'content-type: image/png', `content-length: ${10 * 1024 ** 3}`));
    await pour(client, Buffer.alloc(64 * 1024), 64 * MEBIBYTE);
    assert.equal(statusOf(client), 413, `${path}: ${client.received()}`);
    assert.equal(bodyOf(client).code, 'UPLOAD_TOO_LARGE');
    assert.match(client.received(), /connection: close/i);
  }
});

test('an endless chunked body is cut off soon after the limit, raw and multipart', async (context) => {
  const server = await startApplication(context, { maxUploadBytes: MEBIBYTE, maxFilesPerRequest: 4 });
  const { port } = await server.listen();
  // In a text field nothing but the limit of all eight files together is in the way.
  for (const [path, type, start, mebibytes = 1] of [
    ['/search', 'image/png', ''],
    ['/index', 'image/png', ''],
    ['/search', 'multipart/form-data; boundary=b', MULTIPART_START],
    ['/index', 'multipart/form-data; boundary=b', MULTIPART_START],
    ['/search', 'multipart/form-data; boundary=b', '--b\r\ncontent-disposition: form-data; name="filter"\r\n\r\n', 8],
  ] as const) {
    const bytesRead = bytesOfNextConnection(server);
    const client = await openRaw(port);
    client.socket.write(requestLine(path, `content-type: ${type}`, 'transfer-encoding: chunked'));
    if (start !== '') client.socket.write(`${start.length.toString(16)}\r\n${start}\r\n`);
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65536, 'x'), Buffer.from('\r\n')]);
    await pour(client, chunk, 64 * MEBIBYTE);
    assert.equal(statusOf(client), 413, client.received());
    assert.equal(bodyOf(client).code, 'UPLOAD_TOO_LARGE');
    const bytes = await bytesRead;
    assert.ok(bytes <= (mebibytes + 1) * MEBIBYTE + 512 * 1024, `${path} ${type}: ${bytes} bytes were read`);
  }
  assert.match(await server.monitoring.registry.metrics(), /likeness_upload_memory_bytes 0\n/);
});

test('with a wrong key almost nothing of the body is read', async (context) => {
  const server = await startApplication(context, { apiKeys: API_KEYS });
  const { port } = await server.listen();
  for (const key of ['', 'x-api-key: wrong-key-0123456789', `x-api-key: ${KEYS.read}`]) {
    const bytesRead = bytesOfNextConnection(server);
    const client = await openRaw(port);
    const headers = ['content-type: image/png', 'content-length: 9000000', ...(key === '' ? [] : [key])];
    client.socket.write(requestLine('/index', ...headers));
    await pour(client, Buffer.alloc(16 * 1024), 9_000_000);
    assert.equal(statusOf(client), key.endsWith(KEYS.read) ? 403 : 401);
    const bytes = await bytesRead;
    assert.ok(bytes > 0 && bytes < 64 * 1024 + 1024, `${bytes} bytes were read`);
  }
});

test('bodies and headers that come too slowly are answered 408 and closed, while honest clients are served', async (context) => {
  const server = await startApplication(context, { headersTimeoutMs: 1000, requestTimeoutMs: 3000 });
  const { port, url } = await server.listen();
  // The first picture waits for the decoder to start, which on a busy machine takes longer than a request may.
  await eventually(
    async () => (await fetch(`${url}/search`, { method: 'POST', ...body(await picture(1)) })).status === 200,
  );
  const half = await openRaw(port);
  half.socket.write(`${requestLine('/search', 'content-type: image/png', 'content-length: 1000')}abc`);
  const form = await openRaw(port);
  form.socket.write(
    requestLine('/index', 'content-type: multipart/form-data; boundary=b', 'content-length: 5000') + MULTIPART_START,
  );
  const headers = await openRaw(port);
  headers.socket.write('POST /search HTTP/1.1\r\nhost: localhost\r\nx-slow:');
  const silent = await openRaw(port);
  const honest = await fetch(`${url}/search`, { method: 'POST', ...body(await picture(1)) });
  assert.equal(honest.status, 200);
  for (const client of [half, form, headers]) {
    await client.closed;
    assert.equal(statusOf(client), 408, client.received());
    assert.equal(bodyOf(client).code, 'REQUEST_TIMEOUT');
  }
  await silent.closed;
  // A client may see its connection close a moment before the server has closed its books on it. Three were answered;
  // on a machine so busy that two timers find the same connection late, both may count it.
  const timeouts = async (): Promise<number> =>
    Number(
      /likeness_errors_total\{code="REQUEST_TIMEOUT"\} (\d+)\n/.exec(await server.monitoring.registry.metrics())?.[1] ??
        0,
    );
  await eventually(async () => (await timeouts()) >= 3);
  assert.ok((await timeouts()) <= 8, `${await timeouts()} time-outs of four connections`);
  await eventually(async () => /likeness_upload_memory_bytes 0\n/.test(await server.monitoring.registry.metrics()));
});

test('uploads may not hold more memory together than allowed; what they held is given back', async (context) => {
  const server = await startApplication(context, { uploadMemoryBytes: MEBIBYTE, maxUploadBytes: MEBIBYTE });
  const { port } = await server.listen();
  const first = await openRaw(port);
  first.socket.write(requestLine('/search', 'content-type: image/png', `content-length: ${MEBIBYTE}`));
  first.socket.write(Buffer.alloc(MEBIBYTE - 1000));
  await eventually(async () => (await held(server)) === MEBIBYTE - 1000);
  const refused = await server.ask({ method: 'POST', url: '/search', ...raw(Buffer.alloc(2000)) });
  assertError(refused, { status: 503, code: 'OVERLOADED' });
  first.socket.destroy();
  await eventually(async () => (await held(server)) === 0);
  const served = await server.ask({ method: 'POST', url: '/search', ...raw(await picture(1)) });
  assert.equal(served.statusCode, 200, served.body);
});

/** What the server will have read of the next connection when that has closed on its side. */
async function bytesOfNextConnection({ app }: TestApplication): Promise<number> {
  const [socket] = (await once(app.server, 'connection')) as [Socket];
  await once(socket, 'close');
  return socket.bytesRead;
}

async function held(server: {
  readonly monitoring: { readonly registry: { metrics(): Promise<string> } };
}): Promise<number> {
  return Number(/likeness_upload_memory_bytes (\d+)/.exec(await server.monitoring.registry.metrics())?.[1]);
}

function body(bytes: Buffer): { body: Uint8Array<ArrayBuffer>; headers: Record<string, string> } {
  return { body: new Uint8Array(bytes), headers: { 'content-type': 'image/png' } };
}

test('a slow upload that arrives steadily is not cut, however long it takes; one that drips is', async (context) => {
  const server = await startApplication(context, {
    headersTimeoutMs: 900,
    requestTimeoutMs: 1000,
    uploadMinRate: 1000,
  });
  const { port } = await server.listen();
  const bytes = Buffer.concat([await picture(1), Buffer.alloc(20_000)]);
  const steady = await openRaw(port);
  const dripping = await openRaw(port);
  for (const client of [steady, dripping])
    client.socket.write(requestLine('/search', 'content-type: image/png', `content-length: ${bytes.length}`));
  const step = Math.max(2000, Math.ceil(bytes.length / 12));
  for (let sent = 0; sent < bytes.length; sent += step) {
    steady.socket.write(bytes.subarray(sent, sent + step));
    dripping.socket.write(bytes.subarray(sent / step, sent / step + 1));
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  await dripping.closed;
  assert.equal(statusOf(dripping), 408, dripping.received());
  await steady.until(/HTTP\/1\.1 200/);
});
