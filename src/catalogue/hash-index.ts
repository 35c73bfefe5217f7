import { HashChunks } from './hash-chunks.js';
import { HASH_BYTES, type HashMatch, type HashRange, HashScan, nearestOf, toWords } from './hash-scan.js';

/** Hashes from which on lists are kept. Below, the scan takes a millisecond or so, and the heads of the lists alone would be 4 MB. */
export const LISTED_MIN = 16_384;
/** One hash in so many may be a candidate before the scan is the cheaper: it meets them in order, the lists lead all over the memory. */
const SCAN_ADVANTAGE = 8;

/**
 * The perceptual hashes of one collection, and all within some bits of a query's, just as {@link HashScan} finds them. From {@link LISTED_MIN}
 * hashes on they are looked up by their chunks ({@link HashChunks}) and only candidates compared; a query hash of which too many
 * share a chunk, as where much of a collection is one flat picture, is looked for by the scan. Follows every change at once.
 *
 * Memory a million images: 32 MB of hashes, about 50 MB of labels and their rows, 132 MB of lists.
 */
export class HashIndex {
  readonly #scan = new HashScan();
  readonly #listedMin: number;
  #chunks: HashChunks | undefined;

  constructor({ listedMin = LISTED_MIN }: { readonly listedMin?: number } = {}) {
    this.#listedMin = listedMin;
  }

  get size(): number {
    return this.#scan.size;
  }

  /** Whether queries are looked up in lists. */
  get isListed(): boolean {
    return this.#chunks !== undefined;
  }

  /** Passes over what is no hash of 32 bytes: such an image is found by its embedding alone. */
  add(label: number, hash: Uint8Array): void {
    if (hash.length !== HASH_BYTES) return;
    this.#scan.add(label, hash);
    const row = this.#scan.size - 1;
    if (this.#chunks !== undefined) this.#chunks.link(row, this.#scan.wordsOf(row));
    else if (this.#scan.size >= this.#listedMin) this.#chunks = this.#listed();
  }

  remove(label: number): void {
    const row = this.#scan.rowOf(label);
    if (row === undefined) return;
    const last = this.#scan.size - 1;
    this.#chunks?.unlink(row, this.#scan.wordsOf(row));
    if (row !== last) this.#chunks?.moveLast({ from: last, to: row, words: this.#scan.wordsOf(last) });
    this.#scan.remove(label);
    // Half, so that adding and removing at the edge does not build the lists each time.
    if (this.#scan.size < this.#listedMin / 2) this.#chunks = undefined;
    else this.#chunks?.shrink(last);
  }

  /** The `limit` nearest of those within `maxDistance` bits of any of the hashes, nearest first, each with its least distance. */
  near(hashes: readonly Uint8Array[], range: HashRange): HashMatch[] {
    const chunks = this.#chunks;
    if (chunks === undefined) return this.#scan.near(hashes, range);
    const { maxDistance, limit } = range;
    const least = new Map<number, number>();
    const rows = new Uint32Array(Math.ceil(this.#scan.size / SCAN_ADVANTAGE));
    const scanned = hashes.map(toWords).filter((query) => {
      const count = chunks.candidates(query, maxDistance, rows);
      if (count !== undefined) this.#scan.compareRows(query, maxDistance, { rows, count }, least);
      return count === undefined;
    });
    if (scanned.length > 0) this.#scan.compareAll(scanned, maxDistance, least);
    return nearestOf(least, limit);
  }

  #listed(): HashChunks {
    const chunks = new HashChunks();
    for (let row = 0; row < this.#scan.size; row++) chunks.link(row, this.#scan.wordsOf(row));
    return chunks;
  }
}
