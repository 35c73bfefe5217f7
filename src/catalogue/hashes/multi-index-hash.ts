import { HASH_WORDS } from './linear-hash-index.js';

const CHUNKS = HASH_WORDS * 2;
const CHUNK_BITS = 16;
/** Most lists that a search follows: for each chunk its value and those one bit away. */
const PROBES_MAX = CHUNKS * (1 + CHUNK_BITS);
const CHUNK_VALUES = 1 << CHUNK_BITS;
/** Rows per block of links. */
const BLOCK_ROWS = 4096;
/** Links of a row: the next row in the list of each chunk, then the previous one. */
const ROW_LINKS = CHUNKS * 2;

/**
 * Finds candidate rows by substrings of their hashes: a hash has 16 chunks of 16 bits, and each chunk value has a
 * doubly linked list of its rows, so that adding, removing or moving a row takes 16 steps. Rows are stored plus one; 0
 * ends a list. Takes 128 bytes per row and 4 MB for the list heads.
 *
 * Source: Norouzi, Punjani and Fleet 2012, "Fast Search in Hamming Space with Multi-Index Hashing".
 */
export class MultiIndexHash {
  readonly #heads = new Uint32Array(CHUNKS * CHUNK_VALUES);
  readonly #blocks: Uint32Array[] = [];
  /** A search's position in each of its lists; kept to avoid the allocation. */
  readonly #cursors = { links: new Uint32Array(PROBES_MAX), chunks: new Uint8Array(PROBES_MAX) };

  /** Inserts a row into the lists. `words`: its hash, [HASH_WORDS]. */
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

  /** Removes a row from the lists. `words`: its hash. */
  unlink(row: number, words: Int32Array): void {
    const block = this.#block(row);
    const at = placeOf(row);
    for (let chunk = 0; chunk < CHUNKS; chunk++) {
      this.#join(chunk, { words, before: block[at + CHUNKS + chunk]!, next: block[at + chunk]! });
    }
  }

  /** Replaces row `from`, the last one, by row `to`, which is in no list. `words`: the hash of `from`. */
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

  /** Frees the memory of rows from `rows` on, except for one spare block. */
  shrink(rows: number): void {
    while (this.#blocks.length > Math.ceil(rows / BLOCK_ROWS) + 1) this.#blocks.pop();
  }

  /**
   * Writes into `rows` every row whose hash may be within `maxDistance` bits of the query, some more than once, and
   * returns their number; undefined where they do not fit or `maxDistance` is too large.
   *
   * No row is missed: let maxDistance = 16 q + a. A hash with more than q different bits in each of the first a + 1
   * chunks and more than q - 1 in each of the others differs in at least (a + 1)(q + 1) + (15 - a) q = 16 q + a +
   * 1 bits.
   */
  candidates(query: Int32Array, maxDistance: number, rows: Uint32Array): number | undefined {
    const bits = Math.floor(maxDistance / CHUNKS);
    if (bits > 1) return undefined;
    const cursors = this.#cursors;
    let open = 0;
    for (let chunk = 0; chunk < CHUNKS; chunk++) {
      const radius = chunk <= maxDistance % CHUNKS ? bits : bits - 1;
      const list = listOf(query, chunk);
      // The value, then each value one bit away.
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

  /**
   * Collects the rows of the first `open` lists, one step in each in turn: the processor can wait for many memory words
   * at once.
   */
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

  /** Links `before` and `next` in the list of a hash's chunk. */
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
