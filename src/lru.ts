/**
 * A map of at most `entriesMax` entries that evicts the least recently used one when a new one needs its place. `get`
 * and `set` use an entry; `peek`, `keys` and `values` do not. `onEvict` is told of entries that were evicted, not of
 * those deleted or overwritten.
 */
export class LruMap<Key, Value> {
  /** A Map keeps the order of insertion, so an entry that is deleted and set again is the most recent. */
  readonly #entries = new Map<Key, Value>();
  readonly #entriesMax: number;
  readonly #onEvict: ((key: Key, value: Value) => void) | undefined;

  constructor(entriesMax: number, onEvict?: (key: Key, value: Value) => void) {
    this.#entriesMax = entriesMax;
    this.#onEvict = onEvict;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  peek(key: Key): Value | undefined {
    return this.#entries.get(key);
  }

  set(key: Key, value: Value): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    while (this.#entries.size > this.#entriesMax) this.evictOldest();
  }

  delete(key: Key): boolean {
    return this.#entries.delete(key);
  }

  /** Evicts the least recently used entry; for callers that bound more than the count, such as bytes held. */
  evictOldest(): void {
    for (const [key, value] of this.#entries) {
      this.#entries.delete(key);
      this.#onEvict?.(key, value);
      return;
    }
  }

  /** Least recently used first. */
  keys(): IterableIterator<Key> {
    return this.#entries.keys();
  }

  /** Least recently used first. */
  values(): IterableIterator<Value> {
    return this.#entries.values();
  }
}
