import type { ExactIndex } from './exact-index.js';
import type { HnswIndex } from './hnsw-index.js';
import { NearestMatches } from './nearest-matches.js';
import { unitVector } from './unit-vector.js';

/** Neighbours that a probe compares: recall@10. */
const NEIGHBOURS = 10;
/** Breadths tried are the least one times these. */
const RUNGS = [1, 2, 4, 8, 16, 32];
/** Probes that the measure rests on: the last so many, and not before the first so many. 64 of 10 neighbours: about 0.6 points of standard error at 0.98. */
const PROBES_KEPT = 64;
const PROBES_NEEDED = 8;
/** A probe is due when the graph has grown by this share, */
const GROWTH_SHARE = 1 / 256;
const GROWTH_LEAST = 8;
/** and for every so many searches. While the measure is young every search is one. */
const SEARCHES_A_PROBE = 64;
/** Rows scanned between two looks at the clock. */
const SCANNED_ROWS = 2048;
/** One more of breadth costs about as much as scanning so many rows (measured at 256 elements: 2.8 µs against 0.19 µs). */
const ROWS_A_BREADTH = 15;

type Probe = {
  readonly query: Float32Array;
  /** The graph's last label when the probe began: what came later takes no part. */
  readonly limit: number;
  /** Labels that the graph found at each rung tried so far. */
  readonly found: ReadonlySet<number>[];
  readonly truth: NearestMatches;
  scannedRows: number;
};

/**
 * How broadly to search a graph so that it finds the wanted share of the true neighbours. How hard that is depends on the encoder (whitened
 * embeddings need several times the breadth of clustered ones) and on the collection's size, so it is measured and not guessed: now and then a
 * query that the graph has never seen, a vector about to be inserted or one that somebody searched for, is answered at several breadths and by
 * an exact scan, in small steps between requests.
 */
export class SearchBreadth {
  readonly #least: number;
  readonly #target: number;
  readonly #hits: number[][] = [];
  #probe: Probe | undefined;
  #offered: Float32Array | undefined;
  #dueAtCount = 0;
  #searches = 0;
  #breadth: number;

  /** `least`: the smallest breadth. `target`: share of the true neighbours to find, 0..1; 0 switches the measuring off and keeps `least`. */
  constructor(options: { readonly least: number; readonly target: number }) {
    this.#least = options.least;
    this.#target = options.target;
    this.#breadth = options.least;
  }

  /** Breadth of a search among `vectors`; Infinity where an exact scan costs no more than the breadth that is needed. */
  for(vectors: number): number {
    const isWide = this.#breadth > this.#least;
    return isWide && this.#breadth * ROWS_A_BREADTH > vectors ? Number.POSITIVE_INFINITY : this.#breadth;
  }

  /** Share of the true neighbours that the chosen breadth finds by the measure; undefined before there is one. */
  get recall(): number | undefined {
    return this.#hits.length < PROBES_NEEDED ? undefined : this.#recallAt(RUNGS.indexOf(this.#breadth / this.#least));
  }

  get hasWork(): boolean {
    return this.#probe !== undefined || this.#offered !== undefined;
  }

  /** Offers somebody's query as a probe; kept where one is due. */
  offerSearch(query: Float32Array): void {
    this.#searches++;
    const isDue = this.#hits.length < PROBES_NEEDED || this.#searches >= SEARCHES_A_PROBE;
    if (this.#target === 0 || this.hasWork || !isDue) return;
    this.#searches = 0;
    this.#offered = unitVector(query, query.length).slice();
  }

  /** Offers a vector that is about to be inserted into the graph; kept where one is due. */
  offerInsert(vector: Float32Array, graph: HnswIndex): void {
    if (this.#target === 0 || this.hasWork || graph.count < this.#dueAtCount) return;
    this.#dueAtCount = graph.count + Math.max(GROWTH_LEAST, graph.count * GROWTH_SHARE);
    this.#offered = vector.slice();
  }

  /** Goes on with the probe until the clock says `until`; at least one step. */
  work(graph: HnswIndex, flat: ExactIndex, until: number): void {
    if (this.#offered !== undefined) {
      this.#probe = { query: this.#offered, limit: graph.highest, found: [], truth: new NearestMatches(NEIGHBOURS), scannedRows: 0 };
      this.#offered = undefined;
    }
    while (this.#probe !== undefined) {
      this.#step(this.#probe, graph, flat);
      if (performance.now() >= until) return;
    }
  }

  #step(probe: Probe, graph: HnswIndex, flat: ExactIndex): void {
    const rung = RUNGS[probe.found.length];
    if (rung !== undefined) {
      const matches = graph.search(probe.query, NEIGHBOURS, { ef: this.#least * rung });
      probe.found.push(new Set(matches.map(({ label }) => label)));
      return;
    }
    const to = Math.min(flat.size, probe.scannedRows + SCANNED_ROWS);
    flat.scanRows({ query: probe.query, from: probe.scannedRows, to, nearest: probe.truth, accepts: (label) => label <= probe.limit });
    probe.scannedRows = to;
    if (to === flat.size) this.#conclude(probe);
  }

  #conclude({ truth, found }: Probe): void {
    this.#probe = undefined;
    const nearest = truth.sorted();
    if (nearest.length < NEIGHBOURS) return;
    this.#hits.push(found.map((labels) => nearest.filter(({ label }) => labels.has(label)).length));
    if (this.#hits.length > PROBES_KEPT) this.#hits.shift();
    if (this.#hits.length < PROBES_NEEDED) return;
    // By one standard error more than the target, so that luck with a few probes does not make searches too narrow.
    const enough = RUNGS.findIndex((_, rung) => this.#recallAt(rung) - this.#standardErrorAt(rung) >= this.#target);
    this.#breadth = this.#least * RUNGS.at(enough)!; // findIndex answers -1 where none is enough: the broadest
  }

  #recallAt(rung: number): number {
    const hits = this.#hits.reduce((sum, probe) => sum + probe[rung]!, 0);
    return hits / (this.#hits.length * NEIGHBOURS);
  }

  #standardErrorAt(rung: number): number {
    const mean = this.#recallAt(rung);
    const squares = this.#hits.reduce((sum, probe) => sum + (probe[rung]! / NEIGHBOURS - mean) ** 2, 0);
    return Math.sqrt(squares) / this.#hits.length;
  }
}
