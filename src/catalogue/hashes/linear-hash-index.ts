/** Bytes of a perceptual hash. */
export const HASH_BYTES = 32;
/** 32-bit words of a perceptual hash. */
export const HASH_WORDS = HASH_BYTES / 4;
/** Hashes per block of memory. Growing adds a block and copies nothing. */
const BLOCK_HASHES = 4096;
/**
 * Hashes in the first block at first; it doubles until it is as large as the others, so that a small collection takes
 * little memory.
 */
const FIRST_HASHES = 16;

/** A found label and its Hamming distance to the query. */
export type HashMatch = { readonly label: number; readonly distance: number };

/** The `limit` nearest hashes, at most `maxDistance` of 256 bits from the query. */
export type HashRange = { readonly maxDistance: number; readonly limit: number };

/**
 * The perceptual hashes of one collection in flat memory, 32 bytes each, searched by comparing every one. The
 * specification of {@link HashIndex}.
 */
export class LinearHashIndex {
  /** Row r is in block r / BLOCK_HASHES. Rows are dense: the last one fills the place of a removed one. */
  readonly #blocks: Int32Array[] = [];
  readonly #labels: number[] = [];
  readonly #rows = new Map<number, number>();

  get size(): number {
    return this.#labels.length;
  }

  /** Puts the hash in the next row, at `size`. Ignores what is not a hash of 32 bytes. */
  add(label: number, hash: Uint8Array): void {
    if (hash.length !== HASH_BYTES) return;
    const row = this.#labels.length;
    this.#makeRoom(row);
    this.wordsOf(row).set(toWords(hash));
    this.#labels.push(label);
    this.#rows.set(label, row);
  }

  #makeRoom(row: number): void {
    const place = Math.floor(row / BLOCK_HASHES);
    const block = this.#blocks[place];
    if (block !== undefined && (row % BLOCK_HASHES) * HASH_WORDS < block.length) return;
    const hashes = place > 0 ? BLOCK_HASHES : Math.min(BLOCK_HASHES, Math.max(FIRST_HASHES, 2 * row));
    const larger = new Int32Array(hashes * HASH_WORDS);
    if (block !== undefined) larger.set(block);
    this.#blocks[place] = larger;
  }

  /** Moves the last row into the label's row. */
  remove(label: number): void {
    const row = this.#rows.get(label);
    if (row === undefined) return;
    const lastRow = this.#labels.length - 1;
    const last = this.#labels[lastRow]!;
    if (row !== lastRow) {
      this.wordsOf(row).set(this.wordsOf(lastRow));
      this.#labels[row] = last;
      this.#rows.set(last, row);
    }
    this.#labels.pop();
    this.#rows.delete(label);
    // Keeps a spare block, so that adding and removing at the edge of a block does not allocate each time.
    if (this.#blocks.length > Math.ceil(lastRow / BLOCK_HASHES) + 1) this.#blocks.pop();
  }

  /** The row of a label's hash. */
  rowOf(label: number): number | undefined {
    return this.#rows.get(label);
  }

  /** The hash in a row, [HASH_WORDS]: a view into the index's memory. */
  wordsOf(row: number): Int32Array {
    const from = (row % BLOCK_HASHES) * HASH_WORDS;
    return this.#blocks[Math.floor(row / BLOCK_HASHES)]!.subarray(from, from + HASH_WORDS);
  }

  /** The nearest labels within the range of any of the hashes, nearest first, each with its least distance. */
  near(hashes: readonly Uint8Array[], range: HashRange): HashMatch[] {
    const least = new Map<number, number>();
    this.compareAll(hashes.map(toWords), range.maxDistance, least);
    return nearestOf(least, range.limit);
  }

  /** Adds to `least` the labels of all rows within `maxDistance` bits of any query, each with its least distance. */
  compareAll(queries: readonly Int32Array[], maxDistance: number, least: Map<number, number>): void {
    // Queries in one array: a row's words are read from memory once for all of them.
    const words = new Int32Array(queries.length * HASH_WORDS);
    for (const [number, query] of queries.entries()) words.set(query, number * HASH_WORDS);
    for (const [number, block] of this.#blocks.entries()) {
      const first = number * BLOCK_HASHES;
      const rows = Math.min(BLOCK_HASHES, this.#labels.length - first);
      for (let row = 0, at = 0; row < rows; row++, at += HASH_WORDS) {
        for (let query = 0; query < words.length; query += HASH_WORDS) {
          const distance = distanceUpTo(maxDistance, block, at, words, query);
          if (distance <= maxDistance) noteLeast(least, this.#labels[first + row]!, distance);
        }
      }
    }
  }

  /** {@link compareAll} for one query and the first `count` of `rows`. */
  compareRows(
    query: Int32Array,
    maxDistance: number,
    rows: { readonly rows: Uint32Array; readonly count: number },
    least: Map<number, number>,
  ): void {
    for (let place = 0; place < rows.count; place++) {
      const row = rows.rows[place]!;
      const block = this.#blocks[Math.floor(row / BLOCK_HASHES)]!;
      const distance = distanceUpTo(maxDistance, block, (row % BLOCK_HASHES) * HASH_WORDS, query, 0);
      if (distance <= maxDistance) noteLeast(least, this.#labels[row]!, distance);
    }
  }
}

/** A copy of a hash as words, [HASH_WORDS]. */
export function toWords(hash: Uint8Array): Int32Array {
  return new Int32Array(Uint8Array.from(hash).buffer);
}

/** The `limit` nearest labels, nearest first, ties by label. */
export function nearestOf(least: ReadonlyMap<number, number>, limit: number): HashMatch[] {
  const matches = [...least].map(([label, distance]) => ({ label, distance }));
  return matches.sort((a, b) => a.distance - b.distance || a.label - b.label).slice(0, limit);
}

function noteLeast(least: Map<number, number>, label: number, distance: number): void {
  least.set(label, Math.min(distance, least.get(label) ?? distance));
}

/**
 * Hamming distance of the hashes at `at` and `from`; some number above `maxDistance` where the first three of eight
 * words exceed it. Unrelated hashes differ in about 48 of these 96 bits, so nearly all comparisons end there.
 */
function distanceUpTo(maxDistance: number, a: Int32Array, at: number, b: Int32Array, from: number): number {
  const first = bitsOfThree(a[at]! ^ b[from]!, a[at + 1]! ^ b[from + 1]!, a[at + 2]! ^ b[from + 2]!);
  if (first > maxDistance) return first;
  const second = bitsOfThree(a[at + 3]! ^ b[from + 3]!, a[at + 4]! ^ b[from + 4]!, a[at + 5]! ^ b[from + 5]!);
  return first + second + bitsOfThree(a[at + 6]! ^ b[from + 6]!, a[at + 7]! ^ b[from + 7]!, 0);
}

/** Population count of three words. A sum of three fours is at most 12 and fits into its four bits. */
function bitsOfThree(x: number, y: number, z: number): number {
  const fours = inFours(x) + inFours(y) + inFours(z);
  return Math.imul((fours & 0x0f0f0f0f) + ((fours >>> 4) & 0x0f0f0f0f), 0x01010101) >>> 24;
}

function inFours(bits: number): number {
  const pairs = (bits - ((bits >>> 1) & 0x55555555)) | 0;
  return ((pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333)) | 0;
}
