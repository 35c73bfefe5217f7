import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EmbeddingMatrix, embeddingMatrix, row } from '../../src/evaluation/embedding-matrix.js';
import { type Metric, openExactSearch, type SearchRequest } from '../../src/evaluation/exact-search.js';
import { normalValues, testRandom } from './seed.js';

/** Slow and plain: every pair, sorted. */
function referenceRanking(options: {
  database: EmbeddingMatrix;
  query: Float32Array;
  metric: Metric;
  exclude: number;
}) {
  const { database, query, metric, exclude } = options;
  const all = [];
  for (let index = 0; index < database.rows; index++) {
    if (index === exclude) continue;
    const other = row(database, index);
    let [product, a, b, squares] = [0, 0, 0, 0];
    for (let i = 0; i < query.length; i++) {
      product += query[i]! * other[i]!;
      a += query[i]! ** 2;
      b += other[i]! ** 2;
      squares += (query[i]! - other[i]!) ** 2;
    }
    all.push({ index, score: metric === 'cosine' ? product / Math.sqrt(a * b) : -Math.sqrt(squares) });
  }
  return all.sort((x, y) => y.score - x.score || x.index - y.index);
}

async function nearest(database: EmbeddingMatrix, metric: Metric, request: SearchRequest) {
  const search = await openExactSearch({ database, metric, threads: 1 });
  return await search.nearest(request).finally(() => search.close());
}

for (const metric of ['cosine', 'euclidean'] as const) {
  test(`the ranking by ${metric} is that of a plain loop, with and without excluded rows`, async (context) => {
    const random = testRandom(context, 11);
    const database = embeddingMatrix(
      normalValues(400 * 17, random).map((value) => value + 3),
      17,
    );
    const queries = embeddingMatrix(
      normalValues(30 * 17, random).map((value) => value + 3),
      17,
    );
    for (const exclude of [
      undefined,
      Int32Array.from({ length: 30 }, (_, query) => (query % 3 === 0 ? -1 : query * 7)),
    ]) {
      const ranked = await nearest(database, metric, { queries, k: 25, ...(exclude && { exclude }) });
      assert.equal(ranked.k, 25);
      for (let query = 0; query < queries.rows; query++) {
        const expected = referenceRanking({
          database,
          query: row(queries, query),
          metric,
          exclude: exclude?.[query] ?? -1,
        });
        for (let place = 0; place < 25; place++) {
          const at = query * 25 + place;
          assert.ok(
            Math.abs(ranked.scores[at]! - expected[place]!.score) < 1e-5,
            `score of query ${query}, place ${place}`,
          );
          const isNearTie = place < 24 && Math.abs(expected[place]!.score - expected[place + 1]!.score) < 1e-6;
          const wasNearTie = place > 0 && Math.abs(expected[place]!.score - expected[place - 1]!.score) < 1e-6;
          if (!isNearTie && !wasNearTie) assert.equal(ranked.indices[at], expected[place]!.index);
        }
      }
    }
  });
}

test('an image searched among all others never finds itself, even beside exact duplicates', async () => {
  const values = new Float32Array(40 * 3).fill(1);
  const database = embeddingMatrix(values, 3);
  const itself = Int32Array.from({ length: 40 }, (_, index) => index);
  for (const metric of ['cosine', 'euclidean'] as const) {
    const ranked = await nearest(database, metric, { queries: database, k: 5, exclude: itself });
    for (let query = 0; query < 40; query++) {
      assert.ok(!ranked.indices.subarray(query * 5, query * 5 + 5).includes(query));
    }
  }
});

test('near duplicates far from the origin are ranked by their true distance', async () => {
  // At |x| = 3000 the expanded square has an error of about 1; the true distances are 0.01 apart.
  const database = embeddingMatrix(
    Float32Array.from([3000, 0, 3000.01, 0, 3000.03, 0, -9000, 0].map((value) => value)),
    2,
  );
  const queries = embeddingMatrix(Float32Array.of(3000.012, 0), 2);
  const ranked = await nearest(database, 'euclidean', { queries, k: 3 });
  assert.deepEqual([...ranked.indices], [1, 0, 2]);
});

test('blocks together are the whole, in order', async (context) => {
  const random = testRandom(context, 12);
  const database = embeddingMatrix(normalValues(50 * 4, random), 4);
  const queries = embeddingMatrix(normalValues(2500 * 4, random), 4);
  const search = await openExactSearch({ database, metric: 'cosine', threads: 1 });
  const whole = await search.nearest({ queries, k: 3 });
  const starts: number[] = [];
  for await (const block of search.blocks({ queries, k: 3 })) {
    starts.push(block.firstQuery);
    assert.deepEqual(
      block.indices,
      whole.indices.subarray(block.firstQuery * 3, (block.firstQuery + block.queries) * 3),
    );
  }
  await search.close();
  assert.ok(starts.length > 1, 'the queries should not fit in one block');
});

test('k is cut to the rows there are, and numbers that are not finite are refused by row', async () => {
  const database = embeddingMatrix(Float32Array.of(1, 0, 0, 1, 1, 1), 2);
  assert.equal((await nearest(database, 'cosine', { queries: database, k: 10 })).k, 3);
  assert.equal((await nearest(database, 'cosine', { queries: database, k: 10, exclude: Int32Array.of(0, 1, 2) })).k, 2);
  const broken = embeddingMatrix(Float32Array.of(1, 0, 0, Number.NaN), 2);
  await assert.rejects(openExactSearch({ database: broken, metric: 'cosine' }), /Database: row 1 holds NaN/);
  await assert.rejects(nearest(database, 'cosine', { queries: broken, k: 1 }), /Queries: row 1/);
});
