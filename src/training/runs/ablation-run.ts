/**
 * An ablation: every row trained and measured with one budget, one table at the end. It goes on after a stop, row
 * by row.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openPackedSource, type PackedSource } from '../../datasets/data-sources.js';
import { SearchError } from '../../errors.js';
import { REPORT_DATA, readReport } from '../../evaluation/evaluation-report.js';
import { type EvaluationScope, writeReports } from '../../evaluation/measured-encoder.js';
import { changed } from '../read-recipe.js';
import { checkedRecipe, preprocessingOf, type Recipe } from '../recipe.js';
import { ABLATION_ROWS, type AblationRow } from './ablation.js';
import { BASELINE_ROWS, isBaseline, measureBaseline } from './ablation-baselines.js';
import { type DoneRow, seededName, writeTable } from './ablation-table.js';
import { runTraining, type TrainingRun } from './training-run.js';

/**
 * Settings that all rows share. rows: names separated by commas, by default all; beside: reports of other encoders for
 * the table.
 */
export type Ablation = Pick<
  TrainingRun,
  'engine' | 'threads' | 'checkpointEvery' | 'licence' | 'epochSample' | 'signal' | 'progress'
> & {
  readonly recipe: Recipe;
  readonly rows: string | undefined;
  readonly beside: readonly string[];
  readonly pictures: Parameters<typeof openPackedSource>[0];
  readonly out: string;
  readonly evaluation: EvaluationScope;
};

const ROW_FILE = 'row.json';

/**
 * Trains and evaluates every row in its folder under `out` and writes ablation.md, .json and .html after each. Finished
 * rows are skipped, an interrupted one resumes. Returns the rows; fewer than named where the signal aborted.
 */
export async function runAblation(
  ablation: Ablation,
): Promise<{ readonly done: readonly DoneRow[]; readonly isInterrupted: boolean }> {
  const { recipe: base, out, signal, progress } = ablation;
  const rows = rowsOf(ablation.rows);
  const recipes = rows.map((row) => (isBaseline(row) ? base : rowRecipe(base, row)));
  const preprocessing = preprocessingOf(base);
  const packed = await openPackedSource(ablation.pictures, { preprocessing, progress });
  const beside = await Promise.all(ablation.beside.map(readReport));
  const done: DoneRow[] = [];
  for (const [at, row] of rows.entries()) {
    const recipe = recipes[at]!; // one for each row
    progress.note(`row ${at + 1} of ${rows.length}: ${row.name} (${row.question})`);
    const result = (await doneRow(out, row, recipe)) ?? (await runRow(ablation, packed, row, recipe));
    if (result === undefined) return { done, isInterrupted: true };
    done.push(result);
    await writeTable(out, done, beside);
    if (signal.aborted && at + 1 < rows.length) return { done, isInterrupted: true };
  }
  return { done, isInterrupted: false };
}

function rowsOf(names: string | undefined): readonly AblationRow[] {
  const all = [...BASELINE_ROWS, ...ABLATION_ROWS];
  if (names === undefined) return all;
  return names.split(',').map((given) => {
    const [name = '', seed] = given.trim().split('@');
    const row = all.find((each) => each.name === name);
    if (row !== undefined && seed === undefined) return row;
    if (row !== undefined && !isBaseline(row) && /^\d{1,9}$/.test(seed ?? '')) return reseeded(row, Number(seed));
    throw new SearchError(
      'INVALID_SETTINGS',
      `There is no row ${given}; give some of ${all.map((each) => each.name).join(', ')}.`,
    );
  });
}

/** The row with another seed for weights, order and noise; the measures keep the base seed. */
function reseeded({ name, question, changes }: AblationRow, seed: number): AblationRow {
  return { name: seededName(name, seed), question: `${question} (seed ${seed})`, changes: { ...changes, seed } };
}

function rowRecipe(base: Recipe, row: AblationRow): Recipe {
  const recipe = changed(base, { ...row.changes, name: row.name });
  return checkedRecipe(recipe, `${base.name}, row ${row.name}`);
}

async function runRow(
  ablation: Ablation,
  { source, dataset }: PackedSource,
  row: AblationRow,
  recipe: Recipe,
): Promise<DoneRow | undefined> {
  const { recipe: base, out, pictures, evaluation, threads, ...shared } = ablation;
  const folder = join(out, row.name);
  if (isBaseline(row)) {
    const measures = { ...evaluation, device: 'cpu', threads, seed: base.seed } as const;
    const report = await measureBaseline({ ...shared, row, recipe, folder, pictures, source, measures });
    await writeReports(folder, report);
    return await finished(folder, { row, recipe, report });
  }
  const { outcome, report } = await runTraining({
    ...shared,
    recipe,
    source,
    dataset,
    threads,
    out: folder,
    workFolder: `${folder}.training`,
    name: row.name,
    resume: 'automatic',
    command: `likeness ablate --rows ${row.name} --epochs ${recipe.optimiser.epochs} --seed ${recipe.seed}`,
    evaluation: { ...evaluation, seed: base.seed }, // All rows are measured with the same queries.
  });
  if (outcome.ended === 'interrupted') return undefined;
  return await finished(folder, {
    row,
    recipe,
    report,
    ...(outcome.ended === 'failed' && { failure: outcome.reason }),
  });
}

/** Marks a row as finished. Last, so that a kill before leaves it unfinished. */
async function finished(folder: string, done: DoneRow): Promise<DoneRow> {
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, ROW_FILE),
    JSON.stringify({ recipe: hashOf(done.recipe), failure: done.failure ?? null }),
  );
  return done;
}

/** A row that an earlier run finished with this recipe. */
async function doneRow(out: string, row: AblationRow, recipe: Recipe): Promise<DoneRow | undefined> {
  const text = await readFile(join(out, row.name, ROW_FILE), 'utf8').catch(() => undefined); // not done yet
  if (text === undefined) return undefined;
  const mark = JSON.parse(text) as { readonly recipe: string; readonly failure: string | null }; // written above
  if (mark.recipe !== hashOf(recipe)) {
    throw new SearchError(
      'INVALID_SETTINGS',
      `${join(out, row.name)} was made by another recipe. Give the same flags, or another --out.`,
    );
  }
  if (mark.failure !== null) return { row, recipe, report: undefined, failure: mark.failure };
  return { row, recipe, report: await readReport(join(out, row.name, REPORT_DATA)) };
}

function hashOf(recipe: Recipe): string {
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex');
}
