/** Texts about search results. Pure. */
import type { SearchResult } from '../../client/client.js';

/** Groups of results on the page, best first. Weaker matches are hidden until the user asks for them. */
export type ResultGroup = 'identical' | 'edited' | 'similar' | 'weaker';

/** Heading, name of one result, and explanation of each group with a heading. */
export const GROUPS: readonly {
  readonly group: Exclude<ResultGroup, 'weaker'>;
  readonly title: string;
  readonly label: string;
  readonly explanation: string;
}[] = [
  { group: 'identical', title: 'Identical', label: 'Identical', explanation: 'the same file or the same pixels' },
  {
    group: 'edited',
    title: 'Edited copies',
    label: 'Edited copy',
    explanation: 'resized, re-saved, cropped or recoloured',
  },
  { group: 'similar', title: 'Similar', label: 'Similar', explanation: 'another picture that looks alike' },
];

const VIEWS: { readonly [view: string]: string } = { flipY: 'mirrored', flipX: 'mirrored, upside down' };

/** Rounding error of a cosine similarity of 32-bit embeddings. */
const ROUNDING = 1e-5;

/** The group of a result. */
export function groupOf({ copy, similar }: Pick<SearchResult, 'copy' | 'similar'>): ResultGroup {
  if (copy === 'exact') return 'identical';
  if (copy === 'edited') return 'edited';
  return similar ? 'similar' : 'weaker';
}

/** A score with two decimals; 1.00 only for a score of 1. */
export function scoreText(score: number): string {
  return (score < 1 - ROUNDING ? Math.min(score, 0.99) : score).toFixed(2);
}

/** A probability in per cent; 0 % and 100 % only for 0 and 1. */
export function percentText(probability: number): string {
  if (probability > 0 && probability < 0.01) return 'less than 1 %';
  return probability < 1 && probability > 0.99 ? 'more than 99 %' : `${Math.round(probability * 100)} %`;
}

/** How the query was mirrored or rotated to match; undefined if it was not. */
export function viewText(view: string | undefined): string | undefined {
  return view === undefined ? undefined : (VIEWS[view] ?? 'rotated');
}

/** The name shown for a stored image: its file name, or else the last part of its id. */
export function displayName({ id, fileName }: { readonly id: string; readonly fileName?: string | null }): string {
  return lastPart(fileName ?? '') ?? lastPart(id) ?? id;
}

/** One sentence for screen readers. */
export function resultSummary(results: readonly Pick<SearchResult, 'copy' | 'similar'>[], hasMore: boolean): string {
  if (results.length === 0) return 'No results.';
  const groups = results.map(groupOf);
  const counts = (['identical', 'edited', 'similar', 'weaker'] as const).flatMap((group) => {
    const count = groups.filter((one) => one === group).length;
    return count === 0 ? [] : `${count} ${group}`;
  });
  return `${results.length}${hasMore ? ' or more' : ''} results: ${counts.join(', ')}.`;
}

function lastPart(path: string): string | undefined {
  return path.split('/').filter(Boolean).at(-1);
}
