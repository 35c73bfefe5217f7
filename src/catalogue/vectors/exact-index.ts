import { SearchError } from '../../errors.js';
import { NearestMatches } from './nearest-matches.js';
import { unitVector } from './unit-vector.js';
import { LABEL_LIMIT, type VectorIndex, type VectorMatch, type VectorSearchOptions } from './vector-index.js';

/** Vectors per block of memory. Growing adds a block and copies nothing. */
const BLOCK_VECTORS = 1024;
/**
 * Vectors in the first block at first; it doubles until it is as large as the others, so that a small collection takes
 * little memory.
 */
const FIRST_VECTORS = 8;

/**
 * Exact search over flat memory: the specification of every other index, and the store of vectors for exact scans,
 * re-scoring and rebuilding. A vector takes 4 bytes x dimensions and about 50 for its label.
 */
export class ExactIndex implements VectorIndex {
  readonly dimensions: number;
  /** Row r is in block r / BLOCK_VECTORS. Rows are dense: the last one fills the place of a removed one. */
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
    this.#makeRoom(row);
    this.#block(row).set(unit, this.#offset(row));
    this.#labels.push(label);
    this.#rows.set(label, row);
    this.#highest = label;
  }

  #makeRoom(row: number): void {
    const place = Math.floor(row / BLOCK_VECTORS);
    const block = this.#blocks[place];
    if (block !== undefined && this.#offset(row) < block.length) return;
    const vectors = place > 0 ? BLOCK_VECTORS : Math.min(BLOCK_VECTORS, Math.max(FIRST_VECTORS, 2 * row));
    const larger = new Float32Array(vectors * this.dimensions);
    if (block !== undefined) larger.set(block);
    this.#blocks[place] = larger;
  }

  has(label: number): boolean {
    return this.#rows.has(label);
  }

  /** All labels, unordered: the index's own list, valid until the next change. */
  get unsortedLabels(): readonly number[] {
    return this.#labels;
  }

  /** A copy of all labels in ascending order. */
  labels(): Uint32Array {
    return Uint32Array.from(this.#labels).sort();
  }

  /** A label's vector: a read-only view into the index's memory, valid until the next change. */
  vector(label: number): Float32Array | undefined {
    const row = this.#rows.get(label);
    return row === undefined
      ? undefined
      : this.#block(row).subarray(this.#offset(row), this.#offset(row) + this.dimensions);
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
    // Keeps a spare block, so that adding and removing at the edge of a block does not allocate each time.
    if (this.#blocks.length > Math.ceil(last / BLOCK_VECTORS) + 1) this.#blocks.pop();
    return true;
  }

  search(vector: Float32Array, k: number, options: VectorSearchOptions = {}): VectorMatch[] {
    const query = unitVector(vector, this.dimensions);
    const nearest = new NearestMatches(k);
    this.scanRows({ query, from: 0, to: this.#labels.length, nearest, accepts: options.accepts ?? (() => true) });
    return nearest.sorted();
  }

  /**
   * The `k` nearest of these labels to a unit vector; ignores labels that are not here. Costs time by their
   * number only.
   */
  searchAmong(query: Float32Array, k: number, labels: Iterable<number>): VectorMatch[] {
    const nearest = new NearestMatches(k);
    for (const label of labels) {
      const row = this.#rows.get(label);
      if (row !== undefined) this.#score(query, row, nearest);
    }
    return nearest.sorted();
  }

  /**
   * Offers rows `from` to `to` (of `size`) to `nearest`, scored against a unit vector: a scan in slices. A removal
   * between two slices moves one row.
   */
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

/**
 * Throws CATALOGUE_FULL for a label beyond 32 bits, a plain Error for one that is not a whole number or does
 * not ascend.
 */
export function checkLabel(label: number, highest: number): void {
  if (label > LABEL_LIMIT) {
    throw new SearchError(
      'CATALOGUE_FULL',
      `Sequence number ${label} is beyond ${LABEL_LIMIT}, the largest label an index can hold.`,
    );
  }
  if (!Number.isInteger(label) || label < 0)
    throw new Error(`Label ${label} is not a whole number of 32 bits. This is a bug.`);
  if (label <= highest)
    throw new Error(
      `Label ${label} does not follow ${highest}; labels ascend and are never used again. This is a bug.`,
    );
}

/** In double precision. Four sums let the processor overlap additions: a third of the time of one sum. */
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
