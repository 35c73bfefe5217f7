/** What every benchmark needs: repeated runs, medians, and CPU seconds beside wall seconds. */

/** One figure over several runs. */
export type Figure = { readonly median: number; readonly min: number; readonly max: number };

/** Median, least and greatest of at least one value. */
export function figureOf(values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  if (sorted.length === 0) throw new Error('No values.');
  return { median: sorted[sorted.length >> 1]!, min: sorted[0]!, max: sorted.at(-1)! };
}

/** "1.23 [1.10-1.40]" */
export function show({ median, min, max }: Figure, digits = 2): string {
  return `${median.toFixed(digits)} [${min.toFixed(digits)}-${max.toFixed(digits)}]`;
}

/** The head of a Markdown table; all columns but the first are numbers. */
export function tableHead(...columns: readonly string[]): string {
  return `${tableRow(...columns)}\n|---|${'---:|'.repeat(columns.length - 1)}`;
}

/** A row of a Markdown table. */
export function tableRow(...cells: readonly (string | number)[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** Milliseconds of one call, by as many calls as fill `forMs`, the mean of them. */
export async function timeOf(call: () => unknown, forMs: number): Promise<number> {
  const startedAt = performance.now();
  let calls = 0;
  do {
    await call();
    calls++;
  } while (performance.now() - startedAt < forMs);
  return (performance.now() - startedAt) / calls;
}

/**
 * Times ours and the bare library in turn, so that a change of the machine's speed meets both, and returns the pairwise
 * ratios with both times in milliseconds.
 */
export async function compare(options: {
  readonly ours: () => unknown;
  readonly bare: () => unknown;
  readonly rounds?: number;
  readonly forMs?: number;
}): Promise<{ readonly ours: Figure; readonly bare: Figure; readonly ratio: Figure }> {
  const { ours, bare, rounds = 5, forMs = 600 } = options;
  await timeOf(ours, forMs / 4);
  await timeOf(bare, forMs / 4);
  const pairs: { ours: number; bare: number }[] = [];
  for (let round = 0; round < rounds; round++)
    pairs.push({ ours: await timeOf(ours, forMs), bare: await timeOf(bare, forMs) });
  return {
    ours: figureOf(pairs.map((pair) => pair.ours)),
    bare: figureOf(pairs.map((pair) => pair.bare)),
    ratio: figureOf(pairs.map((pair) => pair.ours / pair.bare)),
  };
}
