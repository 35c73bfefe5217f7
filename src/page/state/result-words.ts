/** Words for what a result is. Pure. */
import type { MatchKind, SearchResult } from '../../client/client.js';

/** Heading and explanation of each group, in the order in which they stand. */
export const GROUPS: readonly { readonly match: MatchKind; readonly title: string; readonly explanation: string }[] = [
  { match: 'same', title: 'Same picture', explanation: 'The very picture, byte for byte or pixel for pixel.' },
  { match: 'edited', title: 'Edited copies', explanation: 'The picture scaled, saved anew, cropped a little or changed in colour.' },
  { match: 'similar', title: 'Similar', explanation: 'Other pictures that look alike, the most alike first.' },
];

const VIEWS: { readonly [view: string]: string } = { flipY: 'mirrored', flipX: 'mirrored, upside down' };

/** What the same picture's cosine may fall short of 1 by: embeddings are of 32-bit numbers. */
const ROUNDING = 1e-5;

/** A score as it is shown: two places, and never 1.00 for what is less than the same. */
export function scoreText(score: number): string {
  return (score < 1 - ROUNDING ? Math.min(score, 0.99) : score).toFixed(2);
}

/** What the score means in this collection; undefined for an answer of a service that does not say. */
export function bandWord({ band }: Partial<Pick<SearchResult, 'band'>>): string | undefined {
  return band?.name;
}

/** How the query was turned to match, or undefined where it was not. */
export function viewWord(view: string | undefined): string | undefined {
  return view === undefined ? undefined : (VIEWS[view] ?? 'turned');
}

/** The last part of an id that is a path; the whole stands in the detail view. */
export function shortName(id: string): string {
  return id.split('/').filter(Boolean).at(-1) ?? id;
}

/** What was found, in one sentence. */
export function spokenSummary(results: readonly Pick<SearchResult, 'match'>[], hasMore: boolean): string {
  if (results.length === 0) return 'No results.';
  const counts = GROUPS.map(({ match }) => ({ match, count: results.filter((result) => result.match === match).length }));
  const words = counts.filter(({ count }) => count > 0).map(({ match, count }) => `${count} ${match}`);
  return `${results.length}${hasMore ? ' or more' : ''} results: ${words.join(', ')}.`;
}
