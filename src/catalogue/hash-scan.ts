/** Bytes of a perceptual hash. */
export const HASH_BYTES = 32;
/** 32-bit words of a perceptual hash. */
export const HASH_WORDS = HASH_BYTES / 4;
/** Hashes a block of memory holds. Growing adds a block, so that nothing is copied. */
const BLOCK_HASHES = 4096;

/** A hash within the wanted distance of one of the query's. */
export type HashMatch = { readonly label: number; readonly distance: number };

/** Which hashes are near: at most `maxDistance` bits of 256 from one of the query's; no more than the `limit` nearest. */
export type HashRange = { readonly maxDistance: number; readonly limit: number };

/**
 * The perceptual hashes of one collection in flat memory, 32 bytes each, and all within some bits of a query's by comparing every one, in one
 * pass for all hashes of the query. It says what {@link HashIndex} must answer, and answers for it where little is held.
 */
export class HashScan {
  /** Row r lies in block r / BLOCK_HASHES. Rows are dense: a removed one is filled with the last. */
  readonly #blocks: Int32Array[] = [];
  readonly #labels: number[] = [];
  readonly #rows = new Map<number, number>();

  get size(): number {
    return this.#labels.length;
  }

  /** Puts the hash in the next row, at `size`. Passes over what is no hash of 32 bytes: such an image is found by its embedding alone. */
  add(label: number, hash: Uint8Array): void {
    if (hash.length !== HASH_BYTES) return;
    const row = this.#labels.length;
    if (row === this.#blocks.length * BLOCK_HASHES) this.#blocks.push(new Int32Array(BLOCK_HASHES * HASH_WORDS));
    this.wordsOf(row).set(toWords(hash));
    this.#labels.push(label);
    this.#rows.set(label, row);
  }

  /** Fills the label's row with the last one. */
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
    // One spare block stays, so that adding and removing at the edge of a block does not allocate each time.
    if (this.#blocks.length > Math.ceil(lastRow / BLOCK_HASHES) + 1) this.#blocks.pop();
  }

  /** The row a label's hash is in; undefined where none is held. */
  rowOf(label: number): number | undefined {
    return this.#rows.get(label);
  }

  /** The hash in a row, [HASH_WORDS], as a view of the memory it lies in. */
  wordsOf(row: number): Int32Array {
    const from = (row % BLOCK_HASHES) * HASH_WORDS;
    return this.#blocks[Math.floor(row / BLOCK_HASHES)]!.subarray(from, from + HASH_WORDS);
  }

  /** The `limit` nearest of those within `maxDistance` bits of any of the hashes, nearest first, each with its least distance. */
  near(hashes: readonly Uint8Array[], range: HashRange): HashMatch[] {
    const least = new Map<number, number>();
    this.compareAll(hashes.map(toWords), range.maxDistance, least);
    return nearestOf(least, range.limit);
  }

  /** Puts the labels of all rows within `maxDistance` bits of any of the queries into `least`, each with its least distance. */
  compareAll(queries: readonly Int32Array[], maxDistance: number, least: Map<number, number>): void {
    // Queries end to end, so that a row's words are fetched from memory once for all of them.
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

  /** As {@link compareAll} for one query and the first `count` of `rows` alone. */
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

/** The words of a hash, [HASH_WORDS], in a copy of its own. */
export function toWords(hash: Uint8Array): Int32Array {
  return new Int32Array(Uint8Array.from(hash).buffer);
}

/** The `limit` nearest of these labels, nearest first, equally near ones by label. */
export function nearestOf(least: ReadonlyMap<number, number>, limit: number): HashMatch[] {
  const matches = [...least].map(([label, distance]) => ({ label, distance }));
  return matches.sort((a, b) => a.distance - b.distance || a.label - b.label).slice(0, limit);
}

function noteLeast(least: Map<number, number>, label: number, distance: number): void {
  least.set(label, Math.min(distance, least.get(label) ?? distance));
}

/**
 * Bits in which the hashes at `at` and `from` differ; where three of their eight words tell that they are more than `maxDistance`, some number
 * above it. A chance pair differs in about 48 of these 96 bits, so of a thousand such pairs one or so is looked at further.
 */
function distanceUpTo(maxDistance: number, a: Int32Array, at: number, b: Int32Array, from: number): number {
  const first = bitsOfThree(a[at]! ^ b[from]!, a[at + 1]! ^ b[from + 1]!, a[at + 2]! ^ b[from + 2]!);
  if (first > maxDistance) return first;
  const second = bitsOfThree(a[at + 3]! ^ b[from + 3]!, a[at + 4]! ^ b[from + 4]!, a[at + 5]! ^ b[from + 5]!);
  return first + second + bitsOfThree(a[at + 6]! ^ b[from + 6]!, a[at + 7]! ^ b[from + 7]!, 0);
}

/** Bits set in three words, added up in pairs, fours and bytes at once. Three fours make at most 12, which their four bits hold. */
function bitsOfThree(x: number, y: number, z: number): number {
  const fours = inFours(x) + inFours(y) + inFours(z);
  return Math.imul((fours & 0x0f0f0f0f) + ((fours >>> 4) & 0x0f0f0f0f), 0x01010101) >>> 24;
}

function inFours(bits: number): number {
  const pairs = (bits - ((bits >>> 1) & 0x55555555)) | 0;
  return ((pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333)) | 0;
}
