/** Searches made in this browser, newest first (localStorage). The service keeps no history. */

/** A search: its address, label and picture. */
export type PastSearch = {
  readonly address: string;
  readonly label: string;
  readonly at: number;
  readonly picture:
    | { readonly kind: 'stored' | 'local' | 'url'; readonly value: string; readonly collection: string }
    | undefined;
};

const NAME = 'likeness.history';
const ENTRIES_MAX = 24;

/** The history; empty where the browser forbids storage. */
export function readHistory(): readonly PastSearch[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(NAME) ?? '[]');
    return Array.isArray(kept) ? kept.filter(isPastSearch) : [];
  } catch {
    return []; // Forbidden, or not ours.
  }
}

/** Puts a search first, and removes its earlier entry. */
export function addToHistory(search: PastSearch): void {
  write([search, ...readHistory().filter(({ address }) => address !== search.address)].slice(0, ENTRIES_MAX));
}

/** Deletes the history. */
export function clearHistory(): void {
  write([]);
}

function write(searches: readonly PastSearch[]): void {
  try {
    localStorage.setItem(NAME, JSON.stringify(searches));
  } catch {
    // Forbidden or full: the history is optional.
  }
}

function isPastSearch(value: unknown): value is PastSearch {
  const { address, label, at } = (value ?? {}) as { address?: unknown; label?: unknown; at?: unknown };
  return typeof address === 'string' && typeof label === 'string' && typeof at === 'number';
}
