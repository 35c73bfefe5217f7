import type { CollectionStatistics } from './catalogue.js';
import type { ExactIndex } from './exact-index.js';
import { reached } from './failpoint.js';
import { HnswIndex, type HnswSettings } from './hnsw-index.js';
import { placeIn } from './pass-sets.js';
import { Queue } from './queue.js';
import { SearchBreadth } from './search-breadth.js';
import type { VectorMatch } from './vector-index.js';

/** Below this many vectors an exact scan costs no more than a walk through the graph, and misses nothing. */
const GRAPH_WORTHWHILE = 1000;
/**
 * Where passes^2 / vectors is smaller, scanning the passing vectors is quicker than a graph search behind a filter: the one costs time by the
 * share that passes, the other by its inverse. Measured at 50,000 x 256: 10 % scan 6.6 ms, graph 3.2; 5 % scan 1.7 ms, graph 6.3.
 */
const FILTER_BREAK_EVEN = 350;
/** A graph is built anew when this share of it, and at least this many, are marked as removed. */
const REBUILD_SHARE = 0.25;
const REBUILD_MINIMUM = 1000;

/**
 * The vectors of one collection: all of them in flat memory, and a graph that follows a little behind. What is not in the graph yet (the tail)
 * is scanned exactly by every search, so that a vector is found from the moment it is added, while the graph is built, rebuilt, caught up
 * after a start or held still for writing. `work` moves vectors from the tail into the graph; its owner calls it between requests.
 */
export class CollectionIndex {
  readonly #settings: HnswSettings;
  readonly #flat: ExactIndex;
  #graph: HnswIndex;
  #tail: Queue<number>;
  /** A new graph without the removed vectors, and what is still to be put into it; takes the other's place when complete. */
  #successor: { readonly graph: HnswIndex; readonly tail: Queue<number> } | undefined;
  /** Removed while the graph was being written, when it must not change. */
  #unmarked: number[] = [];
  #isCatchingUp: boolean;
  readonly #breadth: SearchBreadth;

  /** `flat` holds every vector of the collection; `graph` is one read from a file, already found in step with it, or undefined to build one. */
  constructor(settings: HnswSettings, flat: ExactIndex, graph?: HnswIndex) {
    this.#settings = settings;
    this.#flat = flat;
    this.#graph = graph ?? new HnswIndex(settings, { capacity: flat.size });
    const highest = this.#graph.highest;
    this.#tail = new Queue<number>(flat.labels().filter((label) => label > highest));
    this.#isCatchingUp = this.#tail.size > 0;
    this.#breadth = new SearchBreadth({ least: settings.ef, target: settings.recall ?? 0 });
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

  /** Breadth of a search that names none, and the share of true neighbours it finds by the last measurements; Infinity: an exact scan. */
  get breadth(): { readonly ef: number; readonly recall: number | undefined } {
    return { ef: this.#breadth.for(this.size), recall: this.#breadth.recall };
  }

  /** Its numbers as the catalogue's statistics tell them. */
  get statistics(): Omit<CollectionStatistics, 'name'> {
    const { ef, recall } = this.breadth;
    const counts = { images: this.size, indexed: this.indexed, deleted: this.removed, rebuilding: this.isRebuilding };
    return { ...counts, searchBreadth: ef, ...(recall !== undefined && { recall }) };
  }

  /** All labels in no order: good until the next change. */
  get labels(): readonly number[] {
    return this.#flat.unsortedLabels;
  }

  has(label: number): boolean {
    return this.#flat.has(label);
  }

  /** These labels with their similarity, best first. */
  scored(query: Float32Array, labels: readonly number[]): VectorMatch[] {
    return labels.length === 0 ? [] : this.#flat.searchAmong(query, labels.length, labels);
  }

  /** A copy of the vector under a label that `search` gave. */
  vector(label: number): Float32Array | undefined {
    return this.#flat.vector(label)?.slice();
  }

  /** Whether `work` has something to do now. */
  get hasWork(): boolean {
    return (
      (!this.#graph.isWriting && (this.#tail.size > 0 || this.#breadth.hasWork)) || this.#successor !== undefined || this.#wantsRebuild
    );
  }

  add(label: number, vector: Float32Array): void {
    this.#flat.add(label, vector);
    this.#tail.push(label);
    this.#successor?.tail.push(label);
  }

  remove(label: number): void {
    this.#flat.remove(label);
    if (this.#graph.isWriting) this.#unmarked.push(label);
    else this.#graph.remove(label);
    this.#successor?.graph.remove(label);
  }

  /** The `k` nearest of all. `ef` is the breadth of the graph search, undefined the measured one; `exact` scans every vector. */
  search(query: Float32Array, k: number, options: { readonly ef: number | undefined; readonly exact: boolean }): VectorMatch[] {
    // A tail that is most of the collection is scanned anyway: the rest costs little more.
    if (options.exact || this.size < GRAPH_WORTHWHILE || this.#tail.size * 2 > this.size) return this.#flat.search(query, k);
    this.#breadth.offerSearch(query);
    const ef = this.#breadthOf(options.ef, k);
    if (ef === Number.POSITIVE_INFINITY) return this.#flat.search(query, k);
    const matches = this.#graph.search(query, k + this.#unmarked.length, { ef });
    return this.#completed(query, k, { matches, of: this.size }) ?? this.#flat.search(query, k);
  }

  /** The `k` nearest among `passes`, ascending labels. A small set is scanned, a large one sought through the graph. */
  searchAmong(
    query: Float32Array,
    k: number,
    options: { readonly ef: number | undefined; readonly exact: boolean; readonly passes: readonly number[] },
  ): VectorMatch[] {
    const { exact, passes } = options;
    const ef = this.#breadthOf(options.ef, k);
    const isSmall = passes.length ** 2 < FILTER_BREAK_EVEN * this.size;
    if (exact || isSmall || ef === Number.POSITIVE_INFINITY || this.#tail.size * 2 > this.size)
      return this.#flat.searchAmong(query, k, passes);
    const accepts = (label: number): boolean => passes[placeIn(passes, label)] === label;
    const matches = this.#graph.search(query, Math.min(k, passes.length) + this.#unmarked.length, { ef, accepts });
    return this.#completed(query, k, { matches, of: passes.length, accepts }) ?? this.#flat.searchAmong(query, k, passes);
  }

  /** What the caller named; else the measured breadth, wider by what is asked for beyond the ten neighbours it was measured with. */
  #breadthOf(named: number | undefined, k: number): number {
    return named ?? this.#breadth.for(this.size) + Math.max(0, k - 10);
  }

  /** The graph's matches and the tail, scored alike; undefined where that is fewer than there are, so that the caller scans instead. */
  #completed(
    query: Float32Array,
    k: number,
    found: { readonly matches: readonly VectorMatch[]; readonly of: number; readonly accepts?: (label: number) => boolean },
  ): VectorMatch[] | undefined {
    const candidates = new Set<number>(found.matches.map(({ label }) => label));
    for (const label of this.#tail) if (found.accepts === undefined || found.accepts(label)) candidates.add(label);
    const nearest = this.#flat.searchAmong(query, k, candidates);
    return nearest.length < Math.min(k, found.of) ? undefined : nearest;
  }

  /**
   * Puts vectors from the tail into the graph until `budgetMs` has passed (at least one), then goes on with a rebuild, and starts one where too
   * many are marked. Says how many it put into the graph and whether a graph was dropped, whose memory only a garbage collection frees.
   */
  work(budgetMs: number): { readonly inserted: number; readonly droppedGraph: boolean } {
    const until = performance.now() + budgetMs;
    let inserted = 0;
    if (!this.#graph.isWriting) {
      for (const label of this.#unmarked) this.#graph.remove(label);
      this.#unmarked = [];
      inserted = this.#insertMeasuring(until);
      if (this.#tail.size === 0) this.#isCatchingUp = false;
      else return { inserted, droppedGraph: false };
    }
    if (this.#successor === undefined && this.#wantsRebuild) {
      this.#successor = { graph: new HnswIndex(this.#settings, { capacity: this.size }), tail: new Queue<number>(this.#flat.labels()) };
    }
    return { inserted, droppedGraph: this.#rebuild(until) };
  }

  /** Lets `write` have the graph, which stays as it is until that is done. Searches, adds and removes go on meanwhile. */
  async withStillGraph(write: (graph: HnswIndex) => Promise<void>): Promise<void> {
    await write(this.#graph);
  }

  /** Inserts one by one; a vector whose turn comes next is a query that the graph has never seen, so it may first be one for the measure. */
  #insertMeasuring(until: number): number {
    let inserted = 0;
    do {
      const next = this.#tail.first;
      const vector = next === undefined || this.#graph.count < GRAPH_WORTHWHILE ? undefined : this.#flat.vector(next);
      if (vector !== undefined) this.#breadth.offerInsert(vector, this.#graph);
      if (this.#breadth.hasWork) this.#breadth.work(this.#graph, this.#flat, until);
      if (this.#breadth.hasWork || this.#tail.size === 0) break;
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

  get #wantsRebuild(): boolean {
    const { removed, count, isWriting } = this.#graph;
    return !isWriting && removed >= REBUILD_MINIMUM && removed >= count * REBUILD_SHARE;
  }
}
