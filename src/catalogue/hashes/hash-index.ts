import {
  HASH_BYTES,
  type HashMatch,
  type HashRange,
  LinearHashIndex,
  nearestOf,
  toWords,
} from './linear-hash-index.js';
import { MultiIndexHash } from './multi-index-hash.js';

/**
 * Hashes from which on the multi-index is used. Below, a scan takes about a millisecond, and the multi-index alone
 * would take 4 MB.
 */
export const MULTI_INDEX_MIN = 16_384;
/** The scan is cheaper where more than one hash in so many is a candidate: it reads memory in order. */
const SCAN_ADVANTAGE = 8;

/**
 * The perceptual hashes of one collection, searched by Hamming distance with the results of {@link LinearHashIndex}.
 * From {@link MULTI_INDEX_MIN} hashes on, {@link MultiIndexHash} gives the candidates to compare; a query with too many
 * candidates, as where much of a collection is one flat picture, is scanned for.
 *
 * A million images take 32 MB for hashes, about 50 MB for labels and rows, 132 MB for the multi-index.
 */
export class HashIndex {
  readonly #scan = new LinearHashIndex();
  readonly #multiIndexMin: number;
  #multiIndex: MultiIndexHash | undefined;

  constructor({ multiIndexMin = MULTI_INDEX_MIN }: { readonly multiIndexMin?: number } = {}) {
    this.#multiIndexMin = multiIndexMin;
  }

  get size(): number {
    return this.#scan.size;
  }

  /** Whether the multi-index is used. */
  get usesMultiIndex(): boolean {
    return this.#multiIndex !== undefined;
  }

  /** Ignores what is not a hash of 32 bytes: such an image is found by its embedding only. */
  add(label: number, hash: Uint8Array): void {
    if (hash.length !== HASH_BYTES) return;
    this.#scan.add(label, hash);
    const row = this.#scan.size - 1;
    if (this.#multiIndex !== undefined) this.#multiIndex.link(row, this.#scan.wordsOf(row));
    else if (this.#scan.size >= this.#multiIndexMin) this.#multiIndex = this.#buildMultiIndex();
  }

  remove(label: number): void {
    const row = this.#scan.rowOf(label);
    if (row === undefined) return;
    const last = this.#scan.size - 1;
    this.#multiIndex?.unlink(row, this.#scan.wordsOf(row));
    if (row !== last) this.#multiIndex?.moveLast({ from: last, to: row, words: this.#scan.wordsOf(last) });
    this.#scan.remove(label);
    // Half, so that adding and removing at the threshold does not rebuild each time.
    if (this.#scan.size < this.#multiIndexMin / 2) this.#multiIndex = undefined;
    else this.#multiIndex?.shrink(last);
  }

  /**
   * The `limit` nearest labels within `maxDistance` bits of any of the hashes, nearest first, each with its
   * least distance.
   */
  near(hashes: readonly Uint8Array[], range: HashRange): HashMatch[] {
    const multiIndex = this.#multiIndex;
    if (multiIndex === undefined) return this.#scan.near(hashes, range);
    const { maxDistance, limit } = range;
    const least = new Map<number, number>();
    const rows = new Uint32Array(Math.ceil(this.#scan.size / SCAN_ADVANTAGE));
    const scanned = hashes.map(toWords).filter((query) => {
      const count = multiIndex.candidates(query, maxDistance, rows);
      if (count !== undefined) this.#scan.compareRows(query, maxDistance, { rows, count }, least);
      return count === undefined;
    });
    if (scanned.length > 0) this.#scan.compareAll(scanned, maxDistance, least);
    return nearestOf(least, limit);
  }

  #buildMultiIndex(): MultiIndexHash {
    const multiIndex = new MultiIndexHash();
    for (let row = 0; row < this.#scan.size; row++) multiIndex.link(row, this.#scan.wordsOf(row));
    return multiIndex;
  }
}
