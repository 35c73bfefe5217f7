/**
 * What more links a node would buy: recall@10 and processor time of a search at each breadth, build time and memory,
 * for several M on 50,000 real embeddings. Times are processor time (one thread works), so other work on the machine
 * does not enter them.
 *
 *   npm run bench -- hnsw-links models/whitening-cifar10 32:200 64:400 96:400 128:400
 *
 * (pairs of M and efConstruction)
 */
import { ExactIndex } from '../src/catalogue/vectors/exact-index.js';
import { HnswIndex } from '../src/catalogue/vectors/hnsw-index.js';
import { cifarEmbeddings } from './cifar-embeddings.js';
import { tableHead, tableRow } from './measuring.js';

const IMAGES = 50_000;
const QUERIES = 1000;
const K = 10;
const BREADTHS = [32, 64, 128];

const [model = 'models/whitening-cifar10', ...shapes] = process.argv.slice(2);
const vectors = await cifarEmbeddings('train', IMAGES, model);
const queries = await cifarEmbeddings('test', QUERIES, model);
const dimensions = vectors[0]!.length;
const exact = new ExactIndex(dimensions);
for (const [label, vector] of vectors.entries()) exact.add(label, vector);
const exactAt = cpuMs();
const truth = queries.map((query) => new Set(exact.search(query, K).map(({ label }) => label)));
const exactMs = (cpuMs() - exactAt) / QUERIES;
console.log(`## More links a node: ${model}\n`);
console.log(
  `${IMAGES} images of CIFAR-10, ${dimensions} dimensions; processor time of one thread; an exact scan takes ${exactMs.toFixed(2)} ms.\n`,
);
const atBreadths = (what: string): string[] => BREADTHS.map((ef) => `${what} at ef ${ef}`);
console.log(tableHead('M, efConstruction', 'built, s', 'memory, MB', ...atBreadths('recall@10'), ...atBreadths('ms')));

for (const shape of shapes.length > 0 ? shapes : ['32:200', '64:400', '96:400', '128:400']) {
  const [m, efConstruction] = shape.split(':').map(Number);
  if (!(m! > 0) || !(efConstruction! > 0)) throw new Error(`${shape} is not M:efConstruction.`);
  const builtAt = cpuMs();
  const graph = new HnswIndex({ dimensions, m: m!, efConstruction: efConstruction!, ef: 64 }, { capacity: IMAGES });
  for (const [label, vector] of vectors.entries()) graph.add(label, vector);
  const buildSeconds = (cpuMs() - builtAt) / 1000;
  // Of hnswlib's lowest layer, which holds all nodes: the vector, 2 M links of 4 bytes with their count, and a label
  // of 8.
  const bytes = IMAGES * (4 * dimensions + 4 * (2 * m! + 1) + 8);
  const recalls: string[] = [];
  const times: string[] = [];
  for (const ef of BREADTHS) {
    const at = cpuMs();
    let found = 0;
    for (const [index, query] of queries.entries()) {
      for (const { label } of graph.search(query, K, { ef })) if (truth[index]!.has(label)) found++;
    }
    times.push(((cpuMs() - at) / QUERIES).toFixed(2));
    recalls.push((found / QUERIES / K).toFixed(3));
  }
  const shapeName = `${m}, ${efConstruction}`;
  console.log(tableRow(shapeName, buildSeconds.toFixed(0), (bytes / 1e6).toFixed(0), ...recalls, ...times));
}

/** Processor milliseconds of this process so far. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
