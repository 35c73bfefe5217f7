/**
 * Ways in that stay closed: empty key sources, proxies without keys, foreign pages, ambiguous headers, oracles of keys.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { callerAddress, readApiKeys, requireKeysOffLoopback } from '../../src/server/auth.js';
import { buildMetricsApp } from '../../src/server/metrics-app.js';
import { createReadiness } from '../../src/server/readiness.js';
import { API_KEYS, assertError, form, KEYS, openRaw, picture, raw, startApplication } from './application.js';
import { createPooledEncoder } from './pooled-encoder.js';

test('a named source of keys that holds none, and the digest of an empty key, stop the start', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-keys-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'keys');
  for (const text of ['', '\n\n', '# comment\n', `# read ${'0'.repeat(64)}\n`]) {
    await writeFile(path, text);
    await assert.rejects(readApiKeys({ apiKeys: '', apiKeysFile: path }), { message: /holds no key/ });
  }
  await writeFile(path, 'admin e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n');
  await assert.rejects(readApiKeys({ apiKeys: '', apiKeysFile: path }), { message: /line 1: .*empty key/ });
  assert.deepEqual(await readApiKeys({ apiKeys: '', apiKeysFile: '' }), []);
});

test('a proxy is trusted only where keys are set', () => {
  assert.throws(() => requireKeysOffLoopback({ host: '127.0.0.1', trustProxy: '127.0.0.1' }, []), {
    message: /--trust-proxy/,
  });
});

test('without keys foreign pages, proxied requests and doubled Host headers are refused', async (context) => {
  const server = await startApplication(context);
  const asked = async (url: string, headers: { [name: string]: string }) =>
    (await server.ask({ url, headers: { host: '127.0.0.1', ...headers } })).statusCode;
  for (const site of ['cross-site', 'same-site']) {
    assert.equal(await asked('/search?id=a', { 'sec-fetch-site': site, 'sec-fetch-mode': 'no-cors' }), 403);
    assert.equal(await asked('/images', { 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate' }), 403);
    assert.equal(await asked('/', { 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate' }), 200);
  }
  assert.equal(await asked('/images', { 'sec-fetch-site': 'same-origin' }), 200);
  assert.equal(await asked('/images', { 'sec-fetch-site': 'none' }), 200);
  for (const name of ['x-forwarded-for', 'forwarded', 'via'])
    assert.equal(await asked('/images', { [name]: '203.0.113.7' }), 403, name);
  const { port } = await server.listen();
  const client = await openRaw(port);
  client.socket.write('GET /livez HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n');
  await client.closed;
  assert.match(client.received(), /^HTTP\/1\.1 400 /);
});

test('wrong keys count as guesses on open routes too, which tell a stranger neither version nor encoder', async (context) => {
  const server = await startApplication(context, { apiKeys: API_KEYS });
  const statuses = new Set<number>();
  for (let count = 0; count < 40; count++) {
    const headers = { 'x-api-key': `wrong-key-${count}-0123456789` };
    statuses.add((await server.ask({ url: '/readyz', headers })).statusCode);
  }
  assert.deepEqual([...statuses], [200, 429]);
  assert.deepEqual((await server.ask({ url: '/readyz' })).json(), { status: 'ready', canary: 'empty' });
  assert.equal('version' in (await server.ask({ url: '/' })).json(), false);
  const known = await server.ask({ url: '/', headers: { 'x-api-key': KEYS.read } });
  assert.equal(typeof known.json().version, 'string');
  const docs = await server.app.inject({ url: '/docs/', headers: { accept: 'text/html' } });
  assert.equal(docs.statusCode, 200);
  const description = (await server.app.inject({ url: '/docs/json' })).json() as { info: { version: string } };
  assert.equal(description.info.version, '');
});

test('a slow readiness probe is joined, never started again beside itself', async (context) => {
  const server = await startApplication(context);
  const encoder = createPooledEncoder();
  let probes = 0;
  const encode = encoder.encode.bind(encoder);
  encoder.encode = async (...values) => {
    probes += 1;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return encode(...values);
  };
  const readiness = createReadiness({ encoder, catalogue: server.catalogue });
  const first = readiness.check();
  await new Promise((resolve) => setTimeout(resolve, 1200));
  await Promise.all([first, readiness.check()]);
  assert.equal(probes, 1);
});

test('one caller is one, whatever port a proxy appends and whatever address of its /64 it takes', async (context) => {
  for (const [address, caller] of [
    ['203.0.113.6', '203.0.113.6'],
    ['203.0.113.6:51234', '203.0.113.6'],
    ['::ffff:203.0.113.6', '203.0.113.6'],
    ['[2001:db8:1:2::1]:50000', '2001:db8:1:2::/64'],
    ['2001:0DB8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['unknown', 'unknown'],
  ] as const)
    assert.equal(callerAddress(address), caller);
  const server = await startApplication(context, {
    apiKeys: API_KEYS,
    trustProxy: '127.0.0.1',
  });
  const statuses = new Set<number>();
  for (let count = 0; count < 40; count++) {
    const headers = {
      'x-api-key': `wrong-key-${count}-0123456789`,
      'x-forwarded-for': `203.0.113.6:${50_000 + count}`,
    };
    statuses.add((await server.ask({ url: '/images', headers })).statusCode);
  }
  assert.deepEqual([...statuses], [401, 429]);
});

test('the metrics port refuses web pages and rebound names, and has the headers of all responses', async (context) => {
  const server = await startApplication(context);
  const app = await buildMetricsApp({ monitoring: server.monitoring, settings: server.settings });
  context.after(() => app.close());
  const response = await app.inject({ url: '/metrics', headers: { host: '127.0.0.1:9' } });
  assert.equal(response.statusCode, 200);
  assert.equal(response.headers['x-content-type-options'], 'nosniff');
  assert.ok(String(response.headers['content-security-policy']).includes("default-src 'none'"));
  for (const headers of [{ host: 'evil.example' }, { host: '127.0.0.1', 'sec-fetch-site': 'cross-site' }])
    assert.equal((await app.inject({ url: '/metrics', headers })).statusCode, 403);
});

test('messages name the parameter, the value and the remedy', async (context) => {
  const server = await startApplication(context);
  await server.ask({ method: 'POST', url: '/index?id=a', ...raw(await picture(1)) });
  const message = async (options: Parameters<typeof server.ask>[0], status: number): Promise<string> => {
    const response = await server.ask(options);
    assert.equal(response.statusCode, status, response.body);
    return (response.json() as { message: string }).message;
  };
  assert.match(await message({ url: '/search?id=a&_=1' }, 400), /"_" is not known.*known are .*minScore/);
  assert.match(await message({ url: '/search?id=a&k=abc' }, 400), /"k".*integer.*"abc"/);
  assert.match(await message({ url: '/search?id=a&k=5000' }, 400), /"k".*1000.*5000/);
  for (const value of ['Infinity', '-Infinity', '1e400'])
    assert.match(await message({ url: `/search?id=a&k=${value}` }, 400), /"k"/);
  const json = { 'content-type': 'application/json' };
  const base64 = JSON.stringify({ image: 'data:image/jpeg;base64,AAAA' });
  const post = { method: 'POST' as const, url: '/search' };
  assert.match(await message({ ...post, headers: json, payload: base64 }, 400), /"image" is not known.*multipart/);
  const stored = { ...post, url: '/index', headers: json, payload: base64 };
  assert.match(await message(stored, 400), /"image" is not known.*multipart/);
  const bytes = await picture(2);
  const untyped = await message({ ...post, payload: bytes, headers: { 'content-type': '' } }, 415);
  assert.match(untyped, /no content type.*image\/jpeg/i);
  assert.match(
    await message({ ...post, payload: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415),
    /application\/x-www-form-urlencoded.*multipart\/form-data/,
  );
  assert.equal(
    (await server.ask({ ...post, payload: bytes, headers: { 'content-type': 'binary/octet-stream' } })).statusCode,
    200,
  );
  const zipped = { 'content-type': 'image/png', 'content-encoding': 'gzip' };
  assert.match(await message({ ...post, payload: bytes, headers: zipped }, 415), /Content-Encoding gzip/);
  const wrongMethod = await server.ask({ method: 'DELETE', url: '/search' });
  assertError(wrongMethod, { status: 405, code: 'METHOD_NOT_ALLOWED' });
  assert.equal(wrongMethod.headers.allow, 'GET, HEAD, POST');
});

test('JSON in a part with a file name is the field of its name; a part of an image type without one is a file', async (context) => {
  const server = await startApplication(context);
  const metadata = { name: 'metadata', fileName: 'blob', type: 'application/json', content: '{"a":1}' };
  const image = { name: 'image', type: 'image/png', content: await picture(1) };
  const stored = await server.ask({
    method: 'POST',
    url: '/index?id=a',
    ...form(metadata, { ...image, fileName: 'a.png' }),
  });
  assert.equal(stored.statusCode, 201, stored.body);
  assert.deepEqual([stored.json().added, stored.json().failed], [1, 0]);
  assert.deepEqual((await server.ask({ url: '/images/a' })).json().metadata, { a: 1 });
  const unnamed = await server.ask({
    method: 'POST',
    url: '/index?id=b',
    ...form({ ...image, content: await picture(2) }),
  });
  assert.equal(unnamed.statusCode, 201, unnamed.body);
  const filter = { name: 'filter', fileName: 'blob', type: 'application/json', content: '{"field":"a","equals":1}' };
  const found = await server.ask({ method: 'POST', url: '/search', ...form(filter, { ...image, fileName: 'a.png' }) });
  assert.equal(found.statusCode, 200, found.body);
  assert.deepEqual(
    (found.json() as { results: { id: string }[] }).results.map(({ id }) => id),
    ['a'],
  );
});

test('ids may hold slashes in paths, as behind a proxy that decodes them', async (context) => {
  const server = await startApplication(context);
  await server.ask({ method: 'POST', url: '/index?id=dress%2F1.jpg', ...raw(await picture(1)) });
  for (const url of [
    '/images/dress/1.jpg',
    '/images/dress%2F1.jpg',
    '/images/dress/1.jpg/thumbnail?v=x',
    '/images/dress/1.jpg/similar',
  ])
    assert.equal((await server.app.inject({ url })).statusCode, 200, url);
  assertError(await server.ask({ url: '/images/dress/2.jpg' }), { status: 404, code: 'NOT_FOUND' });
  assert.equal((await server.app.inject({ method: 'DELETE', url: '/images/dress/1.jpg' })).statusCode, 204);
});

test('a collection that does not exist is an error, an empty one is not', async (context) => {
  const server = await startApplication(context);
  for (const path of ['/images', '/images/a', '/images/a/thumbnail', '/images/a/original', '/images/a/similar', '/map'])
    assertError(await server.ask({ url: `${path}?collection=none` }), { status: 404, code: 'COLLECTION_NOT_FOUND' });
  assertError(await server.ask({ url: '/search?id=a&collection=none' }), { status: 404, code: 'COLLECTION_NOT_FOUND' });
  const pair = { payload: '{"a": {"id": "a"}, "b": {"id": "b"}}', headers: { 'content-type': 'application/json' } };
  const comparison = await server.ask({ method: 'POST', url: '/compare?collection=none', ...pair });
  assertError(comparison, { status: 404, code: 'COLLECTION_NOT_FOUND' });
  for (const url of ['/images/a?collection=none', '/collections/none'])
    assertError(await server.ask({ method: 'DELETE', url }), { status: 404, code: 'COLLECTION_NOT_FOUND' });
  const search = await server.ask({ method: 'POST', url: '/search?collection=none', ...raw(await picture(1)) });
  assertError(search, { status: 404, code: 'COLLECTION_NOT_FOUND' });
  assert.equal((await server.ask({ url: '/images' })).statusCode, 200);
  assert.equal((await server.ask({ url: '/images?collection=default' })).statusCode, 200);
  assertError(await server.ask({ url: '/images/a' }), { status: 404, code: 'NOT_FOUND' });
});
