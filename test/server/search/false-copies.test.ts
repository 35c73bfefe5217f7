/** Pictures that look alike and are no copies, and what an answer says of results that were not compared in time. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import sharp from 'sharp';
import type { Comparison, SearchPage } from '../../../src/client/client.js';
import { createComparisonThreads } from '../../../src/server/search/comparison-threads.js';
import { type DocumentKind, drawnDocument } from '../../matching/drawn-documents.js';
import { form, raw, startApplication, type TestApplication } from '../application.js';
import { photo, store } from './stored-photos.js';

/** With and without a search for edited copies, approximate and exact. */
const WAYS = ['groups=true', 'groups=false', 'groups=true&exact=true', 'exact=true'] as const;
const LAYOUTS: readonly DocumentKind[] = ['invoice', 'slide', 'chess', 'page', 'form', 'bars'];
const OF_EACH_LAYOUT = 2;

async function started(context: TestContext, pictures: ReadonlyMap<string, Buffer>): Promise<TestApplication> {
  const server = await startApplication(context);
  for (const [id, bytes] of pictures) await store(server, id, bytes);
  return server;
}

async function search(server: TestApplication, query: string, bytes: Buffer): Promise<SearchPage> {
  const response = await server.ask({ method: 'POST', url: `/search?${query}`, ...raw(bytes) });
  assert.equal(response.statusCode, 200, response.body);
  return response.json() as SearchPage;
}

const grey = (level: number, side = 64): Promise<Buffer> =>
  sharp({ create: { width: side, height: side, channels: 3, background: { r: level, g: level, b: level } } })
    .png()
    .toBuffer();

test('of 17 flat pictures with one embedding each finds itself first, and no other is a copy', async (context) => {
  const levels = Array.from({ length: 17 }, (_, at) => at * 15);
  const pictures = new Map<string, Buffer>();
  for (const level of levels) pictures.set(`grey-${level}`, await grey(level));
  const server = await started(context, pictures);
  for (const [id, bytes] of [...pictures].filter((_, at) => at % 5 === 0)) {
    for (const way of WAYS) {
      for (const k of [1, 17]) {
        const { results, complete } = await search(server, `k=${k}&${way}`, bytes);
        assert.equal(results.length, k);
        assert.ok(complete);
        assert.deepEqual([results[0]?.id, results[0]?.copy, results[0]?.probability], [id, 'exact', 1], way);
        for (const { score } of results) assert.ok(score >= -1 && score <= 1, `${score}`);
        for (const { copy, probability } of results.slice(1)) assert.ok(copy === 'none' && probability < 0.5, way);
      }
    }
  }
  const parts = ['grey-0', 'grey-240'].map((id, at) => ({
    name: 'ab'[at]!,
    fileName: `${id}.png`,
    type: 'image/png',
    content: pictures.get(id)!,
  }));
  const response = await server.ask({ method: 'POST', url: '/compare', ...form(...parts) });
  const { copy, probability, score } = response.json() as Comparison;
  assert.ok(copy === 'none' && probability < 0.5 && score <= 1, response.body);
});

test('documents of one layout are no copies of each other, and coded anew they are copies of themselves', async (context) => {
  const documents = new Map<string, Buffer>();
  for (const kind of LAYOUTS) {
    for (let at = 0; at < OF_EACH_LAYOUT; at++) documents.set(`${kind}-${at}`, await drawnDocument(kind, at));
  }
  const server = await started(context, documents);
  for (const [id, bytes] of documents) {
    const coded = await sharp(bytes).jpeg({ quality: 70 }).toBuffer();
    for (const way of ['groups=true', 'groups=false']) {
      const { results } = await search(server, `k=${documents.size}&${way}`, coded);
      const copies = results.filter(({ copy }) => copy !== 'none').map((result) => result.id);
      assert.deepEqual(copies, [id], way);
    }
  }
});

test('photographs between white pillars are no copies of each other', async (context) => {
  const pillars = new Map<string, Buffer>();
  for (let seed = 1; seed <= 6; seed++) {
    const bytes = await sharp(await photo(seed))
      .extend({ left: 60, right: 60, background: 'white' })
      .png()
      .toBuffer();
    pillars.set(`picture-${seed}`, bytes);
  }
  const server = await started(context, pillars);
  for (const [id, bytes] of pillars) {
    for (const way of ['groups=true', 'groups=false']) {
      const { results } = await search(server, `k=6&${way}`, await sharp(bytes).jpeg({ quality: 80 }).toBuffer());
      assert.deepEqual(
        results.filter(({ copy }) => copy !== 'none').map((result) => result.id),
        [id],
        way,
      );
    }
  }
});

test('an answer says which of its results were not compared in time, and equal bytes need no comparison', async (context) => {
  const threads = createComparisonThreads({ threads: 1, onFailure: assert.fail });
  context.after(() => threads.close());
  // As under load: of each request only the first pictures are compared.
  const COMPARED = 2;
  const server = await startApplication(
    context,
    {},
    {
      comparisons: {
        ...threads,
        align: async (scope, query, candidates) => {
          const compared = await threads.align(scope, query, candidates.slice(0, COMPARED));
          return candidates.map((_, at) => compared[at]);
        },
      },
    },
  );
  for (let seed = 1; seed <= 5; seed++) await store(server, `p${seed}`, await photo(seed));
  const edited = await sharp(await photo(3))
    .jpeg({ quality: 50 })
    .toBuffer();
  const { complete, results } = await search(server, 'k=5&groups=true', edited);
  assert.equal(complete, false);
  assert.deepEqual(
    results.map(({ verified }) => verified),
    [undefined, undefined, false, false, false],
  );
  assert.deepEqual([results[0]?.id, results[0]?.copy], ['p3', 'edited']);
  assert.equal((await search(server, 'k=2&groups=true', edited)).complete, true, 'the page holds compared ones only');
  const same = await search(server, 'k=1&groups=true', await photo(4));
  assert.deepEqual([same.complete, same.results[0]?.copy, same.results[0]?.verified], [true, 'exact', undefined]);
});

test('candidates of a request whose deadline is near are not compared, and the request is not held up', async () => {
  const threads = createComparisonThreads({ threads: 1, onFailure: assert.fail });
  const scope = {
    caller: 'anonymous',
    deadline: performance.now(),
    signal: new AbortController().signal,
    race: <T>(work: Promise<T>): Promise<T> => work,
    read: <T>(work: () => Promise<T>): Promise<T> => work(),
    debug: () => {},
  };
  const thumbnail = await sharp(await photo(1))
    .webp()
    .toBuffer();
  const candidates = Array.from({ length: 20 }, (_, sequence) => ({ sequence, thumbnail, view: 'original' as const }));
  const alignments = await threads.align(scope, thumbnail, candidates);
  await threads.close();
  assert.deepEqual(
    alignments,
    candidates.map(() => undefined),
  );
});

test('fold hides copies of a result, and no other document of its layout', async (context) => {
  const pictures = new Map<string, Buffer>();
  for (const layout of LAYOUTS)
    for (let number = 0; number < OF_EACH_LAYOUT; number++) {
      const document = await drawnDocument(layout, number);
      pictures.set(`${layout}-${number}`, document);
      pictures.set(`${layout}-${number}-copy`, await sharp(document).jpeg({ quality: 60 }).toBuffer());
    }
  const server = await started(context, pictures);
  const k = pictures.size;
  for (const groups of [false, true]) {
    const query = `k=${k}&exact=true&fold=true&groups=${groups}`;
    const { results } = await search(server, query, pictures.get('invoice-0')!);
    const shown = results.flatMap(({ id, folded = [] }) => [id, ...folded]);
    assert.deepEqual(shown.toSorted(), [...pictures.keys()].sort(), 'nothing is lost');
    const wrong = results.flatMap(({ id, folded = [] }) =>
      folded
        .filter((copy) => copy.replace('-copy', '') !== id.replace('-copy', ''))
        .map((copy) => `${copy} under ${id}`),
    );
    assert.deepEqual(wrong, []);
    const folded = results.reduce((sum, { folded: copies = [] }) => sum + copies.length, 0);
    assert.ok(folded >= 0.9 * (k / 2), `${folded} of ${k / 2} copies are folded`);
  }
});
