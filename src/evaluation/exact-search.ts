/**
 * Exact nearest neighbours of many queries, the ground truth of all measures. One ONNX program multiplies a block of
 * queries with the whole database and keeps the best k of each row, so that the matrix of all scores never exists.
 */
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { openGraph, type SmallGraph } from '../compile/graph-session.js';
import { type EmbeddingMatrix, finiteRows, meanRow, row, subtractRow, unitRows } from './embedding-matrix.js';

/** How two embeddings are compared. */
export type Metric = 'cosine' | 'euclidean';

/**
 * The nearest k database rows of some consecutive queries. indices, scores: queries x k, best first, of equal scores
 * the lower index first. A score is a cosine similarity, or minus the Euclidean distance: larger is nearer in both.
 */
export type RankedNeighbours = {
  readonly firstQuery: number;
  readonly queries: number;
  readonly k: number;
  readonly indices: Uint32Array;
  readonly scores: Float32Array;
};

/**
 * Which queries, how many neighbours, and the database row (or -1) each query must not find: itself, where it stands in
 * the database.
 */
export type SearchRequest = { readonly queries: EmbeddingMatrix; readonly k: number; readonly exclude?: Int32Array };

/** An open database. The caller closes it. */
export interface ExactSearch {
  readonly metric: Metric;
  readonly rows: number;
  /** Block by block, so that a deep ranking (k in the thousands) of many queries need not fit in memory. */
  blocks(request: SearchRequest): AsyncGenerator<RankedNeighbours>;
  /** All queries at once. k is cut to the rows that can be found. */
  nearest(request: SearchRequest): Promise<RankedNeighbours>;
  close(): Promise<void>;
}

/** Scores held at once: 128 MiB of float32. */
const BLOCK_SCORES_MAX = 1 << 25;
const BLOCK_QUERIES_MAX = 1024;
/**
 * Neighbours of a Euclidean ranking that are scored again in double precision: |q|^2 - 2qx + |x|^2 cancels for near
 * duplicates.
 */
const EUCLIDEAN_HEAD = 256;

/** Opens a database of at least one row; throws where it holds a number that is not finite. `threads` 0: every core. */
export async function openExactSearch(options: {
  readonly database: EmbeddingMatrix;
  readonly metric: Metric;
  readonly threads?: number;
}): Promise<ExactSearch> {
  if (options.database.rows < 1) throw new Error('An exact search needs at least one database row. This is a bug.');
  finiteRows(options.database, 'Database');
  const session = await openGraph(SEARCH_PROGRAM, { threads: options.threads });
  return new ProgramSearch(options.database, options.metric, session);
}

const SEARCH_PROGRAM: SmallGraph = {
  name: 'exact-search',
  inputs: [
    { name: 'queries', type: 'float32', dims: ['Q', 'D'] },
    { name: 'database', type: 'float32', dims: ['N', 'D'] },
    { name: 'bias', type: 'float32', dims: ['N'] },
    { name: 'k', type: 'int64', dims: [1] },
  ],
  outputs: [
    { name: 'scores', type: 'float32', dims: ['Q', 'K'] },
    { name: 'indices', type: 'int64', dims: ['Q', 'K'] },
  ],
  nodes: [
    { op: 'Gemm', inputs: ['queries', 'database', 'bias'], outputs: ['all'], attributes: { transB: 1 } },
    { op: 'TopK', inputs: ['all', 'k'], outputs: ['scores', 'indices'], attributes: { axis: -1 } },
  ],
};

class ProgramSearch implements ExactSearch {
  readonly metric: Metric;
  readonly rows: number;
  /** Unit rows (cosine), or rows minus their mean (Euclidean: distances do not change, and less cancels). */
  readonly #prepared: EmbeddingMatrix;
  readonly #origin: Float64Array;
  readonly #feeds: { readonly database: Tensor; readonly bias: Tensor };
  readonly #session: InferenceSession;

  constructor(database: EmbeddingMatrix, metric: Metric, session: InferenceSession) {
    this.metric = metric;
    this.rows = database.rows;
    this.#session = session;
    this.#origin = meanRow(database);
    this.#prepared = this.#prepare(database);
    // The smallest distance is the largest q.x - |x|^2 / 2.
    const bias = new Float32Array(database.rows);
    if (metric === 'euclidean')
      for (let i = 0; i < bias.length; i++) bias[i] = -squaredNorm(row(this.#prepared, i)) / 2;
    this.#feeds = {
      database: new Tensor('float32', this.#prepared.values, [database.rows, database.dimensions]),
      bias: new Tensor('float32', bias, [database.rows]),
    };
  }

  async *blocks(request: SearchRequest): AsyncGenerator<RankedNeighbours> {
    const { queries, exclude } = request;
    if (queries.dimensions !== this.#prepared.dimensions) {
      throw new Error(
        `Queries have ${queries.dimensions} dimensions, the database ${this.#prepared.dimensions}. This is a bug.`,
      );
    }
    finiteRows(queries, 'Queries');
    const k = Math.min(request.k, this.rows - (exclude ? 1 : 0));
    if (k < 1) throw new Error(`Cannot find ${request.k} neighbours among ${this.rows} rows. This is a bug.`);
    const candidates = Math.min(this.rows, k + (exclude ? 1 : 0));
    const prepared = this.#prepare(queries);
    const step = Math.max(1, Math.min(BLOCK_QUERIES_MAX, Math.floor(BLOCK_SCORES_MAX / this.rows)));
    for (let first = 0; first < queries.rows; first += step) {
      const count = Math.min(step, queries.rows - first);
      const block = {
        ...prepared,
        rows: count,
        values: prepared.values.subarray(first * prepared.dimensions, (first + count) * prepared.dimensions),
      };
      const found = await this.#best(block, candidates);
      if (this.metric === 'euclidean') this.#scoreAsDistances(block, found, candidates);
      yield {
        firstQuery: first,
        queries: count,
        k,
        ...withoutExcluded({ found, candidates, k, count, first, exclude }),
      };
    }
  }

  async nearest(request: SearchRequest): Promise<RankedNeighbours> {
    let whole: RankedNeighbours | undefined;
    for await (const block of this.blocks(request)) {
      const size = request.queries.rows * block.k;
      whole ??= {
        ...block,
        queries: request.queries.rows,
        indices: new Uint32Array(size),
        scores: new Float32Array(size),
      };
      whole.indices.set(block.indices, block.firstQuery * block.k);
      whole.scores.set(block.scores, block.firstQuery * block.k);
    }
    if (whole) return whole;
    return { firstQuery: 0, queries: 0, k: request.k, indices: new Uint32Array(0), scores: new Float32Array(0) };
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  #prepare(matrix: EmbeddingMatrix): EmbeddingMatrix {
    return this.metric === 'cosine' ? unitRows(matrix) : subtractRow(matrix, this.#origin);
  }

  async #best(block: EmbeddingMatrix, k: number): Promise<Found> {
    const result = await this.#session.run({
      ...this.#feeds,
      queries: new Tensor('float32', block.values, [block.rows, block.dimensions]),
      k: new Tensor('int64', BigInt64Array.of(BigInt(k)), [1]),
    });
    // The program's own output types: float32 and int64.
    const scores = result.scores!.data as Float32Array;
    const wide = result.indices!.data as BigInt64Array;
    // little-endian: the low word comes first
    const words = new Uint32Array(wide.buffer, wide.byteOffset, wide.length * 2);
    const indices = new Uint32Array(wide.length);
    for (let i = 0; i < indices.length; i++) indices[i] = words[i * 2]!;
    return { scores, indices };
  }

  /** Turns q.x - |x|^2 / 2 into minus the distance, and sorts the head by the exact distance. In place. */
  #scoreAsDistances(block: EmbeddingMatrix, found: Found, k: number): void {
    for (let query = 0; query < block.rows; query++) {
      const vector = row(block, query);
      const norm = squaredNorm(vector);
      const start = query * k;
      const head = [];
      for (let i = start; i < start + k; i++) {
        const index = found.indices[i]!;
        if (i - start < EUCLIDEAN_HEAD) head.push({ index, score: -distance(vector, row(this.#prepared, index)) });
        else found.scores[i] = -Math.sqrt(Math.max(0, norm - 2 * found.scores[i]!));
      }
      head.sort((a, b) => b.score - a.score || a.index - b.index);
      head.forEach((each, place) => {
        found.indices[start + place] = each.index;
        found.scores[start + place] = each.score;
      });
    }
  }
}

type Found = { readonly scores: Float32Array; readonly indices: Uint32Array };

/** Drops each query's excluded row; where that row was not among the candidates, the last candidate goes instead. */
function withoutExcluded(options: {
  readonly found: Found;
  readonly candidates: number;
  readonly k: number;
  readonly count: number;
  readonly first: number;
  readonly exclude: Int32Array | undefined;
}): Found {
  const { found, candidates, k, count, first, exclude } = options;
  if (!exclude) return found;
  const indices = new Uint32Array(count * k);
  const scores = new Float32Array(count * k);
  for (let query = 0; query < count; query++) {
    const barred = exclude[first + query]!;
    let to = query * k;
    for (let from = query * candidates; from < (query + 1) * candidates && to < (query + 1) * k; from++) {
      if (found.indices[from] === barred) continue;
      indices[to] = found.indices[from]!;
      scores[to++] = found.scores[from]!;
    }
  }
  return { indices, scores };
}

function squaredNorm(vector: Float32Array): number {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return sum;
}

function distance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = a[i]! - b[i]!;
    sum += difference * difference;
  }
  return Math.sqrt(sum);
}
