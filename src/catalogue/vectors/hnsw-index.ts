import type { HierarchicalNSW } from 'hnswlib-node';
import hnswlib from 'hnswlib-node';
import { checkLabel } from './exact-index.js';
import { unitVector } from './unit-vector.js';
import type { VectorIndex, VectorMatch, VectorSearchOptions } from './vector-index.js';

/**
 * Settings of a graph. `m`: links per node. `ef`: efSearch of searches that set none, or the least one where `recall`
 * (target recall@10,
 * 0..1; 0 or undefined: no tuning) needs more.
 */
export type HnswSettings = {
  readonly dimensions: number;
  readonly m: number;
  readonly efConstruction: number;
  readonly ef: number;
  readonly recall?: number;
};

const FIRST_CAPACITY = 256;
const GROWTH = 1.5;
/** Fixed: the same adds build the same graph. */
const SEED = 1;

/**
 * Approximate nearest neighbours by hnswlib (Malkov and Yashunin 2016), inner product on unit vectors: similarity = 1
 * - distance.
 *
 * Many mistakes crash hnswlib-node or lose data silently: it stores NaN, aborts on an element that is not a number and
 * on a filter that throws, wraps labels at 2^32, frees a live object by reading into it, and spoils a file by a change
 * during its write. This class prevents all of them. It cannot verify a file: only `index-file.ts`, which checks length
 * and hash first, calls `read`.
 */
export class HnswIndex implements VectorIndex {
  readonly dimensions: number;
  readonly settings: HnswSettings;
  /** Made with the first vector: an empty graph takes 2.6 MB for its locks. */
  #made: HierarchicalNSW | undefined;
  readonly #capacity: number;
  /** Reused by every call: hnswlib-node accepts plain arrays only. */
  readonly #point: number[];
  #ef: number;
  #highest: number;
  #removed = 0;
  #isWriting = false;

  /** An empty graph with room for `capacity` vectors; or `stored`, a graph just read and its labels. */
  constructor(settings: HnswSettings, options: { readonly capacity?: number; readonly stored?: StoredGraph } = {}) {
    const { dimensions, ef } = settings;
    this.dimensions = dimensions;
    this.settings = settings;
    this.#point = new Array<number>(dimensions).fill(0);
    this.#capacity = Math.max(FIRST_CAPACITY, options.capacity ?? 0);
    this.#made = options.stored?.graph;
    this.#highest = (options.stored?.labels ?? []).reduce((highest, label) => Math.max(highest, label), -1);
    // A graph just read has hnswlib's default ef of 10.
    this.#made?.setEf(ef);
    this.#ef = ef;
  }

  get #graph(): HierarchicalNSW {
    if (this.#made !== undefined) return this.#made;
    const { dimensions, m, efConstruction } = this.settings;
    this.#made = new hnswlib.HierarchicalNSW('ip', dimensions);
    this.#made.initIndex({ maxElements: this.#capacity, m, efConstruction, randomSeed: SEED });
    this.#made.setEf(this.#ef);
    return this.#made;
  }

  /**
   * Reads the graph in a file that `write` made with the same settings, and all its labels, removed ones included: the
   * caller must remove those again. Blocks. Throws a plain Error where hnswlib refuses the file.
   */
  static read(path: string, settings: HnswSettings): { readonly index: HnswIndex; readonly labels: readonly number[] } {
    // A new object each time: hnswlib-node frees an object's memory where reading fails, and keeps the pointer.
    const graph = new hnswlib.HierarchicalNSW('ip', settings.dimensions);
    graph.readIndexSync(path);
    const labels = graph.getIdsList();
    return { index: new HnswIndex(settings, { stored: { graph, labels } }), labels };
  }

  get size(): number {
    return this.count - this.#removed;
  }

  /** Vectors in the graph, including those marked as removed. */
  get count(): number {
    return this.#made?.getCurrentCount() ?? 0;
  }

  /** Vectors marked as removed: they cost memory and time until the graph is rebuilt. */
  get removed(): number {
    return this.#removed;
  }

  /** Largest label ever added; -1 where there is none. */
  get highest(): number {
    return this.#highest;
  }

  /** While true only searches are allowed. */
  get isWriting(): boolean {
    return this.#isWriting;
  }

  add(label: number, vector: Float32Array): void {
    this.#refuseWhileWriting();
    checkLabel(label, this.#highest);
    const point = this.#toPoint(vector);
    if (this.count >= this.#graph.getMaxElements())
      this.#graph.resizeIndex(Math.ceil(this.#graph.getMaxElements() * GROWTH));
    this.#graph.addPoint(point, label);
    this.#highest = label;
  }

  remove(label: number): boolean {
    this.#refuseWhileWriting();
    if (!Number.isInteger(label) || label < 0 || label > this.#highest) return false;
    try {
      this.#graph.markDelete(label);
    } catch {
      return false; // hnswlib throws only where the label is missing or marked already
    }
    this.#removed++;
    return true;
  }

  /**
   * After `read`: marks the labels that were removed before or after the file was written; hnswlib does not tell
   * the former.
   */
  markRemoved(labels: readonly number[]): void {
    for (const label of labels) if (!this.remove(label)) this.#removed++;
  }

  search(vector: Float32Array, k: number, options: VectorSearchOptions = {}): VectorMatch[] {
    const point = this.#toPoint(vector);
    const wanted = Math.min(k, this.size);
    if (wanted <= 0) return [];
    const filter = options.accepts === undefined ? undefined : new ContainedFilter(options.accepts);
    // With many removed vectors or a filter hnswlib may return too few (its issues 321 and 344): raise ef, up to all.
    for (let ef = Math.max(options.ef ?? this.settings.ef, wanted); ; ef *= 8) {
      this.#setEf(Math.min(ef, this.count));
      const { neighbors, distances } = this.#graph.searchKnn(point, wanted, filter?.accepts);
      if (filter?.failure !== undefined) throw filter.failure.error;
      if (neighbors.length < wanted && ef < this.count) continue;
      return neighbors
        .map((label, index) => ({ label, similarity: Math.max(-1, Math.min(1, 1 - distances[index]!)) }))
        .sort((a, b) => b.similarity - a.similarity || a.label - b.label);
    }
  }

  /** A label's vector; undefined where it is missing or removed. Slow, for checks. */
  vector(label: number): Float32Array | undefined {
    if (this.#made === undefined) return undefined;
    try {
      return Float32Array.from(this.#graph.getPoint(label));
    } catch {
      return undefined; // hnswlib throws only where the label is missing or marked
    }
  }

  /**
   * Writes the graph without blocking this thread; until it is done `add` and `remove` throw. hnswlib-node reports
   * neither a full disk nor a missing folder: the caller must check the file.
   */
  async write(path: string): Promise<void> {
    this.#refuseWhileWriting();
    this.#isWriting = true;
    try {
      await this.#graph.writeIndex(path);
    } finally {
      this.#isWriting = false;
    }
  }

  #refuseWhileWriting(): void {
    if (this.#isWriting) throw new Error('The graph must not change while it is written. This is a bug.');
  }

  #toPoint(vector: Float32Array): number[] {
    const unit = unitVector(vector, this.dimensions);
    for (let index = 0; index < unit.length; index++) this.#point[index] = unit[index]!;
    return this.#point;
  }

  #setEf(ef: number): void {
    if (ef === this.#ef) return;
    this.#graph.setEf(ef);
    this.#ef = ef;
  }
}

type StoredGraph = { readonly graph: HierarchicalNSW; readonly labels: readonly number[] };

/**
 * A filter whose exception is kept until the search is over: thrown inside hnswlib-node's callback it would abort
 * the process.
 */
class ContainedFilter {
  failure: { readonly error: unknown } | undefined;
  readonly accepts: (label: number) => boolean;

  constructor(accepts: (label: number) => boolean) {
    this.accepts = (label) => {
      if (this.failure !== undefined) return false;
      try {
        return accepts(label) === true;
      } catch (error) {
        this.failure = { error };
        return false;
      }
    };
  }
}
