/** Bytes of a perceptual hash. */
export const HASH_BYTES = 32;
const WORDS = HASH_BYTES / 4;
/** Hashes a block of memory holds. Growing adds a block, so that nothing is copied. */
const BLOCK_HASHES = 4096;

/** A hash within the wanted distance of one of the query's. */
export type HashMatch = { readonly label: number; readonly distance: number };

/**
 * The perceptual hashes of one collection in flat memory, 32 bytes each, and all within some bits of a query's by comparing every one. A
 * chance pair differs in about half of its bits, so most are given up after two or three of their eight words. Measured on one busy core: 1 M
 * hashes take 15 to 40 ms a query hash.
 */
export class HashScan {
  /** Row r lies in block r / BLOCK_HASHES. Rows are dense: a removed one is filled with the last. */
  readonly #blocks: Uint32Array[] = [];
  readonly #labels: number[] = [];
  readonly #rows = new Map<number, number>();

  get size(): number {
    return this.#labels.length;
  }

  /** Passes over what is no hash of 32 bytes: such an image is found by its embedding alone. */
  add(label: number, hash: Uint8Array): void {
    if (hash.length !== HASH_BYTES) return;
    const row = this.#labels.length;
    if (row === this.#blocks.length * BLOCK_HASHES) this.#blocks.push(new Uint32Array(BLOCK_HASHES * WORDS));
    this.#block(row).set(toWords(hash), offsetOf(row));
    this.#labels.push(label);
    this.#rows.set(label, row);
  }

  remove(label: number): void {
    const row = this.#rows.get(label);
    if (row === undefined) return;
    const lastRow = this.#labels.length - 1;
    const last = this.#labels[lastRow]!;
    if (row !== lastRow) {
      const from = offsetOf(lastRow);
      this.#block(row).set(this.#block(lastRow).subarray(from, from + WORDS), offsetOf(row));
      this.#labels[row] = last;
      this.#rows.set(last, row);
    }
    this.#labels.pop();
    this.#rows.delete(label);
    // One spare block stays, so that adding and removing at the edge of a block does not allocate each time.
    if (this.#blocks.length > Math.ceil(lastRow / BLOCK_HASHES) + 1) this.#blocks.pop();
  }

  /** The `limit` nearest of those within `maxDistance` bits of any of the hashes, nearest first, each with its least distance. */
  near(hashes: readonly Uint8Array[], options: { readonly maxDistance: number; readonly limit: number }): HashMatch[] {
    const least = new Map<number, number>();
    for (const hash of hashes) this.#scan(toWords(hash), options.maxDistance, least);
    const matches = [...least].map(([label, distance]) => ({ label, distance }));
    return matches.sort((a, b) => a.distance - b.distance || a.label - b.label).slice(0, options.limit);
  }

  #scan(query: Uint32Array, maxDistance: number, least: Map<number, number>): void {
    for (const [number, block] of this.#blocks.entries()) {
      const first = number * BLOCK_HASHES;
      const rows = Math.min(BLOCK_HASHES, this.#labels.length - first);
      for (let row = 0; row < rows; row++) {
        const offset = row * WORDS;
        let distance = 0;
        for (let word = 0; word < WORDS && distance <= maxDistance; word++) distance += bitsSet(block[offset + word]! ^ query[word]!);
        if (distance > maxDistance) continue;
        const label = this.#labels[first + row]!;
        least.set(label, Math.min(distance, least.get(label) ?? distance));
      }
    }
  }

  #block(row: number): Uint32Array {
    return this.#blocks[Math.floor(row / BLOCK_HASHES)]!;
  }
}

function offsetOf(row: number): number {
  return (row % BLOCK_HASHES) * WORDS;
}

function toWords(hash: Uint8Array): Uint32Array {
  return new Uint32Array(Uint8Array.from(hash).buffer);
}

/** Bits set in 32, added up in pairs, fours and bytes at once. */
function bitsSet(bits: number): number {
  const pairs = bits - ((bits >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
