import { SearchError } from '../errors.js';
import { NearestMatches } from './nearest-matches.js';
import { unitVector } from './unit-vector.js';
import { LABEL_LIMIT, type VectorIndex, type VectorMatch, type VectorSearchOptions } from './vector-index.js';

/** Vectors per block of memory. Growing adds a block, so that nothing is ever copied and no second copy stands beside the first. */
const BLOCK_VECTORS = 1024;

/**
 * Brute force over flat memory: the specification that every other index is measured against, and the vectors themselves for exact scans,
 * re-scoring and rebuilding. Holds 4 bytes x dimensions a vector and about 50 more for its label.
 */
export class ExactIndex implements VectorIndex {
  readonly dimensions: number;
  /** Row r lies in block r / BLOCK_VECTORS. Rows are dense: a removed one is filled with the last. */
  readonly #blocks: Float32Array[] = [];
  readonly #labels: number[] = [];
  readonly #rows = new Map<number, number>();
  #highest = -1;

  constructor(dimensions: number) {
    this.dimensions = dimensions;
  }

  get size(): number {
    return this.#labels.length;
  }

  add(label: number, vector: Float32Array): void {
    checkLabel(label, this.#highest);
    const unit = unitVector(vector, this.dimensions);
    const row = this.#labels.length;
    if (row % BLOCK_VECTORS === 0 && row / BLOCK_VECTORS === this.#blocks.length) {
      this.#blocks.push(new Float32Array(BLOCK_VECTORS * this.dimensions));
    }
    this.#block(row).set(unit, this.#offset(row));
    this.#labels.push(label);
    this.#rows.set(label, row);
    this.#highest = label;
  }

  has(label: number): boolean {
    return this.#rows.has(label);
  }

  /** All labels in no order: the index's own list, good until the next change. */
  get unsortedLabels(): readonly number[] {
    return this.#labels;
  }

  /** All labels in ascending order: a copy. */
  labels(): Uint32Array {
    return Uint32Array.from(this.#labels).sort();
  }

  /** The vector under a label: a view into the index's memory, good until the next change and not to be written. */
  vector(label: number): Float32Array | undefined {
    const row = this.#rows.get(label);
    return row === undefined ? undefined : this.#block(row).subarray(this.#offset(row), this.#offset(row) + this.dimensions);
  }

  remove(label: number): boolean {
    const row = this.#rows.get(label);
    if (row === undefined) return false;
    const last = this.#labels.length - 1;
    const lastLabel = this.#labels[last]!;
    if (row !== last) {
      const from = this.#offset(last);
      this.#block(row).set(this.#block(last).subarray(from, from + this.dimensions), this.#offset(row));
      this.#labels[row] = lastLabel;
      this.#rows.set(lastLabel, row);
    }
    this.#labels.pop();
    this.#rows.delete(label);
    // One spare block stays, so that adding and removing at the edge of a block does not allocate each time.
    if (this.#blocks.length > Math.ceil(last / BLOCK_VECTORS) + 1) this.#blocks.pop();
    return true;
  }

  search(vector: Float32Array, k: number, options: VectorSearchOptions = {}): VectorMatch[] {
    const query = unitVector(vector, this.dimensions);
    const nearest = new NearestMatches(k);
    this.scanRows({ query, from: 0, to: this.#labels.length, nearest, accepts: options.accepts ?? (() => true) });
    return nearest.sorted();
  }

  /** As `search`, over these labels only; labels that are not here are passed over. Costs time by their number, not by the index's. */
  searchAmong(vector: Float32Array, k: number, labels: Iterable<number>): VectorMatch[] {
    const query = unitVector(vector, this.dimensions);
    const nearest = new NearestMatches(k);
    for (const label of labels) {
      const row = this.#rows.get(label);
      if (row !== undefined) this.#score(query, row, nearest);
    }
    return nearest.sorted();
  }

  /** Scores rows `from` to `to` (of `size`) against a unit vector into `nearest`: a scan in slices. A removal between two slices moves one row. */
  scanRows(slice: {
    readonly query: Float32Array;
    readonly from: number;
    readonly to: number;
    readonly nearest: NearestMatches;
    readonly accepts: (label: number) => boolean;
  }): void {
    const { query, from, to, nearest, accepts } = slice;
    for (let row = from; row < to; row++) if (accepts(this.#labels[row]!)) this.#score(query, row, nearest);
  }

  #score(query: Float32Array, row: number, nearest: NearestMatches): void {
    const similarity = dotProduct(query, this.#block(row), this.#offset(row));
    if (similarity >= nearest.threshold) nearest.offer(this.#labels[row]!, Math.max(-1, Math.min(1, similarity)));
  }

  #block(row: number): Float32Array {
    return this.#blocks[Math.floor(row / BLOCK_VECTORS)]!;
  }

  #offset(row: number): number {
    return (row % BLOCK_VECTORS) * this.dimensions;
  }
}

/** Throws where a label is no whole number of 32 bits or does not ascend; the former is CATALOGUE_FULL, the latter a bug of the caller. */
export function checkLabel(label: number, highest: number): void {
  if (label > LABEL_LIMIT) {
    throw new SearchError('CATALOGUE_FULL', `Sequence number ${label} is beyond ${LABEL_LIMIT}, the largest label an index can hold.`);
  }
  if (!Number.isInteger(label) || label < 0) throw new Error(`Label ${label} is not a whole number of 32 bits. This is a bug.`);
  if (label <= highest)
    throw new Error(`Label ${label} does not follow ${highest}; labels ascend and are never used again. This is a bug.`);
}

/** Four running sums let the processor overlap the additions: a third of the time of one sum. Summed in double precision. */
function dotProduct(query: Float32Array, block: Float32Array, offset: number): number {
  const length = query.length;
  const even = length - (length % 4);
  let first = 0;
  let second = 0;
  let third = 0;
  let fourth = 0;
  for (let index = 0; index < even; index += 4) {
    first += query[index]! * block[offset + index]!;
    second += query[index + 1]! * block[offset + index + 1]!;
    third += query[index + 2]! * block[offset + index + 2]!;
    fourth += query[index + 3]! * block[offset + index + 3]!;
  }
  for (let index = even; index < length; index++) first += query[index]! * block[offset + index]!;
  return first + second + third + fourth;
}
