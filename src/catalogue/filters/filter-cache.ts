import { LruMap } from '../../lru.js';
import type { Metadata } from '../catalogue.js';
import type { Filter } from './filter.js';
import { compileFilter, type Predicate } from './filter-match.js';

/** Filters kept, and sequences that they may hold together: a few tens of megabytes. */
const FILTERS_MAX = 32;
const SEQUENCES_MAX = 4_000_000;

/** Some records of a collection by ascending sequence, and the metadata of each. */
export type MetadataBatch = { readonly sequences: readonly number[]; readonly metadata: readonly Metadata[] };
/** Yields between two slices of work; see `CatalogueEngine.read`. */
export type Steps<Value> = Generator<void, Value, void>;

type CachedFilter = {
  readonly collection: number;
  readonly matches: Predicate;
  readonly sequences: number[];
  /** Records up to this sequence are in `sequences` or do not pass; Infinity when the scan is done. */
  scannedTo: number;
  readonly scan: Iterator<MetadataBatch>;
};

/**
 * The images that pass recently used filters. A scan reads every record's metadata, in slices; its result is kept and
 * follows each change of a record, so that the next search with the same filter costs nothing.
 */
export class FilterCache {
  readonly #filters = new LruMap<string, CachedFilter>(FILTERS_MAX);
  /** Scans that have not ended; also those whose filter was evicted meanwhile. */
  readonly #scanning = new Set<CachedFilter>();

  /**
   * Sequences that pass, ascending; valid until the next change, not to be modified. `scan` gives the collection's
   * records in batches; requests that wait for the same filter share one scan.
   */
  *passing(collection: number, filter: Filter, scan: () => Iterator<MetadataBatch>): Steps<readonly number[]> {
    const key = keyOf(collection, filter);
    let cached = this.#filters.get(key);
    if (cached === undefined) {
      cached = { collection, matches: compileFilter(filter), sequences: [], scannedTo: 0, scan: scan() };
      this.#scanning.add(cached);
      this.#filters.set(key, cached);
    }
    while (cached.scannedTo !== Number.POSITIVE_INFINITY) {
      this.#scanBatch(cached);
      yield;
    }
    while (this.#held > SEQUENCES_MAX && this.#filters.size > 1) this.#filters.evictOldest();
    return cached.sequences;
  }

  /** As {@link passing} where the whole answer is known already. */
  known(collection: number, filter: Filter): readonly number[] | undefined {
    const cached = this.#filters.get(keyOf(collection, filter));
    return cached?.scannedTo === Number.POSITIVE_INFINITY ? cached.sequences : undefined;
  }

  #scanBatch(cached: CachedFilter): void {
    const { value, done } = cached.scan.next();
    if (done === true) {
      cached.scannedTo = Number.POSITIVE_INFINITY;
      this.#scanning.delete(cached);
      return;
    }
    addPassing(cached.matches, value, cached.sequences);
    cached.scannedTo = value.sequences.at(-1) ?? cached.scannedTo;
  }

  /** Follows an image that was added or whose metadata changed. */
  put(collection: number, sequence: number, metadataJson: string): void {
    const cached = this.#of(collection, sequence);
    if (cached.length === 0) return;
    const metadata = JSON.parse(metadataJson) as Metadata; // an object, as it was stored
    for (const each of cached) setMember(each.sequences, sequence, each.matches(metadata));
  }

  /** Follows an image that was removed. */
  remove(collection: number, sequence: number): void {
    for (const { sequences } of this.#of(collection, sequence)) setMember(sequences, sequence, false);
  }

  /** A record that a scan has not reached yet will be read as it is then. */
  #of(collection: number, sequence: number): CachedFilter[] {
    const all = new Set([...this.#filters.values(), ...this.#scanning]);
    return [...all].filter((cached) => cached.collection === collection && sequence <= cached.scannedTo);
  }

  get #held(): number {
    let held = 0;
    for (const { sequences } of this.#filters.values()) held += sequences.length;
    return held;
  }
}

/** Appends the sequences of a batch's records that pass. */
export function addPassing(matches: Predicate, { sequences, metadata }: MetadataBatch, to: number[]): void {
  for (let at = 0; at < sequences.length; at++) if (matches(metadata[at]!)) to.push(sequences[at]!);
}

function keyOf(collection: number, filter: Filter): string {
  return `${collection} ${JSON.stringify(filter)}`;
}

function setMember(ascending: number[], value: number, isMember: boolean): void {
  const at = lowerBound(ascending, value);
  if ((ascending[at] === value) === isMember) return;
  if (isMember) ascending.splice(at, 0, value);
  else ascending.splice(at, 1);
}

/** Index of the first element of an ascending list that is not less than `value`. */
export function lowerBound(ascending: readonly number[], value: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
