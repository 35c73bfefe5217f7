/**
 * The graph against the exact scan on 50,000 real embeddings: recall@10 and time of a search at each breadth, one
 * thread; and the efSearch that a collection chooses for itself by its measurements. Settings are the service's
 * defaults; the exact index is the catalogue's own, so both answer the same question.
 *
 *   node dist/bench/hnsw.js [SAVED_ENCODER]     (the service's default where none is named)
 */

import { CollectionIndex } from '../src/catalogue/vectors/collection-index.js';
import { ExactIndex } from '../src/catalogue/vectors/exact-index.js';
import { HnswIndex } from '../src/catalogue/vectors/hnsw-index.js';
import { SETTINGS } from '../src/settings.js';
import { cifarEmbeddings } from './cifar-embeddings.js';
import { figureOf, show, tableHead, tableRow, timeOf } from './measuring.js';

const IMAGES = 50_000;
const QUERIES = 1000;
const K = 10;
const ROUNDS = 3;

const model = process.argv[2] ?? SETTINGS.model.default;
const vectors = await cifarEmbeddings('train', IMAGES, model);
const queries = await cifarEmbeddings('test', QUERIES, model);
const dimensions = vectors[0]!.length;
const exact = new ExactIndex(dimensions);
const settings = {
  dimensions,
  m: SETTINGS.hnswM.default,
  efConstruction: SETTINGS.hnswEfConstruction.default,
  ef: SETTINGS.hnswEf.default,
  recall: SETTINGS.hnswRecall.default / 100,
};
const graph = new HnswIndex(settings, { capacity: IMAGES });
const startedAt = performance.now();
for (const [label, vector] of vectors.entries()) graph.add(label, vector);
console.log('## The graph against the exact scan\n');
console.log(
  `${IMAGES} images of CIFAR-10 by ${model}, ${dimensions} dimensions; ${QUERIES} test images as queries, one thread; graph of M ${settings.m} built in ${((performance.now() - startedAt) / 1000).toFixed(1)} s.\n`,
);
for (const [label, vector] of vectors.entries()) exact.add(label, vector);

const truth = queries.map((query) => new Set(exact.search(query, K).map(({ label }) => label)));
let next = 0;
const query = (): Float32Array => queries[next++ % QUERIES]!;
const exactMs = figureOf([
  await timeOf(() => exact.search(query(), K), 1500),
  await timeOf(() => exact.search(query(), K), 1500),
]);
console.log(tableHead('ef', 'recall@10', 'ms a search', 'times as fast as the exact scan'));
console.log(tableRow('exact', '1.0000', show(exactMs, 3), ''));
for (const ef of [16, 32, 64, 128, 256]) {
  let found = 0;
  for (const [index, vector] of queries.entries())
    for (const { label } of graph.search(vector, K, { ef })) if (truth[index]!.has(label)) found++;
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) times.push(await timeOf(() => graph.search(query(), K, { ef }), 700));
  const ms = figureOf(times);
  console.log(tableRow(ef, (found / QUERIES / K).toFixed(4), show(ms, 3), (exactMs.median / ms.median).toFixed(1)));
}

const collection = new CollectionIndex(settings, new ExactIndex(dimensions));
for (const [label, vector] of vectors.entries()) collection.add(label, vector);
const buildingAt = performance.now();
while (collection.hasWork) collection.work(4);
const buildSeconds = (performance.now() - buildingAt) / 1000;
let found = 0;
for (const [index, vector] of queries.entries()) {
  for (const { label } of collection.search(vector, K, { ef: undefined, exact: false }))
    if (truth[index]!.has(label)) found++;
}
const chosenMs = await timeOf(() => collection.search(query(), K, { ef: undefined, exact: false }), 1500);
const { efSearch, recall } = collection.statistics;
const chosen = `chosen by measurement for ${settings.recall}: ${efSearch}`;
console.log(
  tableRow(chosen, (found / QUERIES / K).toFixed(4), chosenMs.toFixed(3), (exactMs.median / chosenMs).toFixed(1)),
);
console.log(`\nMeasured recall ${recall?.toFixed(4)}; built with measurements in ${buildSeconds.toFixed(1)} s.`);
