/**
 * What more links a node would buy: recall@10 and processor time of a search at each breadth, build time and memory, for several M on 50,000 real
 * embeddings. Times are processor time (one thread works), so other work on the machine does not enter them.
 *
 *   node dist/bench/hnsw-links.js models/whitening-cifar10 32:200 64:400 96:400 128:400     (pairs of M and efConstruction)
 */
import { ExactIndex } from '../src/catalogue/exact-index.js';
import { HnswIndex } from '../src/catalogue/hnsw-index.js';
import { cifarEmbeddings } from './cifar-embeddings.js';

const IMAGES = 50_000;
const QUERIES = 1000;
const K = 10;
const BREADTHS = [16, 32, 64, 128, 256, 512];

const [model = 'models/whitening-cifar10', ...shapes] = process.argv.slice(2);
const vectors = await cifarEmbeddings('train', IMAGES, model);
const queries = await cifarEmbeddings('test', QUERIES, model);
const dimensions = vectors[0]!.length;
const exact = new ExactIndex(dimensions);
for (const [label, vector] of vectors.entries()) exact.add(label, vector);
const exactAt = cpuMs();
const truth = queries.map((query) => new Set(exact.search(query, K).map(({ label }) => label)));
console.log(`${model}: ${IMAGES} embeddings of ${dimensions}; exact scan ${((cpuMs() - exactAt) / QUERIES).toFixed(2)} ms a search`);

for (const shape of shapes.length > 0 ? shapes : ['32:200', '64:400', '96:400', '128:400']) {
  const [m, efConstruction] = shape.split(':').map(Number);
  if (!(m! > 0) || !(efConstruction! > 0)) throw new Error(`${shape} is not M:efConstruction.`);
  const builtAt = cpuMs();
  const graph = new HnswIndex({ dimensions, m: m!, efConstruction: efConstruction!, ef: 64 }, { capacity: IMAGES });
  for (const [label, vector] of vectors.entries()) graph.add(label, vector);
  const buildSeconds = (cpuMs() - builtAt) / 1000;
  // Of hnswlib's lowest layer, which holds all nodes: the vector, 2 M links of 4 bytes with their count, and a label of 8.
  const bytes = IMAGES * (4 * dimensions + 4 * (2 * m! + 1) + 8);
  console.log(`M ${m}, efConstruction ${efConstruction}: built in ${buildSeconds.toFixed(0)} s, ${(bytes / 1e6).toFixed(0)} MB`);
  for (const ef of BREADTHS) {
    const at = cpuMs();
    let found = 0;
    for (const [index, query] of queries.entries()) {
      for (const { label } of graph.search(query, K, { ef })) if (truth[index]!.has(label)) found++;
    }
    const ms = (cpuMs() - at) / QUERIES;
    console.log(
      `  ef ${String(ef).padEnd(4)} recall@10 ${(found / QUERIES / K).toFixed(4)}  ${ms.toFixed(3)} ms  ${(1000 / ms).toFixed(0)}/s`,
    );
  }
}

/** Processor milliseconds of this process so far. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
