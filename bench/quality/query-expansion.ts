/**
 * What query expansion gains: labelled held-out pictures searched among the others, by exact cosine, alone and together
 * with their nearest (`expand` of a search). No query is in the database, so none is another's neighbour.
 *
 *   npm run bench -- quality/query-expansion DATA_FOLDER MODEL [MODEL ...]
 */
import { openDataSource } from '../../src/datasets/data-sources.js';
import { openDecoding } from '../../src/datasets/decoding.js';
import { openEncoder } from '../../src/encoder/open-encoder.js';
import { type EmbeddingMatrix, embeddingMatrix, row } from '../../src/evaluation/embedding-matrix.js';
import { encodeDataset } from '../../src/evaluation/encode-dataset.js';
import { openExactSearch } from '../../src/evaluation/exact-search.js';
import { rankingMeasures } from '../../src/evaluation/measures/ranking-measures.js';
import { expandedEmbedding } from '../../src/matching/combine-examples.js';

const EXPANSIONS = [0, 1, 2, 3, 4, 6, 8];
const HELD_OUT = 0.2;

const [data, ...models] = process.argv.slice(2);
if (data === undefined || models.length === 0) throw new Error('Usage: query-expansion DATA_FOLDER MODEL [MODEL ...]');
const { database, queries } = await openDataSource({ data, cache: '', heldOut: HELD_OUT });
if (database.labels === undefined || queries?.labels === undefined)
  throw new Error(`${data}: pictures in folders, one of each class, are needed.`);

for (const folder of models) {
  const encoder = await openEncoder({ folder, device: 'cpu', batchSizeMax: 16 });
  const { decode, close } = openDecoding(encoder.description.preprocessing);
  const evaluated = {
    ...encoder.description,
    encode: async (batch: Parameters<typeof encoder.encode>[0][]) =>
      Promise.all(batch.map(async (pixels) => (await encoder.encode(pixels, {})).embedding)),
  };
  const [stored, asked] = [
    await encodeDataset({ encoder: evaluated, dataset: database, decode }),
    await encodeDataset({ encoder: evaluated, dataset: queries, decode }),
  ];
  await close();
  await encoder.close();
  const [labels, wanted] = [stored.dataset.labels!, asked.dataset.labels!]; // checked above
  const search = await openExactSearch({ database: stored.embeddings, metric: 'cosine' });
  const rankings = async (vectors: EmbeddingMatrix) => {
    const { k, indices, scores } = await search.nearest({ queries: vectors, k: stored.embeddings.rows });
    return {
      of: (query: number) => indices.subarray(query * k, (query + 1) * k),
      score: (at: number) => scores[at]!,
      k,
    };
  };
  const plain = await rankings(asked.embeddings);
  console.log(`## Query expansion: ${encoder.description.name}\n`);
  console.log(
    `${wanted.length} queries in ${labels.length} pictures. No query is in the database, so none is the neighbour of another.\n`,
  );
  console.log('| expand | P@10 | MAP@R |\n|---|---|---|');
  for (const expand of EXPANSIONS) {
    const expanded = new Float32Array(asked.embeddings.values.length);
    for (let query = 0; query < wanted.length; query++) {
      const neighbours = Array.from(plain.of(query).subarray(0, expand), (index, rank) => ({
        similarity: plain.score(query * plain.k + rank),
        embedding: row(stored.embeddings, index),
      }));
      expanded.set(expandedEmbedding(row(asked.embeddings, query), neighbours), query * asked.embeddings.dimensions);
    }
    const again = await rankings(embeddingMatrix(expanded, asked.embeddings.dimensions));
    let [precision, map, counted] = [0, 0, 0];
    for (let query = 0; query < wanted.length; query++) {
      const relevant = labels.filter((label: number) => label === wanted[query]).length;
      if (relevant === 0) continue;
      const nearest = plain.of(query)[0]!;
      const order = [nearest, ...Array.from(again.of(query)).filter((index) => index !== nearest)];
      const relevance = order.map((index) => Number(labels[index] === wanted[query]));
      const { precisionAt10, mapAtR } = rankingMeasures(relevance, relevant);
      [precision, map, counted] = [precision + precisionAt10, map + mapAtR, counted + 1];
    }
    const percent = (sum: number): string => ((100 * sum) / counted).toFixed(1);
    console.log(`| ${expand} | ${percent(precision)} | ${percent(map)} |`);
  }
  await search.close();
}
