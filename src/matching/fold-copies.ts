/** A result with those that were folded under it. */
export type Folded<Result> = { readonly kept: Result; readonly folded: readonly Result[] };

/**
 * Near-duplicates among results under the first of them: each result goes to the first kept one that it is a copy of, or is kept. Compares each
 * with every kept one: for pages of results, not for collections.
 */
export function foldCopies<Result>(results: readonly Result[], isCopy: (a: Result, b: Result) => boolean): Folded<Result>[] {
  const kept: { readonly kept: Result; readonly folded: Result[] }[] = [];
  for (const result of results) {
    const original = kept.find((entry) => isCopy(entry.kept, result));
    if (original === undefined) kept.push({ kept: result, folded: [] });
    else original.folded.push(result);
  }
  return kept;
}
