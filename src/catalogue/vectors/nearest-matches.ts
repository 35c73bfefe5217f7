import type { VectorMatch } from './vector-index.js';

/** Keeps the `k` best of all offered matches, sorted. Larger similarity is better; ties go to the smaller label. */
export class NearestMatches {
  readonly #k: number;
  readonly #matches: VectorMatch[] = [];

  constructor(k: number) {
    this.#k = k;
  }

  /** Similarity that a new match must exceed (or equal, with a smaller label); -Infinity while there is room. */
  get threshold(): number {
    return this.#matches.length < this.#k ? Number.NEGATIVE_INFINITY : (this.#matches.at(-1)?.similarity ?? Infinity);
  }

  offer(label: number, similarity: number): void {
    let low = 0;
    let high = this.#matches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#matches[middle]!;
      if (other.similarity > similarity || (other.similarity === similarity && other.label < label)) low = middle + 1;
      else high = middle;
    }
    if (low >= this.#k) return;
    this.#matches.splice(low, 0, { label, similarity });
    if (this.#matches.length > this.#k) this.#matches.pop();
  }

  /** The kept matches, nearest first. */
  sorted(): VectorMatch[] {
    return this.#matches;
  }
}
