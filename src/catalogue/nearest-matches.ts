import type { VectorMatch } from './vector-index.js';

/**
 * The `k` best of any number of offered matches, in memory of `k`: a binary heap whose root is the worst one kept. Nearer is larger similarity;
 * of equal ones the smaller label, so that every index answers ties in one order.
 */
export class NearestMatches {
  readonly #k: number;
  readonly #labels: number[] = [];
  readonly #similarities: number[] = [];

  constructor(k: number) {
    this.#k = k;
  }

  /** Similarity that a new match must exceed (or equal, with a smaller label) to be kept; -Infinity while there is room. */
  get threshold(): number {
    return this.#labels.length < this.#k ? Number.NEGATIVE_INFINITY : this.#similarities[0]!;
  }

  offer(label: number, similarity: number): void {
    if (this.#labels.length < this.#k) {
      this.#labels.push(label);
      this.#similarities.push(similarity);
      this.#rise(this.#labels.length - 1);
    } else if (this.#k > 0 && this.#isWorse(this.#labels[0]!, this.#similarities[0]!, label, similarity)) {
      this.#labels[0] = label;
      this.#similarities[0] = similarity;
      this.#sink();
    }
  }

  /** What was kept, nearest first. */
  sorted(): VectorMatch[] {
    return this.#labels
      .map((label, index) => ({ label, similarity: this.#similarities[index]! }))
      .sort((a, b) => b.similarity - a.similarity || a.label - b.label);
  }

  #isWorse(label: number, similarity: number, otherLabel: number, otherSimilarity: number): boolean {
    return similarity < otherSimilarity || (similarity === otherSimilarity && label > otherLabel);
  }

  #rise(index: number): void {
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#isWorseAt(index, parent)) return;
      this.#swap(index, parent);
      index = parent;
    }
  }

  #sink(): void {
    for (let index = 0; ; ) {
      const left = 2 * index + 1;
      let worst = index;
      if (left < this.#labels.length && this.#isWorseAt(left, worst)) worst = left;
      if (left + 1 < this.#labels.length && this.#isWorseAt(left + 1, worst)) worst = left + 1;
      if (worst === index) return;
      this.#swap(index, worst);
      index = worst;
    }
  }

  #isWorseAt(index: number, other: number): boolean {
    return this.#isWorse(this.#labels[index]!, this.#similarities[index]!, this.#labels[other]!, this.#similarities[other]!);
  }

  #swap(a: number, b: number): void {
    const label = this.#labels[a]!;
    const similarity = this.#similarities[a]!;
    this.#labels[a] = this.#labels[b]!;
    this.#similarities[a] = this.#similarities[b]!;
    this.#labels[b] = label;
    this.#similarities[b] = similarity;
  }
}
