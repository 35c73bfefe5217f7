import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SearchError } from '../errors.js';
import { compareReports, comparisonMarkdown, renderComparison } from '../evaluation/compare.js';
import { type EvaluationReport, parseReport } from '../evaluation/evaluation-report.js';
import { REPORT_DATA } from './measured-encoder.js';

/** Flags of `likeness compare`. */
export type CompareFlags = { readonly out?: string };

/** Prints reports side by side as Markdown, and writes the page with their sheets where --out says. Returns the exit code. */
export async function runCompare(paths: readonly string[], flags: CompareFlags): Promise<number> {
  const reports = await Promise.all(paths.map(readReport));
  console.log(comparisonMarkdown(compareReports(reports)));
  if (flags.out !== undefined) await writeFile(flags.out, renderComparison(reports));
  return 0;
}

/** Reads a report.json, or the one in a folder. INVALID_REQUEST where there is none. */
export async function readReport(path: string): Promise<EvaluationReport> {
  const isFolder = await stat(path).then(
    (facts) => facts.isDirectory(),
    () => false, // reading it says what is wrong
  );
  const file = isFolder ? join(path, REPORT_DATA) : path;
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new SearchError('INVALID_REQUEST', `Cannot read ${file}. Give a report.json that \`likeness evaluate\` wrote, or its folder.`, {
      cause,
    });
  });
  return parseReport(text, file);
}
