import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import type { ImageId } from '../../../src/catalogue/catalogue.js';
import { assertError, eventually, form, picture, raw, startApplication, type TestApplication } from '../application.js';

type Result = { readonly id: string; readonly score: number; readonly vector?: readonly number[] };
type Answer = { readonly results: readonly Result[]; readonly nextCursor?: string };

async function store(server: TestApplication, count: number): Promise<void> {
  for (let seed = 1; seed <= count; seed++) {
    const response = await server.ask({ method: 'POST', url: `/index?id=p${seed}`, ...raw(await picture(seed)) });
    assert.equal(response.statusCode, 201, response.body);
  }
}

async function search(server: TestApplication, url: string, body?: object): Promise<Answer> {
  const response = await server.ask(body === undefined ? { url } : { method: 'POST', url, payload: body });
  assert.equal(response.statusCode, 200, response.body);
  return response.json() as Answer;
}

const idsOf = ({ results }: Answer): string[] => results.map(({ id }) => id);

test('a stored id finds what its picture finds, itself left out, by link, form and JSON alike', async (context) => {
  const server = await startApplication(context);
  await store(server, 8);
  const byPicture = await server.ask({ method: 'POST', url: '/search?k=8', ...raw(await picture(3)) });
  const expected = idsOf(byPicture.json() as Answer).filter((id) => id !== 'p3');
  assert.deepEqual(idsOf(await search(server, '/search?id=p3&k=7')), expected);
  assert.deepEqual(idsOf(await search(server, '/search', { id: 'p3', k: 7 })), expected);
  assert.deepEqual(idsOf(await search(server, '/images/p3/similar?k=7')), expected);
  const byForm = await server.ask({
    method: 'POST',
    url: '/search',
    ...form({ name: 'id', content: 'p3' }, { name: 'k', content: '7' }),
  });
  assert.equal(byForm.statusCode, 200, byForm.body);
  assert.deepEqual(idsOf(byForm.json() as Answer), expected);
  const fields = [
    { name: 'id', content: 'p3' },
    { name: 'collection', content: 'others' },
  ];
  const elsewhere = await server.ask({ method: 'POST', url: '/search', ...form(...fields) });
  assertError(elsewhere, { status: 404, code: 'COLLECTION_NOT_FOUND' });
  assertError(await server.ask({ url: '/search?id=nobody' }), { status: 404, code: 'NOT_FOUND' });
  assertError(await server.ask({ url: '/search?k=3' }), { status: 400, code: 'NO_IMAGE' });
});

test('positives are averaged and negatives push away, by the stated formula, whether sent or stored', async (context) => {
  const server = await startApplication(context);
  await store(server, 8);
  const vectorOf = async (id: string): Promise<Float32Array> =>
    (await server.catalogue.embedding('default', id as ImageId))!;
  const [a, b, n] = await Promise.all([vectorOf('p1'), vectorOf('p2'), vectorOf('p3')]);
  const sums = Array.from(a!, (value, at) => (value + b![at]!) / 2 - n![at]! / 2);
  const length = Math.hypot(...sums);
  const answer = await search(server, '/search?id=p1&id=p2&negativeId=p3&k=5&include=vector');
  assert.equal(answer.results.length, 5);
  for (const { id, score, vector } of answer.results) {
    assert.ok(!['p1', 'p2', 'p3'].includes(id));
    const expected = vector!.reduce((sum, value, at) => sum + (value * sums[at]!) / length, 0);
    assert.ok(Math.abs(score - expected) < 1e-5, `${id}: ${score}, by the formula ${expected}`);
    assert.deepEqual(Float32Array.from(vector!), await vectorOf(id));
  }
  const file = async (name: string, seed: number) => ({ name, fileName: `${seed}.png`, content: await picture(seed) });
  const sent = await server.ask({
    method: 'POST',
    url: '/search?k=8',
    ...form(await file('image', 1), await file('other', 2), await file('negative', 3)),
  });
  assert.equal(sent.statusCode, 200, sent.body);
  const scores = new Map((sent.json() as Answer).results.map(({ id, score }) => [id, score]));
  for (const { id, score } of answer.results) assert.ok(Math.abs(scores.get(id)! - score) < 1e-5, id);
  const mixed = await server.ask({
    method: 'POST',
    url: '/search?k=5',
    ...form(await file('image', 1), { name: 'id', content: 'p2' }, { name: 'negativeId', content: 'p3' }),
  });
  assert.equal((mixed.json() as Answer).results.length, 5);
  assertError(await server.ask({ url: '/search?negativeId=p3' }), { status: 400, code: 'INVALID_REQUEST' });
  const onlyNegative = await server.ask({ method: 'POST', url: '/search', ...form(await file('negative', 1)) });
  assertError(onlyNegative, { status: 400, code: 'INVALID_REQUEST' });
});

test('a vector is searched for with the id of its encoder, and refused with another', async (context) => {
  const server = await startApplication(context);
  await store(server, 4);
  const embedding = Array.from((await server.catalogue.embedding('default', 'p2' as ImageId))!);
  const found = await search(server, '/search', {
    embedding: embedding.map((value) => value * 3),
    encoderId: 'pooled-test-1',
    k: 2,
  });
  assert.equal(found.results[0]?.id, 'p2');
  assert.ok(found.results[0].score > 0.999);
  const post = (payload: object) => server.ask({ method: 'POST', url: '/search', payload });
  assertError(await post({ embedding, encoderId: 'pooled-test-2' }), { status: 409, code: 'WRONG_ENCODER' });
  assertError(await post({ embedding }), { status: 400, code: 'INVALID_REQUEST' });
  assertError(await post({ encoderId: 'pooled-test-1' }), { status: 400, code: 'INVALID_REQUEST' });
  assertError(await post({ embedding: [1, 2, 3], encoderId: 'pooled-test-1' }), {
    status: 422,
    code: 'INVALID_EMBEDDING',
  });
  assertError(await post({ embedding: embedding.map(() => 0), encoderId: 'pooled-test-1' }), {
    status: 422,
    code: 'INVALID_EMBEDDING',
  });
  assertError(await post({ embedding: embedding.map(() => 1e300), encoderId: 'pooled-test-1' }), {
    status: 422,
    code: 'INVALID_EMBEDDING',
  });
  assertError(await server.ask({ method: 'POST', url: '/search?k=2', payload: { id: 'p1', k: 2 } }), {
    status: 400,
    code: 'INVALID_REQUEST',
  });
});

test('a crop searches with the part alone, of a sent and of a stored picture', async (context) => {
  const server = await startApplication(context);
  await store(server, 6);
  const [left, right] = [await picture(2), await picture(5)];
  const both = await sharp({ create: { width: 96, height: 48, channels: 3, background: '#fff' } })
    .composite([
      { input: left, left: 0, top: 0 },
      { input: right, left: 48, top: 0 },
    ])
    .png()
    .toBuffer();
  for (const [crop, id] of [
    ['0,0,0.5,1', 'p2'],
    ['0.5,0,0.5,1', 'p5'],
  ] as const) {
    const response = await server.ask({ method: 'POST', url: `/search?crop=${crop}&k=1`, ...raw(both) });
    const [first] = (response.json() as Answer).results;
    assert.equal(first?.id, id, response.body);
    assert.ok(first.score > 0.99);
  }
  assert.equal((await server.ask({ method: 'POST', url: '/index?id=both', ...raw(both) })).statusCode, 201);
  assert.deepEqual(idsOf(await search(server, '/search?id=both&crop=0.5,0,0.5,1&k=1')), ['p5']);
  assert.deepEqual(
    idsOf(await search(server, '/search', { id: 'both', k: 1, crop: { x: 0, y: 0, width: 0.5, height: 1 } })),
    ['p2'],
  );
  const calls = server.encoder.calls;
  for (const crop of [
    '0,0,1',
    '0,0,0,1',
    '0.6,0,0.5,1',
    'a,b,c,d',
    '0,0,1,',
    '-0.1,0,1,1',
    '0,0,1,1,1',
    '0,0,1e9,1',
    ' ,0,1,1',
  ]) {
    const response = await server.ask({
      method: 'POST',
      url: `/search?crop=${encodeURIComponent(crop)}`,
      ...raw(both),
    });
    assertError(response, { status: 400, code: 'INVALID_REQUEST' });
  }
  assertError(await server.ask({ url: '/search?id=p1&id=p2&crop=0,0,1,1' }), { status: 400, code: 'INVALID_REQUEST' });
  assert.equal(server.encoder.calls, calls, 'a wrong crop costs no work');
  assertError(await server.ask({ url: '/search?id=nobody&crop=0,0,1,1' }), { status: 404, code: 'NOT_FOUND' });
});

test('pages joined are the one long list, without its examples, and end where it ends', async (context) => {
  const server = await startApplication(context);
  await store(server, 12);
  const whole = idsOf(await search(server, '/search?id=p4&k=100'));
  assert.equal(whole.length, 11);
  const joined: string[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < 10; pages++) {
    const page = await search(server, `/search?id=p4&k=4${cursor === undefined ? '' : `&cursor=${cursor}`}`);
    joined.push(...idsOf(page));
    cursor = page.nextCursor;
    if (cursor === undefined) break;
    assert.equal(page.results.length, 4);
  }
  assert.deepEqual(joined, whole);
  const similar = await search(server, '/images/p4/similar?k=4');
  assert.deepEqual(
    idsOf(await search(server, `/images/p4/similar?k=4&cursor=${similar.nextCursor}`)),
    whole.slice(4, 8),
  );
  for (const wrong of ['7', 'after-0', 'after-1000', 'after--1', 'after-1e2']) {
    assertError(await server.ask({ url: `/search?id=p4&cursor=${wrong}` }), { status: 400, code: 'INVALID_REQUEST' });
  }
});

test('an expanded search keeps its nearest, then follows the query and its nearest together, page by page', async (context) => {
  const server = await startApplication(context);
  await store(server, 12);
  const plain = await search(server, '/search?id=p4&k=11&include=vector');
  const query = (await server.catalogue.embedding('default', 'p4' as ImageId))!;
  const sum = Array.from(query, (value, at) =>
    plain.results.slice(0, 2).reduce((total, { score, vector }) => total + score * vector![at]!, value),
  );
  const nearness = ({ vector }: Result): number => vector!.reduce((total, value, at) => total + value * sum[at]!, 0);
  const [nearest, ...others] = plain.results;
  const expected = [nearest!, ...others.toSorted((a, b) => nearness(b) - nearness(a))];
  assert.notDeepEqual(expected, plain.results, 'the pictures are such that expansion changes something');
  const expanded = await search(server, '/search?id=p4&k=11&expand=2');
  assert.deepEqual(
    idsOf(expanded),
    expected.map(({ id }) => id),
  );
  for (const [at, { score }] of expanded.results.entries()) assert.ok(Math.abs(score - expected[at]!.score) < 1e-6);
  const first = await search(server, '/search?id=p4&k=5&expand=2');
  const second = await search(server, `/search?id=p4&k=5&expand=2&cursor=${first.nextCursor}`);
  assert.deepEqual([...idsOf(first), ...idsOf(second)], idsOf(expanded).slice(0, 10));
  const least = plain.results[5]!.score;
  const near = await search(server, `/search?id=p4&k=11&expand=2&minScore=${least}`);
  assert.deepEqual(
    idsOf(near),
    expected.filter(({ score }) => score >= least).map(({ id }) => id),
  );
  const copy = await sharp(await picture(4))
    .webp({ quality: 80 })
    .toBuffer();
  await server.ask({ method: 'POST', url: '/index?id=copy', ...raw(copy) });
  const sent = await server.ask({ method: 'POST', url: '/search?k=13&groups=true&expand=2', ...raw(await picture(4)) });
  assert.deepEqual(idsOf(sent.json() as Answer), ['p4', 'copy', ...expected.map(({ id }) => id)], 'copies keep theirs');
  assertError(await server.ask({ url: '/search?id=p4&expand=2&views=mirror' }), {
    status: 400,
    code: 'INVALID_REQUEST',
  });
  assertError(await server.ask({ url: '/search?id=p4&expand=11' }), { status: 400, code: 'INVALID_REQUEST' });
});

test('every picture of a search counts against quota and images in flight', async (context) => {
  const server = await startApplication(context, { rateLimit: 4, maxImagesInFlight: 2 });
  const files = await Promise.all(
    [1, 2, 3].map(async (seed) => ({ name: 'f', fileName: `${seed}.png`, content: await picture(seed) })),
  );
  const overloaded = await server.ask({ method: 'POST', url: '/search', ...form(...files) });
  assertError(overloaded, { status: 503, code: 'OVERLOADED' });
  await eventually(async () => /likeness_images_in_flight 0\n/.test(await server.monitoring.registry.metrics()));
  const limited = await server.ask({ method: 'POST', url: '/search', ...form(...files.slice(1)) });
  assertError(limited, { status: 429, code: 'RATE_LIMITED' });
  await eventually(async () => /likeness_images_in_flight 0\n/.test(await server.monitoring.registry.metrics()));
  assert.match(await server.monitoring.registry.metrics(), /likeness_upload_memory_bytes 0\n/);
});
