import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RouteOptions } from 'fastify';
import { isLoopback, readApiKeys, requireKeysOffLoopback } from '../../src/server/auth.js';
import { API_KEYS, assertError, KEYS, picture, raw, startApplication } from './application.js';

/**
 * Who may use which route: the specification. A route that is not listed here fails the test, so that a new one is
 * thought about.
 */
const ACCESS: { readonly [route: string]: 'open' | 'read' | 'write' | 'admin' } = {
  'GET /': 'open',
  'GET /livez': 'open',
  'GET /healthz': 'open',
  'GET /readyz': 'open',
  'GET /metrics': 'read',
  'GET /openapi.yaml': 'read',
  'GET /search': 'read',
  'POST /search': 'read',
  'POST /compare': 'read',
  'GET /stats': 'read',
  'GET /map': 'read',
  'GET /encoder/report': 'read',
  'POST /index': 'write',
  'GET /images': 'read',
  'GET /images/:id': 'read',
  'PATCH /images/:id': 'write',
  'DELETE /images/:id': 'write',
  'GET /images/:id/similar': 'read',
  'GET /images/:id/thumbnail': 'read',
  'GET /images/:id/original': 'read',
  'GET /collections': 'read',
  'DELETE /collections/:name': 'write',
  'POST /imports': 'write',
  'GET /imports': 'write',
  'GET /imports/:id': 'write',
  'GET /imports/:id/failures': 'write',
  'GET /imports/:id/events': 'write',
  'POST /imports/:id/retry': 'write',
  'DELETE /imports/:id': 'write',
  'GET /likeness-search.js': 'open',
  'POST /snapshots': 'admin',
  'GET /snapshots': 'admin',
  'GET /snapshots/:name': 'admin',
  'DELETE /snapshots/:name': 'admin',
};
const RANK = { none: 0, open: 0, read: 1, write: 2, admin: 3 } as const;

test('each route asks for the role that the specification says, for every kind of key', async (context) => {
  const routes: RouteOptions[] = [];
  const server = await startApplication(context, { apiKeys: API_KEYS }, { onRoute: (route) => routes.push(route) });
  const walked = routes.flatMap(({ method, url }) => [method].flat().map((name) => `${name} ${url}`));
  assert.ok(walked.includes('POST /index') && walked.some((route) => route.startsWith('GET /docs')));
  for (const route of new Set(walked)) {
    const [method, url] = route.split(' ') as [string, string];
    const demanded = url.startsWith('/docs')
      ? 'open'
      : url.startsWith('/assets/')
        ? 'open'
        : ACCESS[method === 'HEAD' ? `GET ${url}` : route];
    assert.ok(demanded, `${route} is not in the specification`);
    for (const role of ['none', 'read', 'write', 'admin'] as const) {
      const path = url.replace(':id', 'none').replace('*', 'index.css');
      const headers = role === 'none' ? {} : { 'x-api-key': KEYS[role] };
      const { statusCode } = await server.app.inject({ method: method as 'GET', url: path, headers });
      const isAdmitted = statusCode !== 401 && statusCode !== 403;
      assert.equal(isAdmitted, RANK[role] >= RANK[demanded], `${route} as ${role}: ${statusCode}`);
      if (!isAdmitted) assert.equal(statusCode, role === 'none' ? 401 : 403);
    }
  }
  context.diagnostic(`${new Set(walked).size} routes with each kind of key`);
});

test('a key counts in either header, and nowhere else', async (context) => {
  const server = await startApplication(context, { apiKeys: API_KEYS });
  const get = (headers: Record<string, string>, url = '/images') => server.ask({ url, headers });
  assert.equal((await get({ 'x-api-key': KEYS.read })).statusCode, 200);
  assert.equal((await get({ authorization: `Bearer ${KEYS.read}` })).statusCode, 200);
  for (const headers of [
    {},
    { 'x-api-key': `${KEYS.read}x` },
    { 'x-api-key': KEYS.read.slice(0, -1) },
    { 'x-api-key': '' },
    { authorization: KEYS.read },
    { authorization: `Basic ${KEYS.read}` },
    { authorization: 'Bearer ' },
  ]) {
    const response = await get(headers);
    assertError(response, { status: 401, code: 'UNAUTHORISED' });
    assert.equal(response.headers['www-authenticate'], 'Bearer');
  }
  assertError(await get({}, `/images?api_key=${KEYS.read}`), { status: 401, code: 'UNAUTHORISED' });
  assertError(await get({}, '/nowhere'), { status: 404, code: 'NOT_FOUND' });
});

test('whoever guesses keys is slowed down; a valid key from the same address is not', async (context) => {
  const server = await startApplication(context, { apiKeys: API_KEYS });
  const codes = new Map<number, number>();
  for (let guess = 0; guess < 1000; guess++) {
    const { statusCode } = await server.app.inject({ url: '/images', headers: { 'x-api-key': `guess-${guess}` } });
    codes.set(statusCode, (codes.get(statusCode) ?? 0) + 1);
  }
  assert.deepEqual([...codes.keys()].sort(), [401, 429]);
  assert.ok(codes.get(401)! < 100);
  assert.equal((await server.ask({ url: '/images', headers: { 'x-api-key': KEYS.read } })).statusCode, 200);
});

test('no key stands in the log, in a metric or in an answer, wherever it was sent', async (context) => {
  const server = await startApplication(context, { apiKeys: API_KEYS });
  const answers: string[] = [];
  for (const key of [...Object.values(KEYS), 'wrong-key-9876543210']) {
    for (const url of [
      '/images',
      `/images?key=${key}`,
      `/images/${encodeURIComponent('x')}?api_key=${key}`,
      '/metrics',
      '/search',
    ]) {
      for (const headers of [{ 'x-api-key': key }, { authorization: `Bearer ${key}` }])
        answers.push((await server.ask({ url, headers })).body);
    }
    const picked = await picture(1);
    answers.push(
      (
        await server.ask({
          method: 'POST',
          url: '/search',
          ...raw(picked),
          headers: { 'x-api-key': key, 'content-type': 'image/png' },
        })
      ).body,
    );
  }
  const metrics = await server.monitoring.registry.metrics();
  assert.ok(server.log.length > 20);
  for (const secret of [...Object.values(KEYS), 'wrong-key-9876543210']) {
    for (const text of [...server.log, metrics, ...answers]) assert.ok(!text.includes(secret), text.slice(0, 300));
  }
});

test('without keys no web page gets in: neither another origin nor a name rebound to this machine', async (context) => {
  const server = await startApplication(context);
  const get = (headers: Record<string, string>) => server.ask({ url: '/images', headers });
  for (const headers of [
    { host: 'evil.example:8080' },
    { host: 'localhost:8080', origin: 'http://evil.example' },
    { host: 'localhost:8080', origin: 'null' },
    { host: 'localhost:8080', origin: 'http://localhost:9999' },
    { host: 'localhost.evil.example' },
  ]) {
    assertError(await get(headers), { status: 403, code: 'FORBIDDEN' });
  }
  for (const headers of [
    { host: 'localhost:8080' },
    { host: '127.0.0.1:1' },
    { host: '[::1]:80' },
    { host: 'localhost:8080', origin: 'http://localhost:8080' },
  ]) {
    assert.equal((await get(headers)).statusCode, 200);
  }
});

test('keys are read from the setting and the file, every fault is told at once, and none of them is told itself', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-keys-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'keys');
  const hex = createHash('sha256').update('a key from the file').digest('hex');
  await writeFile(path, `# keys\n\nwrite ${hex}  # of the importer\n`);
  const keys = await readApiKeys({ apiKeys: API_KEYS, apiKeysFile: path });
  assert.deepEqual(
    keys.map(({ role }) => role),
    ['read', 'write', 'admin', 'write'],
  );
  assert.equal(keys[3]?.digest.toString('hex'), hex);
  await writeFile(path, `boss ${hex}\nread nohex\nread ${hex} more\n`);
  await assert.rejects(
    readApiKeys({ apiKeys: 'secret-secret-secret,read:short,king:long-enough-for-a-key', apiKeysFile: path }),
    (error: Error) => {
      for (const fault of ['entry 1', 'entry 2', 'entry 3', 'line 1', 'line 2', 'line 3'])
        assert.ok(error.message.includes(fault), fault);
      assert.doesNotMatch(error.message, /secret-secret|long-enough/);
      return true;
    },
  );
  await assert.rejects(readApiKeys({ apiKeys: '', apiKeysFile: join(folder, 'missing') }), {
    code: 'INVALID_SETTINGS',
  });
});

test('the service listens to strangers only with keys', () => {
  const key = { id: 'x', role: 'read' as const, digest: Buffer.alloc(32) };
  for (const host of ['127.0.0.1', '127.8.9.1', '::1', 'localhost', '[::1]']) assert.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '::', '192.168.1.2', 'example.org', '', '127.0.0.1.evil.example', '::ffff:0.0.0.0']) {
    assert.ok(!isLoopback(host), host);
    assert.throws(() => requireKeysOffLoopback({ host, trustProxy: '' }, []), { code: 'INVALID_SETTINGS' });
    requireKeysOffLoopback({ host, trustProxy: '' }, [key]);
  }
});
