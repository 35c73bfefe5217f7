import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import sharp from 'sharp';
import { imageId, newImage } from '../catalogue/example-images.js';
import { syntheticPicture, toSharp } from '../images/pictures.js';
import { assertError, raw, startApplication, type TestApplication } from './application.js';

type Result = {
  readonly id: string;
  readonly score: number;
  readonly match: string;
  readonly band: { readonly name: string; readonly probability: number };
  readonly view?: string;
  readonly vector?: readonly number[];
  readonly folded?: readonly string[];
};

const photo = (seed: number): Promise<Buffer> =>
  toSharp(syntheticPicture({ width: 192, height: 192, seed }))
    .png()
    .toBuffer();

async function store(server: TestApplication, id: string, bytes: Buffer): Promise<void> {
  const response = await server.ask({ method: 'POST', url: `/index?id=${id}`, ...raw(bytes) });
  assert.equal(response.statusCode, 201, response.body);
}

async function find(server: TestApplication, query: string, bytes?: Buffer): Promise<readonly Result[]> {
  const url = `/search?${query}`;
  const response = await server.ask(bytes === undefined ? { url } : { method: 'POST', url, ...raw(bytes) });
  assert.equal(response.statusCode, 200, response.body);
  return (response.json() as { readonly results: readonly Result[] }).results;
}

test('the same picture, an edited copy and one that is merely alike are told apart', async (context) => {
  const server = await startApplication(context);
  for (const seed of [1, 2, 3]) await store(server, `p${seed}`, await photo(seed));
  const bytes = await photo(2);
  const matchOf = (results: readonly Result[]) => new Map(results.map(({ id, match }) => [id, match]));
  assert.deepEqual([...matchOf(await find(server, 'k=3&groups=true', bytes))].toSorted(), [
    ['p1', 'similar'],
    ['p2', 'same'],
    ['p3', 'similar'],
  ]);
  const recoded = await sharp(bytes).png({ compressionLevel: 1 }).toBuffer();
  assert.equal(matchOf(await find(server, 'k=3', recoded)).get('p2'), 'same', 'other bytes, equal pixels');
  const edited = await sharp(bytes).resize(96).jpeg({ quality: 40 }).toBuffer();
  assert.equal(matchOf(await find(server, 'k=3', edited)).get('p2'), 'edited');
  await store(server, 'copy', edited);
  const [first, ...others] = await find(server, 'id=p2&k=3&groups=true');
  assert.deepEqual([first?.id, first?.match], ['copy', 'edited']);
  for (const { match } of others) assert.equal(match, 'similar');
});

test('the picture of the same bytes is found where neither its embedding nor its hash would lead to it', async (context) => {
  const server = await startApplication(context);
  const bytes = await photo(5);
  await store(server, 'itself', bytes);
  const [{ vector } = assert.fail('nothing found')] = await find(server, 'k=1&include=vector', bytes);
  const away = Float32Array.from(vector!, (element) => -element);
  for (let other = 0; other < 30; other++) {
    const embedding = Float32Array.from(vector!, (element, at) => element + (at === other ? 0.1 : 0));
    await server.catalogue.add('default', newImage(`other ${other}`, embedding));
  }
  const sha256 = new Uint8Array(createHash('sha256').update(bytes).digest());
  await server.catalogue.remove('default', imageId('itself'));
  await server.catalogue.add('default', newImage('far', away, { id: imageId('far'), sha256 }));
  const [first] = await find(server, 'k=1&groups=true', bytes);
  assert.deepEqual([first?.id, first?.match], ['far', 'same']);
});

test('a mirrored or turned copy is found where copies are looked for, or by the views asked for', async (context) => {
  const server = await startApplication(context);
  for (const seed of [1, 2, 3, 4]) await store(server, `p${seed}`, await photo(seed));
  const mirrored = await sharp(await photo(3))
    .flop()
    .jpeg({ quality: 90 })
    .toBuffer();
  const turned = await sharp(await photo(3))
    .rotate(90)
    .jpeg({ quality: 90 })
    .toBuffer();
  for (const [bytes, views, other, view] of [
    [mirrored, 'mirror', 'turn', 'flipY'],
    [turned, 'turn', 'mirror', 'rotate90'],
    [turned, 'mirror,turn', 'mirror', 'rotate90'],
  ] as const) {
    const [first] = await find(server, `k=2&groups=true&views=${views}`, bytes);
    assert.deepEqual([first?.id, first?.match, first?.view], ['p3', 'edited', view]);
    for (const query of ['', `&views=${other}`]) {
      for (const { match } of await find(server, `k=4${query}`, bytes)) assert.equal(match, 'similar', `${views} by "${query}"`);
    }
    const [byHash, ...others] = await find(server, 'k=4&groups=true', bytes);
    assert.deepEqual([byHash?.id, byHash?.match, byHash?.view], ['p3', 'edited', view]);
    for (const { match } of others) assert.equal(match, 'similar');
  }
  await store(server, 'mirrored', mirrored);
  const [first] = await find(server, 'id=p3&k=1&groups=true&views=mirror');
  assert.deepEqual([first?.id, first?.match, first?.view], ['mirrored', 'edited', 'flipY']);
  const calls = server.encoder.calls;
  for (const query of ['id=p1&id=p2&views=mirror', 'id=p1&views=sideways', 'id=p1&fold=true&k=201', 'id=p1&negativeId=p2&views=turn']) {
    assertError(await server.ask({ url: `/search?${query}` }), { status: 400, code: 'INVALID_REQUEST' });
  }
  assert.equal(server.encoder.calls, calls);
});

test('a crop, a crop that is mirrored, and a picture under a stamp are edited copies; other pictures are not', async (context) => {
  const server = await startApplication(context);
  for (const seed of [1, 2, 3, 4, 5]) await store(server, `p${seed}`, await photo(seed));
  const stamp = await sharp({ create: { width: 130, height: 40, channels: 3, background: '#fff' } })
    .png()
    .toBuffer();
  const crop = { left: 10, top: 20, width: 150, height: 160 };
  const edits: readonly (readonly [Buffer, string | undefined])[] = [
    [
      await sharp(await photo(4))
        .extract(crop)
        .jpeg()
        .toBuffer(),
      undefined,
    ],
    [
      await sharp(await photo(4))
        .extract(crop)
        .flop()
        .jpeg()
        .toBuffer(),
      'flipY',
    ],
    [
      await sharp(await photo(4))
        .composite([{ input: stamp, left: 30, top: 60 }])
        .jpeg()
        .toBuffer(),
      undefined,
    ],
  ];
  for (const [bytes, view] of edits) {
    const [first, ...others] = await find(server, 'k=5&groups=true', bytes);
    assert.deepEqual([first?.id, first?.match, first?.view, first?.band.name], ['p4', 'edited', view, 'near']);
    for (const { match, band } of others) assert.deepEqual([match, band.name === 'near' || band.name === 'same'], ['similar', false]);
  }
  await store(server, 'crop', edits[0]![0]);
  const [first] = await find(server, 'id=p4&k=5&groups=true');
  assert.deepEqual([first?.id, first?.match], ['crop', 'edited'], 'a stored picture is laid on the others too');
});

test('each view counts as an image in flight', async (context) => {
  const server = await startApplication(context, { maxImagesInFlight: 5 });
  const refused = await server.ask({ method: 'POST', url: '/search?views=turn,mirror', ...raw(await photo(1)) });
  assertError(refused, { status: 503, code: 'OVERLOADED' });
  assert.equal((await find(server, 'views=turn', await photo(1))).length, 0);
  assert.match(await server.monitoring.registry.metrics(), /likeness_images_in_flight 0\n/);
});

test('copies among the results fold under the best of them', async (context) => {
  const server = await startApplication(context);
  for (const seed of [1, 2]) await store(server, `p${seed}`, await photo(seed));
  const copy = await sharp(await photo(1))
    .resize(120)
    .jpeg({ quality: 60 })
    .toBuffer();
  await store(server, 'copy', copy);
  const folded = await find(server, 'k=10&fold=true', await photo(1));
  assert.deepEqual(
    folded.map(({ id, folded }) => [id, folded]),
    [
      ['p1', ['copy']],
      ['p2', []],
    ],
  );
  assert.equal((await find(server, 'k=10', await photo(1))).length, 3);
});
