import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InjectOptions, RouteOptions } from 'fastify';
import { parseGrant, readApiKeys } from '../../src/server/auth.js';
import { assertError, form, picture, raw, startApplication, type TestApplication } from './application.js';

/** Stands in everything of the neighbour that could be told: its collection, ids, metadata, file names. */
const SECRET = 'neighbours-secret';
const KEYS = { own: 'own-key-0123456789abc', two: 'two-key-0123456789abc', admin: 'admin-key-0123456789' } as const;
const API_KEYS = `write@own:${KEYS.own},read@own+more:${KEYS.two},admin:${KEYS.admin}`;
const as = (key: keyof typeof KEYS) => ({ 'x-api-key': KEYS[key] });

async function twoTenants(
  context: Parameters<typeof startApplication>[0],
  replaced: Parameters<typeof startApplication>[2] = {},
): Promise<TestApplication> {
  const server = await startApplication(context, { apiKeys: API_KEYS, keepOriginals: true }, replaced);
  for (const [collection, prefix, seeds] of [
    ['own', 'own', [1, 2, 3]],
    [SECRET, SECRET, [1, 2, 3, 4, 5]],
  ] as const) {
    for (const seed of seeds) {
      const body = form(
        { name: 'metadata', content: JSON.stringify({ owner: prefix }) },
        { name: 'file', fileName: `${prefix}.png`, content: await picture(seed) },
      );
      const url = `/index?collection=${collection}&id=${prefix}-${seed}`;
      const response = await server.ask({
        method: 'POST',
        url,
        payload: body.payload,
        headers: { ...body.headers, ...as('admin') },
      });
      assert.equal(response.statusCode, 201, response.body);
    }
  }
  return server;
}

/** A request that each route would take, so that it is refused for its collection and for nothing else. */
async function requestFor(method: string, url: string, id: string): Promise<InjectOptions & { readonly url: string }> {
  const json = { 'content-type': 'application/json' };
  const base = { method: method as 'GET', url: url.replace(':id', id).replace(':name', id).replace('*', 'index.css') };
  if (method === 'PATCH') return { ...base, payload: '{"metadata": {"stolen": true}}', headers: json };
  if (url === '/compare') return { ...base, payload: JSON.stringify({ a: { id }, b: { id: 'own-2' } }), headers: json };
  if (method === 'POST' && url === '/imports') return { ...base, payload: '{"demo": true}', headers: json };
  if (method === 'POST' && ['/search', '/index'].includes(url)) return { ...base, ...raw(await picture(1)) };
  return base;
}

test("no route tells a key more of another's collection than of one that does not exist, and none changes it", async (context) => {
  const routes: RouteOptions[] = [];
  const server = await twoTenants(context, { onRoute: (route) => routes.push(route) });
  const before = (await server.ask({ url: `/images?collection=${SECRET}`, headers: as('admin') })).body;
  const collectionsBefore = (await server.ask({ url: '/collections', headers: as('admin') })).body;
  const names = new Set(routes.flatMap(({ method, url }) => [method].flat().map((name) => `${name} ${url}`)));
  assert.ok(names.size > 20);
  for (const name of names) {
    const [method, url] = name.split(' ') as [string, string];
    for (const id of [`${SECRET}-1`, 'own-1']) {
      const answers = [];
      for (const collection of [SECRET, 'nowhere-at-all']) {
        const request = await requestFor(method, url, id);
        const answer = await server.ask({
          ...request,
          url: `${request.url}?collection=${collection}`,
          headers: { ...request.headers, ...as('own') },
        });
        const body = answer.body
          .replaceAll(`${SECRET}-1`, 'ID')
          .replaceAll(collection, 'COLLECTION')
          .replaceAll(/"uptimeSeconds":[0-9.]+/g, '');
        assert.ok(!body.includes(SECRET), `${name}: ${body.slice(0, 300)}`);
        answers.push(`${answer.statusCode} ${body}`);
      }
      assert.equal(answers[0], answers[1], name);
    }
  }
  // Without naming the collection: the neighbour's ids are not to be had either, nor its totals.
  for (const name of names) {
    const [method, url] = name.split(' ') as [string, string];
    if (method === 'DELETE' || url.startsWith('/docs')) continue;
    const request = await requestFor(method, url, `${SECRET}-1`);
    const { body } = await server.ask({ ...request, headers: { ...request.headers, ...as('own') } });
    assert.ok(!body.replaceAll(`\\"${SECRET}-1\\"`, 'ID').includes(SECRET), `${name}: ${body.slice(0, 300)}`);
  }
  const removal = { method: 'DELETE', url: `/collections/${SECRET}`, headers: as('own') } as const;
  assert.equal((await server.ask(removal)).statusCode, 404);
  assert.equal((await server.ask({ url: `/images?collection=${SECRET}`, headers: as('admin') })).body, before);
  const changed = JSON.parse((await server.ask({ url: '/collections', headers: as('admin') })).body) as {
    collections: { name: string }[];
  };
  const untouched = (list: { name: string }[]) => list.filter(({ name }) => name === SECRET);
  assert.deepEqual(
    untouched(changed.collections),
    untouched((JSON.parse(collectionsBefore) as typeof changed).collections),
  );
});

test('a key limited to one collection uses it unnamed, and finds nothing but its own', async (context) => {
  const server = await twoTenants(context);
  const list = (await server.ask({ url: '/images', headers: as('own') })).json() as { images: { id: string }[] };
  assert.deepEqual(
    list.images.map(({ id }) => id),
    ['own-1', 'own-2', 'own-3'],
  );
  const collections = (await server.ask({ url: '/collections', headers: as('own') })).json() as {
    collections: { name: string }[];
  };
  assert.deepEqual(
    collections.collections.map(({ name }) => name),
    ['own'],
  );
  const body = raw(await picture(4));
  const asked = [
    await server.ask({ method: 'POST', url: '/search?k=100', ...body, headers: { ...body.headers, ...as('own') } }),
    await server.ask({ url: '/search?k=100&id=own-1', headers: as('own') }),
    await server.ask({ url: '/images/own-1/similar?k=100', headers: as('own') }),
  ];
  for (const [place, answer] of asked.entries()) {
    const { results } = answer.json() as { results: { id: string }[] };
    assert.deepEqual(
      results.map(({ id }) => id).sort(),
      place === 0 ? ['own-1', 'own-2', 'own-3'] : ['own-2', 'own-3'],
    );
  }
  // The same bytes as a neighbour's are new here: nobody learns that they were there.
  const added = await server.ask({
    method: 'POST',
    url: '/index',
    ...body,
    headers: { ...body.headers, ...as('own') },
  });
  assert.equal(added.statusCode, 201);
  assert.equal((added.json() as { added: number }).added, 1);
});

test("a foreign collection is refused wherever a request names it, and a stored neighbour's id finds nothing", async (context) => {
  const server = await twoTenants(context);
  const file = { name: 'file', fileName: 'x.png', content: await picture(1) };
  const inForm = form({ name: 'collection', content: SECRET }, file);
  const json = { 'content-type': 'application/json' };
  const requests: (InjectOptions & { url: string })[] = [
    { method: 'POST', url: '/search', ...inForm },
    { method: 'POST', url: '/search', payload: JSON.stringify({ id: ['own-1'], collection: SECRET }), headers: json },
    {
      method: 'POST',
      url: '/search',
      payload: JSON.stringify({ id: ['own-1'], negativeId: [`${SECRET}-1`] }),
      headers: json,
    },
    { url: `/search?id=${SECRET}-1` },
    { url: `/search?id=own-1&negativeId=${SECRET}-1` },
    { url: `/search?id=${SECRET}-1&crop=0,0,0.5,0.5` },
    { method: 'DELETE', url: `/images/${SECRET}-1` },
  ];
  for (const request of requests) {
    const answer = await server.ask({ ...request, headers: { ...request.headers, ...as('own') } });
    assertError(answer, { status: 404, code: 'NOT_FOUND' });
  }
  assertError(await server.ask({ url: '/images', headers: as('two') }), { status: 400, code: 'INVALID_REQUEST' });
  assert.equal((await server.ask({ url: '/images?collection=more', headers: as('two') })).statusCode, 200);
  const named = form({ name: 'collection', content: 'own' }, file);
  const found = await server.ask({
    method: 'POST',
    url: '/search',
    ...named,
    headers: { ...named.headers, ...as('two') },
  });
  assert.equal(found.statusCode, 200, 'the form may name the collection that the query does not');
});

test('what tells of the whole service is for keys without limits', async (context) => {
  const server = await twoTenants(context);
  assertError(await server.ask({ url: '/metrics', headers: as('own') }), { status: 403, code: 'FORBIDDEN' });
  assertError(await server.ask({ url: '/encoder/report', headers: as('own') }), { status: 403, code: 'FORBIDDEN' });
  assert.equal((await server.ask({ url: '/metrics', headers: as('admin') })).statusCode, 200);
  assertError(await server.ask({ method: 'POST', url: '/snapshots', headers: as('own') }), {
    status: 403,
    code: 'FORBIDDEN',
  });
  const ready = async (headers: Record<string, string>) =>
    (await server.ask({ url: '/readyz', headers })).json() as { catalogue?: object };
  for (const headers of [{}, as('own'), { 'x-api-key': 'no-such-key-0123456789' }])
    assert.equal((await ready(headers)).catalogue, undefined);
  assert.deepEqual((await ready(as('admin'))).catalogue, { collections: 2, images: 8, rebuilding: false });
});

test('neither cursors nor links count what is written to other collections', async (context) => {
  const server = await twoTenants(context);
  const first = (await server.ask({ url: '/images?limit=1', headers: as('own') })).json() as {
    images: { thumbnailUrl: string }[];
    nextCursor: string;
  };
  assert.match(first.nextCursor, /^[A-Za-z0-9_-]{22}$/);
  const links = async (collection: string, id: string): Promise<string> => {
    const answer = await server.ask({ url: `/images/${id}?collection=${collection}`, headers: as('admin') });
    return new URL((answer.json() as { thumbnailUrl: string }).thumbnailUrl, 'http://x').searchParams.get('v') ?? '';
  };
  assert.equal(
    await links('own', 'own-1'),
    await links(SECRET, `${SECRET}-1`),
    'the same picture, whenever it was stored',
  );
  assert.notEqual(await links('own', 'own-1'), await links('own', 'own-2'));
});

test('a grant is a role, or a role and its collections; an administrator has no limits', async () => {
  assert.deepEqual(parseGrant('read'), { role: 'read' });
  assert.deepEqual(parseGrant('write@a+b.c+a'), { role: 'write', collections: ['a', 'b.c'] });
  for (const wrong of [
    '',
    'boss',
    'read@',
    'read@a+',
    'read@a,b',
    'read@a@b',
    'read@.a',
    'admin@a',
    '@a',
    'read@a b',
  ]) {
    assert.equal(typeof parseGrant(wrong), 'string', wrong);
  }
  const key = 'the-same-key-0123456789';
  await assert.rejects(
    readApiKeys({ apiKeys: `read@a:${key},read@b:${key}`, apiKeysFile: '' }),
    /entry 2: the key is there already, as read@a/,
  );
  assert.equal((await readApiKeys({ apiKeys: `read@a+b:${key},read@b+a:${key}`, apiKeysFile: '' })).length, 1);
});
