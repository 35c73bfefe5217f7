import type { ExactIndex } from './exact-index.js';
import type { HnswIndex } from './hnsw-index.js';
import { NearestMatches } from './nearest-matches.js';

/** Neighbours that a probe compares: recall@10. */
const NEIGHBOURS = 10;
/** Values of efSearch tried, as multiples of the least one. */
const STEPS = [1, 2, 4, 8, 16, 32];
/**
 * Probes kept for the measurement, and the fewest that it needs. 64 of 10 neighbours: a standard error of about 0.6
 * points at 0.98.
 */
const PROBES_KEPT = 64;
const PROBES_NEEDED = 8;
/** A probe is due when the graph has grown by this share and this many, */
const GROWTH_SHARE = 1 / 256;
const GROWTH_LEAST = 8;
/** and every so many searches. Until there are enough probes, every search is one. */
const SEARCHES_A_PROBE = 64;
/** Rows scanned between two looks at the clock. */
const SCANNED_ROWS = 2048;
/** One more of efSearch costs about as much as scanning so many rows. */
const ROWS_PER_EF = 15;

type Probe = {
  readonly query: Float32Array;
  /** The graph's last label when the probe began; later ones are ignored. */
  readonly limit: number;
  /** Labels that the graph found at each step so far. */
  readonly found: ReadonlySet<number>[];
  readonly truth: NearestMatches;
  scannedRows: number;
};

/**
 * Tunes efSearch so that searches reach the target recall. What that needs depends on the encoder and on the
 * collection's size, so it is measured: now and then a query that the graph has never seen (a vector about to be
 * inserted, or one searched for) is searched at several values of efSearch and by an exact scan, in small steps
 * between requests.
 */
export class EfTuner {
  readonly #least: number;
  readonly #target: number;
  readonly #hits: number[][] = [];
  #probe: Probe | undefined;
  #offered: Float32Array | undefined;
  #dueAtCount = 0;
  #searches = 0;
  #ef: number;

  /** `least`: the smallest efSearch. `target`: recall@10 to reach, 0..1; 0 keeps `least` without measuring. */
  constructor(options: { readonly least: number; readonly target: number }) {
    this.#least = options.least;
    this.#target = options.target;
    this.#ef = options.least;
  }

  /** efSearch among `vectors`; Infinity where an exact scan costs no more. */
  efFor(vectors: number): number {
    return this.#ef > this.#least && this.#ef * ROWS_PER_EF > vectors ? Number.POSITIVE_INFINITY : this.#ef;
  }

  /** Measured recall@10 of the chosen efSearch; undefined before there are enough probes. */
  get recall(): number | undefined {
    return this.#hits.length < PROBES_NEEDED ? undefined : this.#recallAt(STEPS.indexOf(this.#ef / this.#least));
  }

  get hasWork(): boolean {
    return this.#probe !== undefined || this.#offered !== undefined;
  }

  /** Offers a query as a probe; used where one is due. */
  offerSearch(query: Float32Array): void {
    this.#searches++;
    const isDue = this.#hits.length < PROBES_NEEDED || this.#searches >= SEARCHES_A_PROBE;
    if (this.#target === 0 || this.hasWork || !isDue) return;
    this.#searches = 0;
    this.#offered = query.slice();
  }

  /** Offers a vector that is about to be inserted; used where a probe is due. */
  offerInsert(vector: Float32Array, graph: HnswIndex): void {
    if (this.#target === 0 || this.hasWork || graph.count < this.#dueAtCount) return;
    this.#dueAtCount = graph.count + Math.max(GROWTH_LEAST, graph.count * GROWTH_SHARE);
    this.#offered = vector.slice();
  }

  /** Continues the probe until the time `until`; at least one step. */
  work(graph: HnswIndex, flat: ExactIndex, until: number): void {
    if (this.#offered !== undefined) {
      this.#probe = {
        query: this.#offered,
        limit: graph.highest,
        found: [],
        truth: new NearestMatches(NEIGHBOURS),
        scannedRows: 0,
      };
      this.#offered = undefined;
    }
    while (this.#probe !== undefined) {
      this.#step(this.#probe, graph, flat);
      if (performance.now() >= until) return;
    }
  }

  #step(probe: Probe, graph: HnswIndex, flat: ExactIndex): void {
    const step = STEPS[probe.found.length];
    if (step !== undefined) {
      const matches = graph.search(probe.query, NEIGHBOURS, { ef: this.#least * step });
      probe.found.push(new Set(matches.map(({ label }) => label)));
      return;
    }
    const to = Math.min(flat.size, probe.scannedRows + SCANNED_ROWS);
    flat.scanRows({
      query: probe.query,
      from: probe.scannedRows,
      to,
      nearest: probe.truth,
      accepts: (label) => label <= probe.limit,
    });
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
    // One standard error above the target, so that luck with few probes does not choose too small a value.
    const enough = STEPS.findIndex((_, step) => this.#recallAt(step) - this.#standardErrorAt(step) >= this.#target);
    this.#ef = this.#least * STEPS.at(enough)!; // -1 where none is enough: the largest
  }

  #recallAt(step: number): number {
    const hits = this.#hits.reduce((sum, probe) => sum + probe[step]!, 0);
    return hits / (this.#hits.length * NEIGHBOURS);
  }

  #standardErrorAt(step: number): number {
    const mean = this.#recallAt(step);
    const squares = this.#hits.reduce((sum, probe) => sum + (probe[step]! / NEIGHBOURS - mean) ** 2, 0);
    return Math.sqrt(squares) / this.#hits.length;
  }
}
