import { writeFile } from 'node:fs/promises';
import { readReport } from '../evaluation/evaluation-report.js';
import { compareReports, comparisonMarkdown, renderComparison } from '../evaluation/reports/compare.js';

/** Flags of `likeness compare`. */
type CompareFlags = { readonly out?: string };

/**
 * Prints reports side by side as Markdown, and writes the page with their sheets where --out says. Returns the
 * exit code.
 */
export async function runCompare(paths: readonly string[], flags: CompareFlags): Promise<number> {
  const reports = await Promise.all(paths.map(readReport));
  console.log(comparisonMarkdown(compareReports(reports)));
  if (flags.out !== undefined) await writeFile(flags.out, renderComparison(reports));
  return 0;
}
