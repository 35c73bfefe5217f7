/** Requests that are broken on purpose: each is refused as the client's fault, quickly, and leaves nothing behind. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { assertError, eventually, form, openRaw, picture, raw, startApplication } from '../application.js';

const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const NAUGHTY = join(REPOSITORY, '..', 'shared', 'data', 'bad-images', 'big-list-of-naughty-strings', 'blns.json');
const MULTIPART = { 'content-type': 'multipart/form-data; boundary=b' };

test('broken bodies are refused as what they are', async (context) => {
  const server = await startApplication(context);
  const image = { name: 'f', fileName: 'x.png', content: await picture(1) };
  const whole = form(image);
  const cut = whole.payload.subarray(0, whole.payload.length - 40);
  const fields = Array.from({ length: 10_000 }, (_, index) => ({ name: `field-${index}`, content: 'x' }));
  const nested = Buffer.concat([
    Buffer.from(
      '--b\r\ncontent-disposition: form-data; name="f"\r\ncontent-type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--\r\n',
    ),
  ]);
  const cases: readonly (readonly [
    string,
    { payload?: Buffer | string; headers?: Record<string, string> },
    number,
    string,
  ])[] = [
    ['no body', {}, 400, 'NO_IMAGE'],
    [
      'no boundary',
      { payload: whole.payload, headers: { 'content-type': 'multipart/form-data' } },
      400,
      'MALFORMED_MULTIPART',
    ],
    ['another boundary', { payload: whole.payload, headers: MULTIPART }, 400, 'MALFORMED_MULTIPART'],
    ['no closing boundary', { payload: cut, headers: whole.headers }, 400, 'MALFORMED_MULTIPART'],
    ['empty multipart', { payload: '', headers: MULTIPART }, 400, 'NO_IMAGE'],
    ['only the end', { payload: '--b--\r\n', headers: MULTIPART }, 400, 'NO_IMAGE'],
    ['no file part', form({ name: 'k', content: '3' }), 400, 'NO_IMAGE'],
    ['a file input left empty', form({ name: 'f', fileName: '', content: '' }), 400, 'NO_IMAGE'],
    ['an image as a text field', form({ name: 'image', content: 'x' }), 400, 'INVALID_REQUEST'],
    ['nine files', form(...Array.from({ length: 9 }, () => image)), 413, 'TOO_MANY_FILES'],
    ['10,000 fields', form(...fields), 400, 'INVALID_REQUEST'],
    ['a field name of 1 MB', form({ name: 'n'.repeat(1_000_000), content: 'x' }, image), 400, 'ANY'],
    ['a field named __proto__', form({ name: '__proto__', content: 'x' }, image), 400, 'INVALID_REQUEST'],
    ['a file named constructor', form({ ...image, name: 'constructor' }), 400, 'INVALID_REQUEST'],
    ['a field too long', form({ name: 'filter', content: 'x'.repeat(100_000) }, image), 400, 'INVALID_REQUEST'],
    ['multipart in multipart', { payload: nested, headers: MULTIPART }, 400, 'ANY'],
    ['empty raw body', raw(Buffer.alloc(0)), 400, 'NO_IMAGE'],
    ['JSON', { payload: '{"image":"x"}', headers: { 'content-type': 'application/json' } }, 400, 'INVALID_REQUEST'],
    [
      'JSON that asks for nothing',
      { payload: '{"k":3}', headers: { 'content-type': 'application/json' } },
      400,
      'NO_IMAGE',
    ],
    [
      'JSON of an unknown field',
      { payload: '{"image":"x"}', headers: { 'content-type': 'application/json' } },
      400,
      'INVALID_REQUEST',
    ],
    ['broken JSON', { payload: '{', headers: { 'content-type': 'application/json' } }, 400, 'INVALID_REQUEST'],
    ['text', { payload: 'hello', headers: { 'content-type': 'text/plain' } }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    [
      'multipart/mixed',
      { payload: whole.payload, headers: { 'content-type': 'multipart/mixed; boundary=b' } },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    ['no content type', { payload: 'hello', headers: { 'content-type': '' } }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
  ];
  for (const [name, { payload, headers }, status, code] of cases) {
    await context.test(name, async () => {
      for (const url of urlsOf(name)) {
        const response = await server.ask({
          method: 'POST',
          url,
          ...(payload !== undefined && { payload }),
          ...(headers !== undefined && { headers }),
        });
        if (code === 'ANY') assert.equal(response.statusCode, status, response.body);
        else assertError(response, { status, code });
      }
    });
  }
  assert.deepEqual((await server.ask({ url: '/collections' })).json(), { collections: [] });
  assert.match(await server.monitoring.registry.metrics(), /likeness_upload_memory_bytes 0\n/);
});

/** POST /search takes JSON, POST /index more files. */
function urlsOf(name: string): readonly string[] {
  if (name === 'JSON') return ['/index'];
  return name === 'nine files' || name === 'no file part' || name.startsWith('JSON')
    ? ['/search']
    : ['/search', '/index'];
}

test('what is not HTTP/1.1 is answered once and closed', async (context) => {
  const server = await startApplication(context);
  const { port } = await server.listen();
  const cases: readonly (readonly [string, number, string])[] = [
    ['GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n', 400, 'INVALID_REQUEST'],
    ['NONSENSE\r\n\r\n', 400, 'INVALID_REQUEST'],
    [
      'POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'INVALID_REQUEST',
    ],
    [
      'POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello',
      400,
      'INVALID_REQUEST',
    ],
    ['POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-length: -5\r\n\r\nhello', 400, 'INVALID_REQUEST'],
    [
      'POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n',
      400,
      'INVALID_REQUEST',
    ],
    [`GET / HTTP/1.1\r\nhost: localhost\r\nx-long: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'HEADERS_TOO_LARGE'],
  ];
  for (const [request, status, code] of cases) {
    const client = await openRaw(port);
    client.socket.write(request);
    await client.closed;
    assert.match(client.received(), new RegExp(`^HTTP/1\\.1 ${status} `), request.slice(0, 80));
    const body = JSON.parse(client.received().split('\r\n\r\n')[1]!) as { code: string; statusCode: number };
    assert.equal(body.code, code);
    assert.equal(body.statusCode, status);
  }
});

test('a request cut off at any point leaves neither work nor memory behind', async (context) => {
  const server = await startApplication(context);
  const { port } = await server.listen();
  const { payload, headers } = form({ name: 'f', fileName: 'x.png', content: await picture(1) });
  const request = Buffer.concat([
    Buffer.from(
      `POST /index HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${headers['content-type']}\r\ncontent-length: ${payload.length}\r\n\r\n`,
    ),
    payload,
  ]);
  for (let point = 1; point <= 10; point++) {
    const client = await openRaw(port);
    client.socket.write(request.subarray(0, Math.floor((request.length * point) / 11)));
    await new Promise((resolve) => setImmediate(resolve));
    client.socket.destroy();
    await client.closed;
  }
  await eventually(() => server.tracker.inFlight.total === 0);
  const metrics = await server.monitoring.registry.metrics();
  assert.match(metrics, /likeness_upload_memory_bytes 0\n/);
  assert.match(metrics, /likeness_images_in_flight 0\n/);
  assert.doesNotMatch(metrics, /likeness_errors_total\{code="INTERNAL"\} [1-9]/);
  assert.deepEqual((await server.ask({ url: '/images' })).json(), { images: [] });
});

test('naughty strings as file name, id, metadata, filter and path are data or a refusal, never a fault', {
  skip: existsSync(NAUGHTY) ? false : 'needs ../shared/data/bad-images/big-list-of-naughty-strings',
}, async (context) => {
  const server = await startApplication(context);
  const bytes = await picture(1);
  const strings = JSON.parse(readFileSync(NAUGHTY, 'utf8')) as string[];
  assert.ok(strings.length > 400);
  const allowed = (response: { statusCode: number; body: string }, text: string): void =>
    assert.ok(
      response.statusCode < 500,
      `${JSON.stringify(text)}: ${response.statusCode} ${response.body.slice(0, 200)}`,
    );
  for (const text of strings) {
    const fileName = text.replace(/["\r\n]/g, '_');
    const fields = [
      { name: 'metadata', content: JSON.stringify({ text, [text]: 1 }) },
      ...(text === '' ? [] : [{ name: 'id', content: text }]),
    ];
    allowed(
      await server.ask({
        method: 'POST',
        url: '/index?replace=true',
        ...form(...fields, { name: 'f', fileName, content: bytes }),
      }),
      text,
    );
    const filter = encodeURIComponent(wellFormed(JSON.stringify({ field: 'text', equals: text })));
    allowed(await server.ask({ url: `/images?filter=${filter}` }), text);
    allowed(await server.ask({ url: `/images/${encodeURIComponent(wellFormed(text))}` }), text);
    allowed(await server.app.inject({ url: `/${encodeURIComponent(wellFormed(text))}` }), text);
  }
  for (const line of server.log)
    assert.ok(!line.slice(0, -1).includes('\n') && line.endsWith('\n'), 'one line an event');
  const metrics = await server.monitoring.registry.metrics();
  assert.doesNotMatch(metrics, /code="INTERNAL"\} [1-9]/);
});

function wellFormed(text: string): string {
  return text.replace(/\p{Cs}/gu, '\ufffd');
}

test('requests sent ahead are answered in turn; a connection that sends too many is closed', async (context) => {
  const server = await startApplication(context);
  const { port } = await server.listen();
  const polite = await openRaw(port);
  polite.socket.write('GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(30));
  await eventually(() => (polite.received().match(/HTTP\/1\.1 200/g) ?? []).length === 30);
  polite.socket.destroy();
  const flood = await openRaw(port);
  flood.socket.write('GET /images?limit=100 HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(200));
  await flood.closed;
  assert.ok((flood.received().match(/HTTP\/1\.1/g) ?? []).length <= 32);
  await eventually(() => server.log.some((line) => line.includes('ahead of their answers')));
  await eventually(async () =>
    (await server.ask({ url: '/metrics' })).body.includes('likeness_requests_in_flight 1\n'),
  );
});
