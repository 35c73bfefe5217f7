import { HASH_WORDS } from './hash-scan.js';

const CHUNKS = HASH_WORDS * 2;
const CHUNK_BITS = 16;
/** Lists a search follows at most: of each chunk the value itself and those one bit from it. */
const PROBES_MAX = CHUNKS * (1 + CHUNK_BITS);
const CHUNK_VALUES = 1 << CHUNK_BITS;
/** Rows a block of links holds. */
const BLOCK_ROWS = 4096;
/** Of a row: the next row in the list of each chunk, then the one before. */
const ROW_LINKS = CHUNKS * 2;

/**
 * Rows of hashes by each of the 16 chunks of 16 bits that a hash is cut into: one list of rows a chunk and value, linked both ways, so that adding,
 * removing and moving a row costs 16 steps however many rows share a value. Rows are stored plus one; 0 ends a list.
 *
 * Memory: 128 bytes a row (128 MB a million images) and 4 MB for the heads of the lists. Measured on a busy core: linking takes 2 to 3 s of
 * processor time a million rows, once at opening, and a replacement less than 20 us.
 *
 * Source: Norouzi, Punjani and Fleet 2012, "Fast Search in Hamming Space with Multi-Index Hashing".
 */
export class HashChunks {
  readonly #heads = new Uint32Array(CHUNKS * CHUNK_VALUES);
  readonly #blocks: Uint32Array[] = [];
  /** Where a search stands in each of its lists, kept to spare the allocation. */
  readonly #cursors = { links: new Uint32Array(PROBES_MAX), chunks: new Uint8Array(PROBES_MAX) };

  /** Puts a row into the lists. `words`: its hash, [HASH_WORDS]. */
  link(row: number, words: Int32Array): void {
    while (row >= this.#blocks.length * BLOCK_ROWS) this.#blocks.push(new Uint32Array(BLOCK_ROWS * ROW_LINKS));
    const block = this.#block(row);
    const at = placeOf(row);
    for (let chunk = 0; chunk < CHUNKS; chunk++) {
      const list = listOf(words, chunk);
      const next = this.#heads[list]!;
      block[at + chunk] = next;
      block[at + CHUNKS + chunk] = 0;
      if (next !== 0) this.#block(next - 1)[placeOf(next - 1) + CHUNKS + chunk] = row + 1;
      this.#heads[list] = row + 1;
    }
  }

  /** Takes a row out of the lists. `words`: the hash it was linked with. */
  unlink(row: number, words: Int32Array): void {
    const block = this.#block(row);
    const at = placeOf(row);
    for (let chunk = 0; chunk < CHUNKS; chunk++) {
      this.#join(chunk, { words, before: block[at + CHUNKS + chunk]!, next: block[at + chunk]! });
    }
  }

  /** Puts row `to`, which is in no list, into the places of row `from`, the last one. `words`: the hash that `from` was linked with. */
  moveLast({ from, to, words }: { readonly from: number; readonly to: number; readonly words: Int32Array }): void {
    const source = placeOf(from);
    const links = this.#block(from).subarray(source, source + ROW_LINKS);
    this.#block(to).set(links, placeOf(to));
    for (let chunk = 0; chunk < CHUNKS; chunk++) {
      const next = links[chunk]!;
      this.#join(chunk, { words, before: links[CHUNKS + chunk]!, next: to + 1 });
      if (next !== 0) this.#block(next - 1)[placeOf(next - 1) + CHUNKS + chunk] = to + 1;
    }
  }

  /** Frees the memory of rows from `rows` on, but for one spare block. */
  shrink(rows: number): void {
    while (this.#blocks.length > Math.ceil(rows / BLOCK_ROWS) + 1) this.#blocks.pop();
  }

  /**
   * Writes into `rows` every row whose hash may be within `maxDistance` bits of the query, some more than once, and returns how many; undefined
   * where they are more than `rows` holds, or `maxDistance` is too large to look up.
   *
   * Let maxDistance be 16 q + a. A hash so near is within q bits of the query in one of its first a + 1 chunks, or within q - 1 in one of
   * the others: if not, it differs in (a + 1)(q + 1) + (15 - a) q = 16 q + a + 1 bits. So none is missed.
   */
  candidates(query: Int32Array, maxDistance: number, rows: Uint32Array): number | undefined {
    const bits = Math.floor(maxDistance / CHUNKS);
    if (bits > 1) return undefined;
    const cursors = this.#cursors;
    let open = 0;
    for (let chunk = 0; chunk < CHUNKS; chunk++) {
      const radius = chunk <= maxDistance % CHUNKS ? bits : bits - 1;
      const list = listOf(query, chunk);
      // The value itself, then with each of its bits turned.
      const probes = radius < 0 ? 0 : radius === 0 ? 1 : 1 + CHUNK_BITS;
      for (let probe = 0; probe < probes; probe++) {
        const head = this.#heads[probe === 0 ? list : list ^ (1 << (probe - 1))]!;
        if (head === 0) continue;
        cursors.links[open] = head;
        cursors.chunks[open++] = chunk;
      }
    }
    return this.#followed(open, rows);
  }

  /** The rows of the first `open` lists of the cursors. One step in each by turns, since a processor waits for many far memory words at once. */
  #followed(open: number, rows: Uint32Array): number | undefined {
    const { links, chunks } = this.#cursors;
    let count = 0;
    for (let stillOpen = open; stillOpen > 0; ) {
      const lists = stillOpen;
      stillOpen = 0;
      if (count + lists > rows.length) return undefined;
      for (let list = 0; list < lists; list++) {
        const row = links[list]! - 1;
        const chunk = chunks[list]!;
        rows[count++] = row;
        const next = this.#block(row)[placeOf(row) + chunk]!;
        links[stillOpen] = next;
        chunks[stillOpen] = chunk;
        if (next !== 0) stillOpen++;
      }
    }
    return count;
  }

  /** Makes `next` follow `before` in the list of a hash's chunk. */
  #join(chunk: number, link: { readonly words: Int32Array; readonly before: number; readonly next: number }): void {
    const { words, before, next } = link;
    if (before === 0) this.#heads[listOf(words, chunk)] = next;
    else this.#block(before - 1)[placeOf(before - 1) + chunk] = next;
    if (next !== 0) this.#block(next - 1)[placeOf(next - 1) + CHUNKS + chunk] = before;
  }

  #block(row: number): Uint32Array {
    return this.#blocks[(row / BLOCK_ROWS) | 0]!;
  }
}

function placeOf(row: number): number {
  return (row % BLOCK_ROWS) * ROW_LINKS;
}

/** The number of the list that a hash is in by one of its chunks. */
function listOf(words: Int32Array, chunk: number): number {
  return chunk * CHUNK_VALUES + ((words[chunk >> 1]! >>> ((chunk & 1) * CHUNK_BITS)) & (CHUNK_VALUES - 1));
}
