/**
 * The graph against the exact scan on 50,000 real embeddings: recall@10 and searches a second at each breadth, one thread. The exact index
 * is the catalogue's own, so both answer the same question.
 */
import { ExactIndex } from '../src/catalogue/exact-index.js';
import { HnswIndex } from '../src/catalogue/hnsw-index.js';
import { cifarEmbeddings } from './cifar-embeddings.js';
import { figureOf, show, timeOf } from './measuring.js';

const IMAGES = 50_000;
const QUERIES = 1000;
const K = 10;
const ROUNDS = 3;

const vectors = await cifarEmbeddings('train', IMAGES);
const queries = await cifarEmbeddings('test', QUERIES);
const dimensions = vectors[0]!.length;
const exact = new ExactIndex(dimensions);
const graph = new HnswIndex({ dimensions, m: 16, efConstruction: 200, ef: 64 }, { capacity: IMAGES });
const startedAt = performance.now();
for (const [label, vector] of vectors.entries()) graph.add(label, vector);
console.log(`${IMAGES} embeddings of ${dimensions} elements, graph built in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
for (const [label, vector] of vectors.entries()) exact.add(label, vector);

const truth = queries.map((query) => new Set(exact.search(query, K).map(({ label }) => label)));
let next = 0;
const query = (): Float32Array => queries[next++ % QUERIES]!;
const exactMs = figureOf([await timeOf(() => exact.search(query(), K), 1500), await timeOf(() => exact.search(query(), K), 1500)]);
console.log('ef      recall@10   ms a search          times as fast as the exact scan');
console.log(`exact   1.0000      ${show(exactMs, 3)}`);
for (const ef of [16, 32, 64, 128, 256]) {
  let found = 0;
  for (const [index, vector] of queries.entries())
    for (const { label } of graph.search(vector, K, { ef })) if (truth[index]!.has(label)) found++;
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) times.push(await timeOf(() => graph.search(query(), K, { ef }), 700));
  const ms = figureOf(times);
  console.log(
    `${String(ef).padEnd(8)}${(found / QUERIES / K).toFixed(4)}      ${show(ms, 3)}   ${(exactMs.median / ms.median).toFixed(1)}`,
  );
}
