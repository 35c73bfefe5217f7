import type { Metadata } from './catalogue.js';
import type { Filter } from './filter.js';
import { matchesFilter } from './filter-match.js';

/** Filters remembered, and sequences they may hold together: a few tens of megabytes at most. */
const SETS_MAX = 32;
const SEQUENCES_MAX = 4_000_000;

type PassSet = { readonly collection: number; readonly filter: Filter; readonly sequences: number[] };

/**
 * Which images pass the filters that were asked for of late. Finding that out reads every record's metadata (about 1.1 µs each, so 57 ms of 50,000), and
 * shops and people ask with the same few filters again and again; so the answers are kept, and kept in step with every change by the filter
 * language's specification, `matchesFilter`, which a property test holds together with the SQL.
 */
export class PassSets {
  /** By filter, least lately used first. */
  readonly #sets = new Map<string, PassSet>();
  #held = 0;

  /** Sequences that pass, ascending; from `find` where they are not remembered. Not to be changed, and good until the next change. */
  passing(collection: number, filter: Filter, find: () => number[]): readonly number[] {
    const name = `${collection} ${JSON.stringify(filter)}`;
    const set = this.#sets.get(name) ?? { collection, filter, sequences: find() };
    this.#forget(name);
    this.#sets.set(name, set);
    this.#held += set.sequences.length;
    for (const oldest of this.#sets.keys()) {
      if (this.#sets.size <= SETS_MAX && this.#held <= SEQUENCES_MAX) break;
      this.#forget(oldest);
    }
    return set.sequences;
  }

  /** Follows an image that was added, or whose metadata changed, to `metadataJson`. */
  put(collection: number, sequence: number, metadataJson: string): void {
    const sets = this.#of(collection);
    if (sets.length === 0) return;
    const metadata = JSON.parse(metadataJson) as Metadata; // the text of an object, as it was stored
    for (const set of sets) this.#setPasses(set, sequence, matchesFilter(set.filter, metadata));
  }

  /** Follows an image that was removed. */
  remove(collection: number, sequence: number): void {
    for (const set of this.#of(collection)) this.#setPasses(set, sequence, false);
  }

  #of(collection: number): PassSet[] {
    return [...this.#sets.values()].filter((set) => set.collection === collection);
  }

  #setPasses({ sequences }: PassSet, sequence: number, passes: boolean): void {
    const place = placeIn(sequences, sequence);
    const isThere = sequences[place] === sequence;
    if (isThere === passes) return;
    if (passes) sequences.splice(place, 0, sequence);
    else sequences.splice(place, 1);
    this.#held += passes ? 1 : -1;
  }

  #forget(name: string): void {
    this.#held -= this.#sets.get(name)?.sequences.length ?? 0;
    this.#sets.delete(name);
  }
}

/** Where an ascending list has the value, or would have it. */
export function placeIn(ascending: readonly number[], value: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
