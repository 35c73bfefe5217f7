import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ImageId } from '../../../src/catalogue/catalogue.js';
import { createEmbeddingMaps, type EmbeddingMaps } from '../../../src/server/derived/embedding-maps.js';
import type { MapAnswerFields } from '../../../src/server/schemas/schemas.js';
import type { OpenCollection } from '../../../src/server/tenancy.js';
import { assertError, eventually, KEYS, picture, raw, startApplication, type TestApplication } from '../application.js';

const COLLECTION = 'default' as OpenCollection; // what the application opens for a request that names none

async function store(server: TestApplication, from: number, to: number, key: string = KEYS.admin): Promise<void> {
  for (let seed = from; seed <= to; seed++) {
    const { payload, headers } = raw(await picture(seed));
    const stored = await server.ask({
      method: 'POST',
      url: `/index?id=p${seed}`,
      payload,
      headers: { ...headers, 'x-api-key': key },
    });
    assert.equal(stored.statusCode, 201, stored.body);
  }
}

/** Maps of the server's catalogue by a clock of the test's own, in a folder of their own; closed when the test ends. */
function openMaps(context: TestContext, server: TestApplication, encoderId = 'an encoder') {
  const clock = { ms: Date.UTC(2026, 0, 1) };
  const failures: unknown[] = [];
  const folder = join(server.folder, 'other-maps');
  const onFailure = (error: unknown): void => void failures.push(error);
  // What takes any collection takes opened ones.
  const maps = createEmbeddingMaps({ catalogue: server.catalogue, folder, encoderId, onFailure, now: () => clock.ms });
  context.after(() => maps.close());
  return { maps, clock, failures, folder };
}

async function whenReady(maps: EmbeddingMaps): Promise<MapAnswerFields> {
  await eventually(async () => (await maps.mapOf(COLLECTION)).status === 'ready');
  return maps.mapOf(COLLECTION);
}

test('lays a collection out over a real connection, and leaves out what is removed', async (context) => {
  const server = await startApplication(context);
  const { url } = await server.listen();
  const map = async (): Promise<MapAnswerFields> => (await (await fetch(`${url}/map`)).json()) as MapAnswerFields;
  await store(server, 1, 9);
  assert.deepEqual(await map(), { status: 'empty', computedAt: null, images: 9, points: [] });
  await store(server, 10, 24);
  assert.deepEqual(await map(), { status: 'computing', computedAt: null, images: 24, points: [] });
  await eventually(async () => (await map()).status === 'ready');
  const ready = await map();
  assert.equal(ready.images, 24);
  assert.ok(Math.abs(Date.parse(ready.computedAt!) - Date.now()) < 60_000);
  const ids = Array.from({ length: 24 }, (_, place) => `p${place + 1}`);
  assert.deepEqual(ready.points.map(({ id }) => id).toSorted(), ids.toSorted());
  for (const axis of ['x', 'y'] as const) {
    const values = ready.points.map((point) => point[axis]);
    assert.deepEqual([Math.min(...values), Math.max(...values)], [0, 1]);
  }
  assert.equal((await server.ask({ url: '/map' })).statusCode, 200);

  assert.equal((await server.ask({ method: 'DELETE', url: '/images/p7' })).statusCode, 204);
  const after = await map();
  assert.deepEqual([after.status, after.images, after.computedAt], ['ready', 23, ready.computedAt]);
  assert.deepEqual(
    after.points,
    ready.points.filter(({ id }) => id !== 'p7'),
  );
});

test('a key limited to collections gets maps of those alone', async (context) => {
  const limited = 'limited-key-0123456789';
  const server = await startApplication(context, { apiKeys: `admin:${KEYS.admin},read@shop:${limited}` });
  await store(server, 1, 10);
  const ask = (url: string, key: string) => server.ask({ url, headers: { 'x-api-key': key } });
  assert.equal((await ask('/map?collection=default', KEYS.admin)).statusCode, 200);
  assertError(await ask('/map?collection=default', limited), { status: 404, code: 'NOT_FOUND' });
  assert.deepEqual((await ask('/map', limited)).json(), { status: 'empty', computedAt: null, images: 0, points: [] });
  assertError(await server.ask({ url: '/map' }), { status: 401, code: 'UNAUTHORISED' });
});

test('a map is kept for the next start, and not believed where anything about its file is in doubt', async (context) => {
  const server = await startApplication(context);
  await store(server, 1, 12);
  const first = openMaps(context, server);
  const map = await whenReady(first.maps);
  await first.maps.close();
  const [name, ...more] = await readdir(first.folder);
  assert.deepEqual(more, []);

  const next = openMaps(context, server);
  next.clock.ms += 1000;
  assert.deepEqual(await next.maps.mapOf(COLLECTION), map);

  const path = join(first.folder, name!);
  const whole = await readFile(path);
  const turned = Buffer.from(whole);
  turned[whole.length >> 1]! ^= 1;
  const damages = {
    'a turned bit': turned,
    'half of it': whole.subarray(0, whole.length >> 1),
    nothing: Buffer.alloc(0),
  };
  for (const [damage, bytes] of Object.entries(damages)) {
    await writeFile(path, bytes);
    const mistrustful = openMaps(context, server);
    mistrustful.clock.ms += 2000;
    assert.equal((await mistrustful.maps.mapOf(COLLECTION)).status, 'computing', damage);
    // The same sample and the same random numbers: the same map, anew.
    assert.deepEqual(await whenReady(mistrustful.maps), { ...map, computedAt: '2026-01-01T00:00:02.000Z' });
    await mistrustful.maps.close();
    assert.deepEqual(mistrustful.failures, []);
  }
  const others = openMaps(context, server, 'another encoder');
  assert.equal((await others.maps.mapOf(COLLECTION)).status, 'computing');
  await whenReady(others.maps);
});

test('a map is computed anew when a tenth has changed, but not at once again', async (context) => {
  const server = await startApplication(context);
  await store(server, 1, 20);
  const { maps, clock, failures, folder } = openMaps(context, server);
  const first = await whenReady(maps);
  clock.ms += 29_999;
  await store(server, 21, 22);
  const hardly = await maps.mapOf(COLLECTION);
  assert.deepEqual([hardly.status, hardly.images, hardly.points], ['ready', 22, first.points]);
  await store(server, 23, 23);
  assert.equal((await maps.mapOf(COLLECTION)).status, 'ready', 'the last map was begun just now');
  clock.ms += 1;
  const meanwhile = await maps.mapOf(COLLECTION);
  assert.deepEqual([meanwhile.status, meanwhile.points], ['computing', first.points]);
  const second = await whenReady(maps);
  assert.deepEqual([second.points.length, second.computedAt], [23, '2026-01-01T00:00:30.000Z']);

  for (let seed = 1; seed <= 14; seed++) await server.catalogue.remove(COLLECTION, `p${seed}` as ImageId);
  assert.deepEqual(await maps.mapOf(COLLECTION), { status: 'empty', computedAt: null, images: 9, points: [] });
  assert.deepEqual(await readdir(folder), [], 'a collection that is gone leaves no map');
  assert.deepEqual(failures, []);
});

test('litter in the folder of maps is removed, and maps of collections that are gone', async (context) => {
  const server = await startApplication(context);
  await store(server, 1, 10);
  const before = openMaps(context, server);
  await whenReady(before.maps);
  await before.maps.close();
  const [kept] = await readdir(before.folder);
  for (const litter of [`${kept}.1234.tmp`, `${'0'.repeat(32)}.map`]) await writeFile(join(before.folder, litter), 'x');
  await openMaps(context, server).maps.mapOf(COLLECTION);
  assert.deepEqual(await readdir(before.folder), [kept]);
});

test('what closes ends the map that is being computed, and nothing is left of it', async (context) => {
  const server = await startApplication(context);
  await store(server, 1, 10);
  const { maps, failures, folder } = openMaps(context, server);
  assert.equal((await maps.mapOf(COLLECTION)).status, 'computing');
  await maps.close();
  assert.deepEqual(await readdir(folder).catch(() => []), []);
  assert.deepEqual(failures, []);
  const after = await maps.mapOf(COLLECTION);
  assert.deepEqual([after.images, after.points], [10, []]);
  await maps.close();
});

test('a map that cannot be kept is reported, and answered all the same', async (context) => {
  const server = await startApplication(context);
  await store(server, 1, 10);
  const { maps, failures, folder } = openMaps(context, server);
  await writeFile(folder, 'a file in the place of the folder');
  assert.equal((await whenReady(maps)).points.length, 10);
  assert.equal(failures.length, 1);
});
