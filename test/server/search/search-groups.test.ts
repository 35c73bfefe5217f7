import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import sharp from 'sharp';
import type { SearchResult } from '../../../src/client/client.js';
import { imageId, newImage } from '../../catalogue/example-images.js';
import { assertError, form, raw, startApplication, type TestApplication } from '../application.js';
import { photo, store } from './stored-photos.js';

async function find(server: TestApplication, query: string, bytes?: Buffer): Promise<readonly SearchResult[]> {
  const url = `/search?${query}`;
  const response = await server.ask(bytes === undefined ? { url } : { method: 'POST', url, ...raw(bytes) });
  assert.equal(response.statusCode, 200, response.body);
  return (response.json() as { readonly results: readonly SearchResult[] }).results;
}

test('the same picture, an edited copy and one that is merely alike are told apart', async (context) => {
  const server = await startApplication(context);
  for (const seed of [1, 2, 3]) await store(server, `p${seed}`, await photo(seed));
  const bytes = await photo(2);
  const copyOf = (results: readonly SearchResult[]) => new Map(results.map(({ id, copy }) => [id, copy]));
  assert.deepEqual([...copyOf(await find(server, 'k=3&groups=true', bytes))].toSorted(), [
    ['p1', 'none'],
    ['p2', 'exact'],
    ['p3', 'none'],
  ]);
  const recoded = await sharp(bytes).png({ compressionLevel: 1 }).toBuffer();
  assert.equal(copyOf(await find(server, 'k=3', recoded)).get('p2'), 'exact', 'other bytes, equal pixels');
  const edited = await sharp(bytes).resize(96).jpeg({ quality: 40 }).toBuffer();
  assert.equal(copyOf(await find(server, 'k=3', edited)).get('p2'), 'edited');
  await store(server, 'copy', edited);
  const [first, ...others] = await find(server, 'id=p2&k=3&groups=true');
  assert.deepEqual([first?.id, first?.copy], ['copy', 'edited']);
  for (const { copy } of others) assert.equal(copy, 'none');
});

test('copy, probability and similar agree, match and band say the same in the words of before, and names are told', async (context) => {
  const server = await startApplication(context);
  for (const seed of [1, 2, 3]) await store(server, `p${seed}`, await photo(seed));
  const named = form({ name: 'image', fileName: 'beach.png', type: 'image/png', content: await photo(4) });
  await server.ask({ method: 'POST', url: '/index?id=named', ...named });
  const edited = await sharp(await photo(2))
    .resize(96)
    .jpeg({ quality: 40 })
    .toBuffer();
  for (const [bytes, query] of [
    [await photo(1), 'k=4&groups=true'],
    [edited, 'k=4&groups=true'],
    [edited, 'k=4'],
    [await sharp(edited).rotate(90).png().toBuffer(), 'k=4&groups=true'],
    [await sharp(edited).flop().png().toBuffer(), 'k=4&groups=true'],
  ] as const) {
    const results = await find(server, query, bytes);
    for (const { id, copy, probability, similar, fileName, match, band } of results) {
      const name = copy === 'exact' ? 'same' : copy === 'edited' ? 'near' : similar ? 'related' : 'unrelated';
      assert.deepEqual(band, { name, probability });
      assert.equal(match, copy === 'exact' ? 'same' : copy === 'edited' ? 'edited' : 'similar');
      assert.ok(copy === 'none' ? probability < 0.8 : probability >= 0.8 && similar, `${id}: ${copy} ${probability}`);
      assert.equal(fileName, id === 'named' ? 'beach.png' : null);
    }
    assert.equal(results.filter(({ copy }) => copy !== 'none').length, 1);
  }
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
  assert.deepEqual([first?.id, first?.copy], ['far', 'exact']);
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
    assert.deepEqual([first?.id, first?.copy, first?.view], ['p3', 'edited', view]);
    for (const query of ['', `&views=${other}`]) {
      for (const { copy } of await find(server, `k=4${query}`, bytes))
        assert.equal(copy, 'none', `${views} by "${query}"`);
    }
    const [byHash, ...others] = await find(server, 'k=4&groups=true', bytes);
    assert.deepEqual([byHash?.id, byHash?.copy, byHash?.view], ['p3', 'edited', view]);
    for (const { copy } of others) assert.equal(copy, 'none');
  }
  const viewsOf = async (query: string) =>
    (await find(server, `k=4&views=mirror,turn${query}`, mirrored))
      .filter(({ id }) => id !== 'p3')
      .map(({ id, view }) => [id, view])
      .sort();
  const views = await viewsOf('');
  assert.ok(views.some(([, view]) => view !== undefined));
  assert.deepEqual(await viewsOf('&groups=true'), views, 'what is no copy keeps the view that found it');
  const lossless = await sharp(await photo(3))
    .flop()
    .png()
    .toBuffer();
  for (const query of ['k=1&groups=true', 'k=1&groups=true&views=mirror', 'k=1&views=mirror']) {
    const [first] = await find(server, query, lossless);
    assert.deepEqual([first?.id, first?.copy, first?.view], ['p3', 'edited', 'flipY'], query);
  }
  await store(server, 'mirrored', mirrored);
  const [first] = await find(server, 'id=p3&k=1&groups=true&views=mirror');
  assert.deepEqual([first?.id, first?.copy, first?.view], ['mirrored', 'edited', 'flipY']);
  const calls = server.encoder.calls;
  for (const query of [
    'id=p1&id=p2&views=mirror',
    'id=p1&views=sideways',
    'id=p1&fold=true&k=201',
    'id=p1&negativeId=p2&views=turn',
  ]) {
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
    assert.deepEqual([first?.id, first?.copy, first?.view], ['p4', 'edited', view]);
    for (const { copy } of others) assert.equal(copy, 'none');
  }
  await store(server, 'crop', edits[0]![0]);
  const [first] = await find(server, 'id=p4&k=5&groups=true');
  assert.deepEqual([first?.id, first?.copy], ['crop', 'edited'], 'a stored picture is laid on the others too');
});

test('each view counts as an image in flight', async (context) => {
  const server = await startApplication(context, { maxImagesInFlight: 5 });
  const refused = await server.ask({ method: 'POST', url: '/search?views=turn,mirror', ...raw(await photo(1)) });
  assertError(refused, { status: 400, code: 'INVALID_REQUEST' });
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
