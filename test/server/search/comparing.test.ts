import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import type { Comparison, SearchPage } from '../../../src/client/client.js';
import { assertError, type FormPart, form, raw, startApplication, type TestApplication } from '../application.js';
import { photo, store } from './stored-photos.js';

async function compare(server: TestApplication, ...parts: readonly FormPart[]): Promise<Comparison> {
  const response = await server.ask({ method: 'POST', url: '/compare', ...form(...parts) });
  assert.equal(response.statusCode, 200, response.body);
  return response.json() as Comparison;
}

const file = (name: string, content: Buffer): FormPart => ({
  name,
  fileName: `${name}.png`,
  type: 'image/png',
  content,
});

test('two pictures are compared over a real connection, sent or stored or one of each', async (context) => {
  const server = await startApplication(context);
  const { url } = await server.listen();
  await store(server, 'p1', await photo(1));
  await store(server, 'p2', await photo(2));
  const body = new FormData();
  body.set('a', new Blob([Uint8Array.from(await photo(1))]), 'a.png');
  body.set('bId', 'p1');
  const sent = await fetch(`${url}/compare`, { method: 'POST', body });
  assert.equal(sent.status, 200);
  const same = (await sent.json()) as Comparison;
  assert.deepEqual([same.copy, same.probability, same.similar], ['exact', 1, true]);
  assert.deepEqual([same.match, same.band], ['same', { name: 'same', probability: 1 }], 'deprecated');
  assert.ok(same.score > 0.999 && same.score <= 1 && same.hashes.distance === 0 && same.hashes.threshold === 31);

  const stored = await server.ask({ method: 'POST', url: '/compare', payload: { a: { id: 'p1' }, b: { id: 'p2' } } });
  assert.equal(stored.statusCode, 200, stored.body);
  const other = stored.json() as Comparison;
  assert.deepEqual([other.copy, other.probability < 0.5], ['none', true]);
  assert.ok(other.hashes.distance! > 60, stored.body);
});

test('a crop compared with its original is an edited copy', async (context) => {
  const server = await startApplication(context);
  const crop = await sharp(await photo(3))
    .extract({ left: 20, top: 10, width: 150, height: 160 })
    .jpeg()
    .toBuffer();
  const { copy, probability, hashes } = await compare(server, file('a', crop), file('b', await photo(3)));
  assert.equal(copy, 'edited');
  assert.ok(probability >= 0.8, String(probability));
  assert.ok(hashes.distance! > 31, 'which its hash does not tell');
  const whole = await compare(server, file('a', await photo(3)), file('b', crop));
  assert.equal(whole.copy, 'edited', 'either way round');
});

test('regions are told where the encoder has a feature map, and why not where it has none', async (context) => {
  const without = await startApplication(context);
  const { regions } = await compare(without, file('a', await photo(1)), file('b', await photo(1)));
  assert.equal(regions.available, false);
  assert.match(regions.reason ?? '', /pooled-test has no local feature map/);

  const server = await startApplication(context, {}, { hasFeatures: true });
  const found = await compare(server, file('a', await photo(1)), file('b', await photo(1)));
  const whole = { x: 0, y: 0, width: 1, height: 1 };
  assert.equal(found.regions.available, true);
  assert.deepEqual([found.regions.pairs?.[0]?.a, found.regions.pairs?.[0]?.b], [whole, whole]);

  await store(server, 'p1', await photo(1));
  await store(server, 'p2', await photo(2));
  for (const asked of [
    { url: '/search?include=regions&k=2', method: 'POST' as const, ...raw(await photo(1)) },
    { url: '/search?id=p1&include=vector,regions&k=2' },
  ]) {
    const response = await server.ask(asked);
    assert.equal(response.statusCode, 200, response.body);
    const { results } = response.json() as SearchPage;
    assert.ok(results.length > 0);
    for (const { id, regions } of results) {
      assert.ok(regions?.available);
      if (id === 'p1') assert.ok((regions.pairs[0]?.a.width ?? 0) > 0.8, JSON.stringify(regions));
    }
  }
  const elsewhere = await without.ask({ url: '/search?include=regions', method: 'POST', ...raw(await photo(1)) });
  assert.equal(elsewhere.statusCode, 200);
});

test('a comparison of anything but two pictures is refused, as are regions of more than one picture or many results', async (context) => {
  const server = await startApplication(context, {}, { hasFeatures: true });
  await store(server, 'p1', await photo(1));
  const bytes = await photo(2);
  for (const parts of [
    [file('a', bytes)],
    [file('a', bytes), file('c', bytes)],
    [file('a', bytes), file('b', bytes), { name: 'aId', content: 'p1' }],
  ]) {
    assertError(await server.ask({ method: 'POST', url: '/compare', ...form(...parts) }), {
      status: 400,
      code: 'INVALID_REQUEST',
    });
  }
  const missing = await server.ask({
    method: 'POST',
    url: '/compare',
    payload: { a: { id: 'p1' }, b: { id: 'gone' } },
  });
  assertError(missing, { status: 404, code: 'NOT_FOUND' });
  const unreadable = await server.ask({
    method: 'POST',
    url: '/compare',
    ...form(file('a', Buffer.from('no picture')), { name: 'bId', content: 'p1' }),
  });
  assertError(unreadable, { status: 415, code: 'UNSUPPORTED_FORMAT' });
  assertError(await server.ask({ url: '/search?id=p1&include=regions&k=21' }), {
    status: 400,
    code: 'INVALID_REQUEST',
  });
  assertError(await server.ask({ url: '/search?id=p1&negativeId=p1&include=regions' }), {
    status: 400,
    code: 'INVALID_REQUEST',
  });
});
