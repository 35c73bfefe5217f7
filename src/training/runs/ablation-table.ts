/** Writes the table of an ablation as Markdown, JSON and an HTML page. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EvaluationReport } from '../../evaluation/evaluation-report.js';
import { compareReports, comparisonMarkdown, renderComparison } from '../../evaluation/reports/compare.js';
import { smallSheet } from '../../evaluation/reports/drawn-sheets.js';
import type { Recipe } from '../recipe.js';
import type { AblationRow } from './ablation.js';

/** A finished row: its report, or the reason of its failure. */
export type DoneRow = {
  readonly row: AblationRow;
  readonly recipe: Recipe;
  readonly report: EvaluationReport | undefined;
  readonly failure?: string;
};

export type SeedSpread = {
  readonly name: string;
  readonly seeds: number;
  readonly figures: Readonly<Record<string, { readonly mean: number; readonly deviation: number }>>;
};

const SEED_SUFFIX = /\.seed-\d+$/;

export function seededName(name: string, seed: number): string {
  return `${name}.seed-${seed}`;
}

/**
 * Writes ablation.md, ablation.json, ablation.html and sheets/ROW.webp into `out`. beside: reports of other encoders,
 * listed last.
 */
export async function writeTable(
  out: string,
  done: readonly DoneRow[],
  beside: readonly EvaluationReport[],
): Promise<void> {
  const reports = [...done.flatMap(({ report }) => report ?? []), ...beside];
  const comparison = compareReports(reports);
  const spreads = seedSpreads(done);
  const questions = done
    .filter(({ row }) => !SEED_SUFFIX.test(row.name))
    .map(({ row }) => `- **${row.name}**: ${row.question}`);
  const failures = done.flatMap(({ row, failure }) => (failure === undefined ? [] : [`- ${row.name}: ${failure}`]));
  const parts = [
    comparisonMarkdown(comparison),
    ...(spreads.length > 0 ? [spreadMarkdown(spreads)] : []),
    questions.join('\n'),
    ...(failures.length > 0 ? [`Failed:\n${failures.join('\n')}`] : []),
  ];
  await mkdir(join(out, 'sheets'), { recursive: true });
  await writeFile(join(out, 'ablation.md'), `${parts.join('\n\n')}\n`);
  const rows = done.map(({ row, recipe, report, failure }) => {
    const {
      sheets: _pictures,
      map: _map,
      curves: _curves,
      ...figures
    } = report ?? { sheets: [], map: null, curves: [] };
    return { name: row.name, question: row.question, changes: row.changes, recipe, failure: failure ?? null, figures };
  });
  await writeFile(join(out, 'ablation.json'), `${JSON.stringify({ comparison, spreads, rows }, null, 1)}\n`);
  const shown = await Promise.all(reports.map(withSmallSheet));
  await writeFile(join(out, 'ablation.html'), renderComparison(shown));
  for (const { encoder, sheets } of shown)
    for (const { base64 } of sheets)
      await writeFile(join(out, 'sheets', `${encoder.name}.webp`), Buffer.from(base64, 'base64'));
}

/** Mean and sample standard deviation of every row that was trained with more than one seed. */
export function seedSpreads(done: readonly DoneRow[]): readonly SeedSpread[] {
  const names = [...new Set(done.map(({ row }) => row.name.replace(SEED_SUFFIX, '')))];
  return names.flatMap((name) => {
    const reports = done
      .filter(({ row }) => row.name.replace(SEED_SUFFIX, '') === name)
      .flatMap(({ report }) => report ?? []);
    if (reports.length < 2) return [];
    const values = (read: (report: EvaluationReport) => number | undefined): readonly number[] =>
      reports.flatMap((report) => read(report) ?? []);
    const vote = (k: number) => (report: EvaluationReport) =>
      report.classes.find(({ metric }) => metric === 'cosine')?.votes.find((each) => each.k === k)?.accuracy;
    const columns = {
      'kNN 200': values(vote(200)),
      'kNN 20': values(vote(20)),
      'P@10': values((report) => report.classes.find(({ metric }) => metric === 'cosine')?.precisionAt10),
      linear: values((report) => report.probes.find((probe) => probe.name === 'linear')?.accuracy),
    };
    const measured = Object.entries(columns).filter(([, list]) => list.length === reports.length);
    return [
      {
        name,
        seeds: reports.length,
        figures: Object.fromEntries(measured.map(([title, list]) => [title, spreadOf(list)])),
      },
    ];
  });
}

function spreadOf(values: readonly number[]): { readonly mean: number; readonly deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (values.length - 1)) };
}

function spreadMarkdown(spreads: readonly SeedSpread[]): string {
  const titles = Object.keys(spreads[0]?.figures ?? {});
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const share = (value: number): string => (100 * value).toFixed(1);
  const body = spreads.map(({ name, seeds, figures }) => {
    const cells = titles.map(
      (title) => figures[title] && `${share(figures[title].mean)} ± ${share(figures[title].deviation)}`,
    );
    return line([name, String(seeds), ...cells.map((cell) => cell ?? '–')]);
  });
  const head = [line(['over seeds', 'seeds', ...titles]), line(['---', '---:', ...titles.map(() => '---:')])];
  return [...head, ...body].join('\n');
}

/** The report with its first sheet only, at half size. */
async function withSmallSheet(report: EvaluationReport): Promise<EvaluationReport> {
  return { ...report, sheets: await Promise.all(report.sheets.slice(0, 1).map(smallSheet)) };
}
