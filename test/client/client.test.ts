import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createClient, LikenessError } from '../../src/client/client.js';
import { SearchError } from '../../src/errors.js';
import { API_KEYS, eventually, KEYS, picture, startApplication } from '../server/application.js';
import { createRecordedFetch } from './recorded-fetch.js';

const recorded = createRecordedFetch();

async function start(context: TestContext, flags: Parameters<typeof startApplication>[1] = {}) {
  const server = await startApplication(context, flags);
  const { url } = await server.listen();
  return { server, url, client: createClient({ url, fetch: recorded.fetch }) };
}

const file = async (seed: number, name = `${seed}.png`): Promise<File> =>
  new File([new Uint8Array(await picture(seed))], name, { type: 'image/png' });

test('stores, lists, changes, looks at and removes pictures', async (context) => {
  const { client } = await start(context, { keepOriginals: true });
  const stored = await client.index([await file(1), await file(2)], { metadata: { shop: 'acme' } });
  assert.equal(stored.added, 2);
  const named = await client.index([new Uint8Array(await picture(3))], { id: 'a/b ü' });
  assert.deepEqual(named.images[0], {
    id: 'a/b ü',
    status: 'added',
    name: 'picture',
    thumbnailUrl: '/images/a%2Fb%20%C3%BC/thumbnail',
  });

  const first = await client.images({ limit: 2, filter: JSON.stringify({ field: 'shop', equals: 'acme' }) });
  assert.deepEqual(
    first.images.map(({ fileName }) => fileName),
    ['1.png', '2.png'],
  );
  const paged = await client.images({ limit: 2 });
  assert.equal((await client.images({ limit: 2, cursor: paged.nextCursor! })).images[0]?.id, 'a/b ü');

  assert.deepEqual((await client.patch('a/b ü', { price: 12 })).metadata, { price: 12 });
  assert.deepEqual((await client.image('a/b ü')).metadata, { price: 12 });
  assert.deepEqual(Buffer.from(await (await client.original('a/b ü')).arrayBuffer()), await picture(3));
  const thumbnail = await client.thumbnail('a/b ü');
  assert.equal(Buffer.from(await thumbnail.arrayBuffer()).toString('latin1', 8, 12), 'WEBP');
  assert.deepEqual(await client.file('/images/a%2Fb%20%C3%BC/thumbnail'), thumbnail);
  assert.equal((await client.collections()).collections[0]?.images, 3);

  await client.index([await file(4)], { collection: 'brief' });
  await client.removeCollection('brief');
  await assert.rejects(client.images({ collection: 'brief' }), { code: 'COLLECTION_NOT_FOUND' });
  await assert.rejects(client.removeCollection('brief'), { code: 'COLLECTION_NOT_FOUND', httpStatus: 404 });

  await client.remove('a/b ü');
  await assert.rejects(client.image('a/b ü'), {
    code: 'NOT_FOUND',
    httpStatus: 404,
    remedy: 'Check the path, the collection and the id.',
  });
});

test('searches by picture, stored image, vector, link and examples', async (context) => {
  const { client } = await start(context);
  for (let seed = 1; seed <= 6; seed++) await client.index([await file(seed)], { id: `p${seed}`, metadata: { seed } });

  const byPicture = await client.search({ pictures: [await file(2)], k: 3, groups: true, include: ['vector'] });
  assert.deepEqual(
    [byPicture.results[0]?.id, byPicture.results[0]?.copy, byPicture.results.length],
    ['p2', 'exact', 3],
  );
  const next = await client.search({ pictures: [await file(2)], k: 3, groups: true, cursor: byPicture.nextCursor! });
  assert.equal(new Set([...byPicture.results, ...next.results].map(({ id }) => id)).size, 6);

  const embedding = byPicture.results[0]!.vector!;
  const byVector = await client.search({
    embedding: Float32Array.from(embedding),
    encoderId: byPicture.encoder.id,
    k: 1,
  });
  assert.equal(byVector.results[0]?.id, 'p2');
  const byId = await client.search({ ids: ['p2'], crop: { x: 0, y: 0, width: 0.5, height: 1 }, k: 2 });
  assert.ok(!byId.results.some(({ id }) => id === 'p2'));
  const byLink = await client.searchByLink({ ids: ['p2'], crop: { x: 0, y: 0, width: 0.5, height: 1 }, k: 2 });
  assert.deepEqual(byLink.results, byId.results);
  const similar = await client.similar('p2', { k: 5, minScore: -1 });
  assert.equal(similar.results.length, 5);
  const examples = await client.search({
    pictures: [await file(1)],
    negativePictures: [await file(3)],
    ids: ['p2'],
    negativeIds: ['p4'],
  });
  assert.ok(!examples.results.some(({ id }) => id === 'p2' || id === 'p4'));
  const filtered = await client.search({ ids: ['p2'], filter: JSON.stringify({ field: 'seed', range: { gte: 5 } }) });
  assert.deepEqual(filtered.results.map(({ id }) => id).toSorted(), ['p5', 'p6']);
});

test('compares two pictures, sent or stored, and asks where results are like the query', async (context) => {
  const { client } = await start(context);
  await client.index([await file(1)], { id: 'p1', collection: 'other' });
  await client.index([await file(2)], { id: 'p2', collection: 'other' });
  const collection = 'other';
  for (const a of [{ id: 'p1' }, await file(1), new Uint8Array(await picture(1))]) {
    const same = await client.compare({ a, b: { id: 'p1' }, collection });
    assert.deepEqual([same.copy, same.hashes.distance, same.probability], ['exact', 0, 1]);
    const other = await client.compare({ a, b: { id: 'p2' }, collection });
    assert.ok(other.score < same.score);
  }
  assert.equal((await client.compare({ a: await file(3), b: await file(3) })).copy, 'exact');
  await assert.rejects(client.compare({ a: { id: 'p1' }, b: { id: 'p1' } }), { code: 'NOT_FOUND' });
  const found = await client.search({ pictures: [await file(1)], collection, include: ['regions', 'vector'] });
  assert.ok(found.results.every(({ regions, vector }) => regions !== undefined && vector !== undefined));
});

test('asks for a map of a collection', async (context) => {
  const { client } = await start(context);
  for (let seed = 1; seed <= 10; seed++)
    await client.index([await file(seed)], { id: `p${seed}`, collection: 'other' });
  assert.deepEqual(await client.map(), { status: 'empty', computedAt: null, images: 0, points: [] });
  await eventually(async () => (await client.map({ collection: 'other' })).status === 'ready');
  assert.equal((await client.map({ collection: 'other' })).points.length, 10);
});

test('imports the demo, follows it by events, asks for failures, tries again and forgets it', async (context) => {
  const { client } = await start(context);
  const job = await client.startImport({ demo: true });
  assert.deepEqual([job.collection, job.source.kind], ['default', 'demo']);
  let last = job;
  for await (const next of client.importEvents(job.id)) {
    const { found, added, existing, waiting, failed } = next.counts;
    assert.equal(added + existing + waiting + failed, found);
    last = next;
    if (added >= 3) break;
  }
  assert.ok(last.counts.added >= 3, JSON.stringify(last));
  assert.equal((await client.imports()).imports[0]?.id, job.id);
  assert.deepEqual((await client.importFailures(job.id)).failures, []);
  await client.cancelImport(job.id);
  await eventually(async () => (await client.import(job.id)).status === 'cancelled');
  assert.equal((await client.retryImport(job.id)).status, 'running');
  await client.cancelImport(job.id);
});

test('makes, lists, downloads and removes snapshots', async (context) => {
  const { client } = await start(context);
  await client.index([await file(1)]);
  const { name, bytes } = await client.makeSnapshot();
  assert.deepEqual(
    (await client.snapshots()).snapshots.map((one) => one.name),
    [name],
  );
  assert.equal((await (await client.snapshot(name)).arrayBuffer()).byteLength, bytes);
  await client.removeSnapshot(name);
  assert.deepEqual((await client.snapshots()).snapshots, []);
});

test('asks how the service is', async (context) => {
  const { client } = await start(context);
  assert.equal((await client.welcome()).name, 'likeness');
  assert.equal((await client.live()).status, 'ok');
  assert.equal((await client.live('/healthz')).status, 'ok');
  assert.equal((await client.ready()).canary, 'empty');
  await client.index([await file(1)]);
  assert.deepEqual(
    (await client.statistics()).collections.map(({ name, images }) => ({ name, images })),
    [{ name: 'default', images: 1 }],
  );
  await assert.rejects(client.encoderReport(), { code: 'REPORT_MISSING', httpStatus: 404 });
  assert.match(await client.metrics(), /^# HELP likeness_/m);
  assert.match(await client.description(), /^openapi: 3\.1\.0/);
});

test('a refusal carries code, message, remedy and request id', async (context) => {
  const { url } = await start(context, { apiKeys: API_KEYS });
  const ask = (apiKey?: string) => createClient({ url, apiKey, fetch: recorded.fetch });
  await assert.rejects(ask().collections(), { name: 'LikenessError', code: 'UNAUTHORISED', httpStatus: 401 });
  await assert.rejects(ask(KEYS.read).remove('x'), {
    code: 'FORBIDDEN',
    remedy: 'Use a key whose role allows this route.',
  });
  const refused = await ask(KEYS.read)
    .search({ pictures: [new Blob(['no picture'])] })
    .catch((error: unknown) => error);
  assert.ok(refused instanceof LikenessError);
  assert.equal(refused.code, 'UNSUPPORTED_FORMAT');
  assert.match(refused.requestId!, /^[0-9a-f-]{36}$/);
  assert.deepEqual((await ask(KEYS.read).collections()).collections, []);
});

test('what is full is asked again only as often as the caller chooses, and a signal ends the wait', async (context) => {
  const { server, url, client } = await start(context);
  let asked = 0;
  const counted = createClient({
    url,
    retry: { attempts: 3, longestPauseMs: 1 },
    fetch: (...request) => {
      if (++asked === 3) server.encoder.fail = undefined;
      return recorded.fetch(...request);
    },
  });
  const full = new SearchError('OVERLOADED', 'Full.', { retryAfterSeconds: 30 });
  server.encoder.fail = full;
  await assert.rejects(client.search({ pictures: [await file(1)] }), {
    code: 'OVERLOADED',
    retryAfterSeconds: 30,
    isTemporary: true,
  });
  assert.deepEqual((await counted.search({ pictures: [await file(1)] })).results, []);
  assert.equal(asked, 3);

  server.encoder.fail = full;
  const given = new AbortController();
  const patient = counted.search({ pictures: [await file(1)] }, { signal: given.signal, retry: { attempts: 9 } });
  await eventually(() => asked > 3);
  given.abort();
  await assert.rejects(patient, { name: 'AbortError' });
});

test('no answer, a stranger’s answer and an abort are told apart', async (context) => {
  const stranger = createServer((request, response) => {
    response.statusCode = request.url === '/prefix/livez' ? 200 : 502;
    response.end('<html>Bad gateway</html>');
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => stranger.once('listening', resolve));
  const { port } = stranger.address() as AddressInfo; // A TCP server's address is an object.
  const client = createClient({ url: `http://127.0.0.1:${port}/prefix` });
  await assert.rejects(client.ready(), { code: 'UNEXPECTED_ANSWER', httpStatus: 502 });
  await assert.rejects(client.live(), { code: 'UNEXPECTED_ANSWER', httpStatus: 200 });
  assert.equal(client.addressOf('/images/a%2Fb/thumbnail?v=1').pathname, '/prefix/images/a%2Fb/thumbnail');
  await assert.rejects(client.live('/livez', { signal: AbortSignal.abort() }), { name: 'AbortError' });
  stranger.closeAllConnections();
  await new Promise((resolve) => stranger.close(resolve));
  context.diagnostic(`closed port ${port}`);
  await assert.rejects(client.live(), { code: 'UNREACHABLE', httpStatus: 0 });
});

test('the package offers the client by name', async () => {
  const name: string = 'likeness-search/client';
  const offered = (await import(name)) as { readonly createClient?: unknown };
  assert.equal(offered.createClient, createClient);
});

test('every route of openapi.yaml was met by the client above', () => {
  assert.deepEqual(
    [...recorded.routes].filter((route) => !recorded.met.has(route)),
    [],
  );
});
