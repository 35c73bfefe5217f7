import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertError, form, picture, raw, startApplication, type TestApplication } from './application.js';

type Image = {
  readonly id: string;
  readonly metadata: { readonly [key: string]: unknown };
  readonly thumbnailUrl: string;
  readonly sha256: string;
};
type Page = { readonly images: readonly Image[]; readonly nextCursor?: string };

async function store(server: TestApplication, count: number): Promise<void> {
  for (let seed = 1; seed <= count; seed++) {
    const metadata = { name: 'metadata', content: JSON.stringify({ half: seed <= count / 2 ? 'first' : 'second' }) };
    const file = { name: 'file', fileName: `${seed}.png`, content: await picture(seed) };
    const response = await server.ask({ method: 'POST', url: `/index?id=p${seed}`, ...form(metadata, file) });
    assert.equal(response.statusCode, 201, response.body);
  }
}

test('pages walk through every image once, filtered where asked', async (context) => {
  const server = await startApplication(context);
  await store(server, 7);
  const walk = async (query: string): Promise<string[]> => {
    const ids: string[] = [];
    let cursor: string | undefined;
    do {
      const response = await server.ask({
        url: `/images?limit=3${query}${cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
      });
      assert.equal(response.statusCode, 200, response.body);
      const page = response.json() as Page;
      assert.ok(page.images.length <= 3);
      ids.push(...page.images.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return ids;
  };
  assert.deepEqual(await walk(''), ['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7']);
  assert.deepEqual(await walk(`&filter=${encodeURIComponent('{"field":"half","equals":"first"}')}`), [
    'p1',
    'p2',
    'p3',
  ]);
  assert.equal((await server.ask({ url: '/images?collection=empty' })).json().code, 'COLLECTION_NOT_FOUND');
  for (const query of ['limit=0', 'limit=1001', 'limit=x', 'cursor=', 'page=2', 'cursor=%00garbage']) {
    assertError(await server.ask({ url: `/images?${query}` }), { status: 400, code: 'INVALID_REQUEST' });
  }
  const { collections } = (await server.ask({ url: '/collections' })).json() as {
    collections: { name: string; images: number }[];
  };
  assert.deepEqual(
    collections.map(({ name, images }) => [name, images]),
    [['default', 7]],
  );
});

test('one image: its record, its change by merge patch, its like, its end', async (context) => {
  const server = await startApplication(context);
  await store(server, 4);
  const record = (await server.ask({ url: '/images/p2' })).json() as Image;
  assert.match(record.sha256, /^[0-9a-f]{64}$/);
  assert.deepEqual(record.metadata, { half: 'first' });

  const patch = (payload: object | string, type = 'application/json') =>
    server.ask({ method: 'PATCH', url: '/images/p2', payload, headers: { 'content-type': type } });
  const patched = await patch({ metadata: { half: null, size: { w: 1 } } });
  assert.deepEqual((patched.json() as Image).metadata, { size: { w: 1 } });
  const merged = await patch(JSON.stringify({ metadata: { size: { h: 2 } } }), 'application/merge-patch+json');
  assert.deepEqual((merged.json() as Image).metadata, { size: { w: 1, h: 2 } });
  for (const payload of [
    {},
    { metadata: [] },
    { metadata: 'x' },
    { metadata: {}, id: 'other' },
    { tenant: 1 },
    '{',
    '{"metadata":{"__proto__":1}}',
    '',
  ]) {
    assertError(await patch(payload), { status: 400, code: 'INVALID_REQUEST' });
  }
  assertError(await patch(`{"metadata":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}}`), {
    status: 413,
    code: 'UPLOAD_TOO_LARGE',
  });
  assertError(await patch(`{"metadata":${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}}`), {
    status: 400,
    code: 'INVALID_REQUEST',
  });
  assertError(await patch('metadata=1', 'application/x-www-form-urlencoded'), {
    status: 415,
    code: 'UNSUPPORTED_MEDIA_TYPE',
  });

  const similar = (await server.ask({ url: '/images/p2/similar?k=2' })).json() as { results: { id: string }[] };
  assert.equal(similar.results.length, 2);
  assert.ok(
    similar.results.every(({ id }) => id !== 'p2'),
    'an image is not its own neighbour',
  );

  const removed = await server.ask({ method: 'DELETE', url: '/images/p2' });
  assert.equal(removed.statusCode, 204);
  assert.equal(removed.body, '');
  const search = await server.ask({ method: 'POST', url: '/search', ...raw(await picture(2)) });
  assert.ok((search.json() as { results: { id: string }[] }).results.every(({ id }) => id !== 'p2'));
  for (const [method, url] of [
    ['GET', '/images/p2'],
    ['GET', '/images/p2/thumbnail'],
    ['GET', '/images/p2/original'],
    ['GET', '/images/p2/similar'],
    ['DELETE', '/images/p2'],
  ] as const) {
    assertError(await server.ask({ method, url }), { status: 404, code: 'NOT_FOUND' });
  }
  assertError(await patch({ metadata: {} }), { status: 404, code: 'NOT_FOUND' });
});

test('a thumbnail is kept by caches for as long as it is the same picture', async (context) => {
  const server = await startApplication(context);
  await store(server, 1);
  const { thumbnailUrl } = (await server.ask({ url: '/images/p1' })).json() as Image;
  const response = await server.ask({ url: thumbnailUrl });
  assert.equal(response.headers['content-type'], 'image/webp');
  assert.equal(response.rawPayload.subarray(8, 12).toString(), 'WEBP');
  assert.match(String(response.headers['cache-control']), /private.*immutable/);
  assert.equal(response.headers['x-content-type-options'], 'nosniff');
  const etag = String(response.headers.etag);
  const again = await server.ask({ url: thumbnailUrl, headers: { 'if-none-match': `"other", W/${etag}` } });
  assert.equal(again.statusCode, 304);
  assert.equal(again.rawPayload.length, 0);
  await server.ask({ method: 'POST', url: '/index?id=p1&replace=true', ...raw(await picture(9)) });
  const replaced = (await server.ask({ url: '/images/p1' })).json() as Image;
  assert.notEqual(replaced.thumbnailUrl, thumbnailUrl, 'the address changes with the picture');
  const plain = await server.ask({ url: '/images/p1/thumbnail', headers: { 'if-none-match': etag } });
  assert.equal(plain.statusCode, 200);
  assert.match(String(plain.headers['cache-control']), /no-cache/);
});

test('records and results name the original where it was kept, and say beforehand where not', async (context) => {
  type Named = { readonly originalUrl: string | null };
  const namesOf = async (server: TestApplication): Promise<readonly (string | null)[]> => {
    const [record, list, search] = await Promise.all([
      server.ask({ url: '/images/p1' }),
      server.ask({ url: '/images' }),
      server.ask({ url: '/images/p2/similar' }),
    ]);
    const { images } = list.json() as { images: Named[] };
    const { results } = search.json() as { results: Named[] };
    return [record.json() as Named, images[0]!, results[0]!].map(({ originalUrl }) => originalUrl);
  };
  const without = await startApplication(context);
  await store(without, 2);
  assert.deepEqual(await namesOf(without), [null, null, null]);

  const server = await startApplication(context, { keepOriginals: true });
  await store(server, 2);
  const [name, ...others] = await namesOf(server);
  assert.deepEqual(others, [name, name]);
  const original = await server.ask({ url: name! });
  assert.deepEqual(original.rawPayload, await picture(1));
  assert.match(String(original.headers['cache-control']), /private.*immutable/);
  assert.match(String(original.headers['content-disposition']), /^attachment/);
  await server.ask({ method: 'POST', url: '/index?id=p1&replace=true', ...raw(await picture(9)) });
  assert.notEqual((await namesOf(server))[0], name, 'the address changes with the picture');
  assert.match(String((await server.ask({ url: '/images/p1/original' })).headers['cache-control']), /no-cache/);
});

test('ids that no URL should carry are refused', async (context) => {
  const server = await startApplication(context);
  assertError(await server.ask({ url: `/images/${'x'.repeat(256)}` }), { status: 400, code: 'INVALID_REQUEST' });
  assertError(await server.ask({ url: '/images/%00' }), { status: 400, code: 'INVALID_REQUEST' });
  assertError(await server.ask({ url: '/images/a%E2%80%AEb' }), { status: 400, code: 'INVALID_REQUEST' });
  for (const url of ['/images/%', '/images/%ff%fe', `/images/${'y'.repeat(5000)}`]) {
    const response = await server.app.inject({ url });
    assertError(response, { status: 400, code: 'INVALID_REQUEST' });
  }
});
