/** Searches made in this browser, newest first. They stay in it: the service keeps no record of what was asked. */

/** One search: its address, what to call it, and where its picture is. */
export type PastSearch = {
  readonly address: string;
  readonly label: string;
  readonly at: number;
  readonly picture: { readonly kind: 'stored' | 'local' | 'url'; readonly value: string; readonly collection: string } | undefined;
};

const NAME = 'likeness.history';
const MOST = 24;

/** What is remembered; nothing where the browser forbids it. */
export function readHistory(): readonly PastSearch[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(NAME) ?? '[]');
    return Array.isArray(kept) ? kept.filter(isPastSearch) : [];
  } catch {
    return []; // Forbidden, or written by something else.
  }
}

/** Puts a search first; the same one earlier is forgotten. */
export function remember(search: PastSearch): void {
  write([search, ...readHistory().filter(({ address }) => address !== search.address)].slice(0, MOST));
}

/** Forgets all. */
export function forgetHistory(): void {
  write([]);
}

function write(searches: readonly PastSearch[]): void {
  try {
    localStorage.setItem(NAME, JSON.stringify(searches));
  } catch {
    // Forbidden or full: a history is a comfort, not a need.
  }
}

function isPastSearch(value: unknown): value is PastSearch {
  const { address, label, at } = (value ?? {}) as { address?: unknown; label?: unknown; at?: unknown };
  return typeof address === 'string' && typeof label === 'string' && typeof at === 'number';
}
