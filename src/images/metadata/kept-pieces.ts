/** Which parts of a file are copied into another, in order, with pieces of our own between them. */

/** Segments, chunks or blocks that one file may have: those of real pictures have some thousand at most, and each costs time whatever its size. */
export const PARTS_MAX = 20_000;

/** Gathers ranges of a source; neighbouring ones become one, so that a file of many kept parts is still one copy. */
export class KeptPieces {
  readonly #source: Uint8Array;
  readonly #pieces: Uint8Array[] = [];
  #from = 0;
  #to = 0;
  #bytes = 0;

  constructor(source: Uint8Array) {
    this.#source = source;
  }

  /** Bytes that {@link join} would return. */
  get bytes(): number {
    return this.#bytes + this.#to - this.#from;
  }

  /** Copies source bytes `from` to `to`, the latter not included; both within the source. */
  keep(from: number, to: number): void {
    if (from !== this.#to) {
      this.#flush();
      this.#from = from;
    }
    this.#to = to;
  }

  /** Puts bytes of our own here. */
  insert(bytes: Uint8Array): void {
    this.#flush();
    this.#push(bytes);
    this.#from = this.#to;
  }

  /** All pieces in memory of their own. */
  join(): Uint8Array {
    this.#flush();
    this.#from = this.#to;
    const joined = new Uint8Array(this.#bytes);
    let at = 0;
    for (const piece of this.#pieces) {
      joined.set(piece, at);
      at += piece.length;
    }
    return joined;
  }

  #flush(): void {
    if (this.#to > this.#from) this.#push(this.#source.subarray(this.#from, this.#to));
  }

  #push(piece: Uint8Array): void {
    this.#bytes += piece.length;
    this.#pieces.push(piece);
  }
}
