import type { CollectionStatistics } from '../catalogue.js';
import { reached } from '../failpoint.js';
import { lowerBound } from '../filters/filter-cache.js';
import { Queue } from '../queue.js';
import { EfTuner } from './ef-tuner.js';
import type { ExactIndex } from './exact-index.js';
import { HnswIndex, type HnswSettings } from './hnsw-index.js';
import type { VectorMatch } from './vector-index.js';

/** Vectors of a loaded graph that are compared with the stored ones. */
const SPOT_CHECKS = 32;
/** Below this many vectors an exact scan is as fast as the graph, and exact. */
const GRAPH_WORTHWHILE = 1000;
/** A smaller collection has no graph: hnswlib's locks alone take 2.6 MB. */
export const GRAPH_LEAST = 64;
/**
 * Scanning the passing vectors is faster than a filtered graph search where passing^2 / vectors is less: the scan's
 * time grows with the passing share, the graph's with its inverse. Measured at 50,000 vectors of 256.
 */
const FILTER_BREAK_EVEN = 350;
/** A graph is rebuilt when this share of it, and at least this many, are marked as removed. */
const REBUILD_SHARE = 0.25;
const REBUILD_MINIMUM = 1000;

/**
 * The vectors of one collection: all in flat memory, and an HNSW graph that lags a little behind. Every search also
 * scans the vectors that are not in the graph yet (the tail), so that a vector is found as soon as it is added, also
 * while the graph is built, rebuilt or frozen for writing. `work` moves vectors from the tail into the graph; the owner
 * calls it between requests.
 */
export class CollectionIndex {
  readonly #settings: HnswSettings;
  readonly #flat: ExactIndex;
  #graph: HnswIndex;
  #tail: Queue<number>;
  /** A new graph without the removed vectors, and its tail; replaces the present one when complete. */
  #successor: { readonly graph: HnswIndex; readonly tail: Queue<number> } | undefined;
  /** Labels removed while the graph was frozen for writing. */
  #pendingDeletes: number[] = [];
  #isCatchingUp: boolean;
  readonly #tuner: EfTuner;

  /** `flat`: every vector of the collection. `graph`: read from a file and verified, or undefined to build one. */
  constructor(settings: HnswSettings, flat: ExactIndex, graph?: HnswIndex) {
    this.#settings = settings;
    this.#flat = flat;
    this.#graph = graph ?? new HnswIndex(settings, { capacity: flat.size });
    const highest = this.#graph.highest;
    this.#tail = new Queue<number>(flat.labels().filter((label) => label > highest));
    this.#isCatchingUp = this.#isGraphBehind;
    this.#tuner = new EfTuner({ least: settings.ef, target: settings.recall ?? 0 });
  }

  get size(): number {
    return this.#flat.size;
  }

  /** Vectors in the graph, those marked as removed included. */
  get indexed(): number {
    return this.#graph.count;
  }

  get removed(): number {
    return this.#graph.removed;
  }

  get isRebuilding(): boolean {
    return this.#successor !== undefined || this.#isCatchingUp;
  }

  /** Its part of the catalogue's statistics. */
  get statistics(): Omit<CollectionStatistics, 'name'> {
    const { recall } = this.#tuner;
    const indexed = this.#hasGraph ? this.indexed : this.size;
    const counts = { images: this.size, indexed, deleted: this.removed, rebuilding: this.isRebuilding };
    return { ...counts, efSearch: this.#tuner.efFor(this.size), ...(recall !== undefined && { recall }) };
  }

  /** All labels, unordered; valid until the next change. */
  get labels(): readonly number[] {
    return this.#flat.unsortedLabels;
  }

  has(label: number): boolean {
    return this.#flat.has(label);
  }

  /** The given labels with their similarity, best first. */
  scored(query: Float32Array, labels: readonly number[]): VectorMatch[] {
    return labels.length === 0 ? [] : this.#flat.searchAmong(query, labels.length, labels);
  }

  /** A copy of a label's vector. */
  vector(label: number): Float32Array | undefined {
    return this.#flat.vector(label)?.slice();
  }

  /** Whether `work` has something to do now. */
  get hasWork(): boolean {
    return (
      (!this.#graph.isWriting && (this.#isGraphBehind || this.#tuner.hasWork)) ||
      this.#successor !== undefined ||
      this.#wantsRebuild
    );
  }

  add(label: number, vector: Float32Array): void {
    this.#flat.add(label, vector);
    this.#tail.push(label);
    this.#successor?.tail.push(label);
  }

  remove(label: number): void {
    this.#flat.remove(label);
    if (this.#graph.isWriting) this.#pendingDeletes.push(label);
    else this.#graph.remove(label);
    this.#successor?.graph.remove(label);
  }

  /** The `k` nearest of all. `ef`: efSearch of the graph, undefined for the tuned one. `exact`: scan every vector. */
  search(
    query: Float32Array,
    k: number,
    options: { readonly ef: number | undefined; readonly exact: boolean },
  ): VectorMatch[] {
    // A tail that is most of the collection is scanned anyway.
    if (options.exact || this.size < GRAPH_WORTHWHILE || this.#tail.size * 2 > this.size)
      return this.#flat.search(query, k);
    this.#tuner.offerSearch(query);
    const ef = this.#efOf(options.ef, k);
    if (ef === Number.POSITIVE_INFINITY) return this.#flat.search(query, k);
    const matches = this.#graph.search(query, k + this.#pendingDeletes.length, { ef });
    return this.#completed(query, k, { matches, of: this.size }) ?? this.#flat.search(query, k);
  }

  /** The `k` nearest among `passes`, ascending labels. Scans a small set, searches the graph for a large one. */
  searchAmong(
    query: Float32Array,
    k: number,
    options: { readonly ef: number | undefined; readonly exact: boolean; readonly passes: readonly number[] },
  ): VectorMatch[] {
    const { exact, passes } = options;
    const ef = this.#efOf(options.ef, k);
    const isSmall = passes.length ** 2 < FILTER_BREAK_EVEN * this.size;
    if (exact || isSmall || ef === Number.POSITIVE_INFINITY || this.#tail.size * 2 > this.size)
      return this.#flat.searchAmong(query, k, passes);
    const accepts = (label: number): boolean => passes[lowerBound(passes, label)] === label;
    const matches = this.#graph.search(query, Math.min(k, passes.length) + this.#pendingDeletes.length, {
      ef,
      accepts,
    });
    return (
      this.#completed(query, k, { matches, of: passes.length, accepts }) ?? this.#flat.searchAmong(query, k, passes)
    );
  }

  /** The requested efSearch, or the tuned one plus the neighbours beyond the ten that it was tuned for. */
  #efOf(named: number | undefined, k: number): number {
    return named ?? this.#tuner.efFor(this.size) + Math.max(0, k - 10);
  }

  /** The nearest of the graph's matches and the tail; undefined where they are too few, so that the caller scans. */
  #completed(
    query: Float32Array,
    k: number,
    found: {
      readonly matches: readonly VectorMatch[];
      readonly of: number;
      readonly accepts?: (label: number) => boolean;
    },
  ): VectorMatch[] | undefined {
    const candidates = new Set<number>(found.matches.map(({ label }) => label));
    for (const label of this.#tail) if (found.accepts === undefined || found.accepts(label)) candidates.add(label);
    const nearest = this.#flat.searchAmong(query, k, candidates);
    return nearest.length < Math.min(k, found.of) ? undefined : nearest;
  }

  /**
   * Inserts at least one vector, and more for `budgetMs`, then continues a rebuild or starts one where too many vectors
   * are marked as removed. `droppedGraph`: a graph was replaced, whose memory only a garbage collection frees.
   */
  work(budgetMs: number): { readonly inserted: number; readonly droppedGraph: boolean } {
    const until = performance.now() + budgetMs;
    let inserted = 0;
    if (!this.#graph.isWriting) {
      for (const label of this.#pendingDeletes) this.#graph.remove(label);
      this.#pendingDeletes = [];
      inserted = this.#insertTuning(until);
      if (!this.#isGraphBehind) this.#isCatchingUp = false;
      else return { inserted, droppedGraph: false };
    }
    if (this.#successor === undefined && this.#wantsRebuild) {
      this.#successor = {
        graph: new HnswIndex(this.#settings, { capacity: this.size }),
        tail: new Queue<number>(this.#flat.labels()),
      };
    }
    return { inserted, droppedGraph: this.#rebuild(until) };
  }

  /** Calls `write` with the graph, which is frozen until that is done. Searches, adds and removes go on. */
  async withFrozenGraph(write: (graph: HnswIndex) => Promise<void>): Promise<void> {
    await write(this.#graph);
  }

  /** Inserts one by one. The next vector is a query that the graph has never seen, so the tuner may use it first. */
  #insertTuning(until: number): number {
    let inserted = 0;
    do {
      const next = this.#tail.first;
      const vector = next === undefined || this.#graph.count < GRAPH_WORTHWHILE ? undefined : this.#flat.vector(next);
      if (vector !== undefined) this.#tuner.offerInsert(vector, this.#graph);
      if (this.#tuner.hasWork) this.#tuner.work(this.#graph, this.#flat, until);
      if (this.#tuner.hasWork || !this.#isGraphBehind) break;
      inserted += this.#insert(this.#graph, this.#tail, 0);
    } while (performance.now() < until);
    return inserted;
  }

  #rebuild(until: number): boolean {
    if (this.#successor === undefined) return false;
    const { graph, tail } = this.#successor;
    if (performance.now() < until) this.#insert(graph, tail, until);
    if (tail.size > 0 || this.#graph.isWriting) return false;
    this.#graph = graph;
    this.#tail = tail;
    this.#successor = undefined;
    reached('graph exchanged');
    return true;
  }

  #insert(graph: HnswIndex, tail: Queue<number>, until: number): number {
    let inserted = 0;
    for (let label = tail.shift(); label !== undefined; label = tail.shift()) {
      const vector = this.#flat.vector(label);
      if (vector === undefined) continue; // removed before its turn came
      graph.add(label, vector);
      inserted++;
      if (performance.now() >= until) break;
    }
    return inserted;
  }

  get #hasGraph(): boolean {
    return this.#graph.count > 0 || this.size >= GRAPH_LEAST;
  }

  get #isGraphBehind(): boolean {
    return this.#tail.size > 0 && this.#hasGraph;
  }

  get #wantsRebuild(): boolean {
    const { removed, count, isWriting } = this.#graph;
    return !isWriting && removed >= REBUILD_MINIMUM && removed >= count * REBUILD_SHARE;
  }
}

/**
 * Why a graph read from a file does not match these vectors; undefined where it does, and then marks in it what was
 * removed since.
 */
export function mismatchOfGraph(graph: HnswIndex, labels: readonly number[], flat: ExactIndex): string | undefined {
  const live = labels.filter((label) => flat.has(label));
  const wanted = flat.labels().filter((label) => label <= graph.highest);
  if (live.length !== wanted.length) return `it lacks ${wanted.length - live.length} of ${wanted.length} images`;
  graph.markRemoved(labels.filter((label) => !flat.has(label)));
  const step = Math.max(1, Math.floor(live.length / SPOT_CHECKS));
  for (let place = 0; place < live.length; place += step) {
    const label = live[place]!;
    const stored = flat.vector(label)!;
    const inGraph = graph.vector(label);
    if (inGraph === undefined || stored.some((element, at) => element !== inGraph[at]))
      return `it holds another vector for image ${label}`;
  }
  return undefined;
}
