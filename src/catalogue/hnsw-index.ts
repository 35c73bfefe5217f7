import type { HierarchicalNSW } from 'hnswlib-node';
import hnswlib from 'hnswlib-node';
import { checkLabel } from './exact-index.js';
import { unitVector } from './unit-vector.js';
import type { VectorIndex, VectorMatch, VectorSearchOptions } from './vector-index.js';

/**
 * Shape of the graph. `m`: links a node; `efConstruction`: breadth while building; `ef`: breadth of a search that names none, the least one
 * where `recall`, the share of true neighbours that searches shall find (0..1, 0 or undefined: as `ef` finds), asks for more.
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
/** Fixed, so that the same adds build the same graph. */
const SEED = 1;

/**
 * Approximate nearest neighbours by hnswlib (Malkov and Yashunin 2016), inner product on unit vectors: similarity = 1 - distance.
 *
 * hnswlib-node answers many mistakes with a dead process or with silent loss: NaN is stored, an element that is no number and a filter that
 * throws abort, labels wrap at 2^32, reading into a live object frees it, a change during a write spoils the file. This class lets none of
 * them through. What it cannot know is whether a file is sound: only `index-file.ts`, which checks length and hash first, calls `read`.
 */
export class HnswIndex implements VectorIndex {
  readonly dimensions: number;
  readonly settings: HnswSettings;
  readonly #graph: HierarchicalNSW;
  /** Reused by every call: hnswlib-node takes plain arrays only. */
  readonly #point: number[];
  #ef: number;
  #highest: number;
  #removed = 0;
  #isWriting = false;

  /** An empty graph with room for `capacity` vectors before its first growth; or `stored`, a graph just read and its labels. */
  constructor(settings: HnswSettings, options: { readonly capacity?: number; readonly stored?: StoredGraph } = {}) {
    const { dimensions, m, efConstruction, ef } = settings;
    this.dimensions = dimensions;
    this.settings = settings;
    this.#point = new Array<number>(dimensions).fill(0);
    if (options.stored === undefined) {
      const maxElements = Math.max(FIRST_CAPACITY, options.capacity ?? 0);
      this.#graph = new hnswlib.HierarchicalNSW('ip', dimensions);
      this.#graph.initIndex({ maxElements, m, efConstruction, randomSeed: SEED });
      this.#highest = -1;
    } else {
      this.#graph = options.stored.graph;
      this.#highest = options.stored.labels.reduce((highest, label) => Math.max(highest, label), -1);
    }
    // A graph just read has hnswlib's own ef of 10 again.
    this.#graph.setEf(ef);
    this.#ef = ef;
  }

  /**
   * The graph in a file that `write` made with the same settings, and every label in it, removed ones included; whoever reads must `remove`
   * again what is gone. Blocks while it reads. Throws a plain Error where hnswlib refuses the file.
   */
  static read(path: string, settings: HnswSettings): { readonly index: HnswIndex; readonly labels: readonly number[] } {
    // A new object each time: where reading fails, hnswlib-node has freed what the object held before and kept the pointer to it.
    const graph = new hnswlib.HierarchicalNSW('ip', settings.dimensions);
    graph.readIndexSync(path);
    const labels = graph.getIdsList();
    return { index: new HnswIndex(settings, { stored: { graph, labels } }), labels };
  }

  get size(): number {
    return this.count - this.#removed;
  }

  /** Vectors in the graph, those marked as removed included. */
  get count(): number {
    return this.#graph.getCurrentCount();
  }

  /** Vectors marked as removed: they cost memory and time until the graph is built anew. */
  get removed(): number {
    return this.#removed;
  }

  /** Largest label ever added; -1 where there is none. */
  get highest(): number {
    return this.#highest;
  }

  /** While true the graph must be searched only. */
  get isWriting(): boolean {
    return this.#isWriting;
  }

  add(label: number, vector: Float32Array): void {
    this.#refuseWhileWriting();
    checkLabel(label, this.#highest);
    const point = this.#toPoint(vector);
    if (this.count >= this.#graph.getMaxElements()) this.#graph.resizeIndex(Math.ceil(this.#graph.getMaxElements() * GROWTH));
    this.#graph.addPoint(point, label);
    this.#highest = label;
  }

  remove(label: number): boolean {
    this.#refuseWhileWriting();
    if (!Number.isInteger(label) || label < 0 || label > this.#highest) return false;
    try {
      this.#graph.markDelete(label);
    } catch {
      return false; // hnswlib throws for a label that is not there or marked already, and for nothing else
    }
    this.#removed++;
    return true;
  }

  /** After `read`: marks what has been removed since, or was before the file was written, which hnswlib does not tell. */
  markRemoved(labels: readonly number[]): void {
    for (const label of labels) if (!this.remove(label)) this.#removed++;
  }

  search(vector: Float32Array, k: number, options: VectorSearchOptions = {}): VectorMatch[] {
    const point = this.#toPoint(vector);
    const wanted = Math.min(k, this.size);
    if (wanted <= 0) return [];
    const filter = options.accepts === undefined ? undefined : new ContainedFilter(options.accepts);
    // With many removed vectors, or behind a filter, hnswlib may answer fewer than there are (its issues 321 and 344): look wider, up to all.
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

  /** The stored vector of a label that is not removed; slow, for checks. */
  vector(label: number): Float32Array | undefined {
    try {
      return Float32Array.from(this.#graph.getPoint(label));
    } catch {
      return undefined; // hnswlib throws where the label is missing or marked, and for nothing else
    }
  }

  /**
   * Writes the graph without blocking this thread; `add` and `remove` throw until it is done, searches go on. hnswlib-node reports neither a
   * full disk nor a missing folder: the caller must check what was written.
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
    if (this.#isWriting) throw new Error('The graph is being written; it must not change until that is done. This is a bug.');
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

/** A filter as hnswlib-node can stand it: an exception inside its callback would abort the process, so it is kept until the search is over. */
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
