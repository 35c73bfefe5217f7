/** `likeness ablate`: the same budget for every switch of the method, one table at the end; it goes on after a stop, row by row. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SearchError } from '../errors.js';
import { ABLATION_ROWS, type AblationRow } from '../training/ablation.js';
import type { PackedDataset } from '../training/packed-dataset.js';
import { changed } from '../training/read-recipe.js';
import { checkedRecipe, preprocessingOf, type Recipe } from '../training/recipe.js';
import { BASELINE_ROWS, isBaseline, measureBaseline } from './ablation-baselines.js';
import { type DoneRow, seededName, writeTable } from './ablation-table.js';
import { readReport } from './compare.js';
import type { DataSource } from './data-sources.js';
import { type Decoding, openDecoding, REPORT_DATA, writeReports } from './measured-encoder.js';
import { openPackedSource } from './packed-source.js';
import { checkpointsOf, engineOf, interruptible, measuresOf, recipeOf, type TrainFlags } from './train.js';
import { openTrainingDisplay, type TrainingDisplay } from './training-display.js';
import { runTraining } from './training-run.js';

/** Flags of `likeness ablate`: those of `train`, and which rows. beside: reports of other encoders to stand in the table. */
export type AblateFlags = Omit<TrainFlags, 'resume' | 'evaluation'> & { readonly rows?: string; readonly beside?: readonly string[] };

const ROW_FILE = 'row.json';
const INTERRUPTED = 130;

/**
 * Trains and evaluates every row in its folder under --out and writes ablation.md, .json and .html after each. Rows that are done are
 * passed over, one under way goes on. Returns the exit code: 0 done, 2 some rows failed to train (the table says which), 130 interrupted.
 */
export async function runAblate(flags: AblateFlags): Promise<number> {
  const base = await recipeOf(flags);
  const rows = rowsOf(flags.rows);
  const recipes = new Map(rows.map((row) => [row.name, isBaseline(row) ? base : rowRecipe(base, row)]));
  const display = openTrainingDisplay();
  const decoding = openDecoding(preprocessingOf(base));
  const interruption = interruptible(display);
  try {
    const { out } = flags;
    const { source, dataset } = await openPackedSource(flags, { preprocessing: preprocessingOf(base), decode: decoding.decode, display });
    const beside = await Promise.all((flags.beside ?? []).map(readReport));
    const done: DoneRow[] = [];
    for (const [at, row] of rows.entries()) {
      const recipe = recipes.get(row.name)!; // one for each row, above
      display.note(`row ${at + 1} of ${rows.length}: ${row.name} (${row.question})`);
      const request = {
        flags,
        row,
        recipe,
        seed: base.seed,
        source,
        dataset,
        decode: decoding.decode,
        display,
        signal: interruption.signal,
      };
      const result = (await doneRow(out, row, recipe)) ?? (await workRow(request));
      if (result === undefined) return INTERRUPTED;
      done.push(result);
      await writeTable(out, done, beside);
      if (interruption.signal.aborted && at + 1 < rows.length) return INTERRUPTED;
    }
    console.log(await readFile(join(out, 'ablation.md'), 'utf8'));
    return done.some((row) => row.report === undefined) ? 2 : 0;
  } finally {
    interruption.close();
    display.close();
    await decoding.close();
  }
}

function rowsOf(names: string | undefined): readonly AblationRow[] {
  const all = [...BASELINE_ROWS, ...ABLATION_ROWS];
  if (names === undefined) return all;
  return names.split(',').map((given) => {
    const [name = '', seed] = given.trim().split('@');
    const row = all.find((each) => each.name === name);
    if (row !== undefined && seed === undefined) return row;
    if (row !== undefined && !isBaseline(row) && /^\d{1,9}$/.test(seed ?? '')) return reseeded(row, Number(seed));
    throw new SearchError('INVALID_SETTINGS', `There is no row ${given}; give some of ${all.map((each) => each.name).join(', ')}.`);
  });
}

/** The row with other weights to begin with, another order and other noise; it is measured with the same queries. */
function reseeded({ name, question, changes }: AblationRow, seed: number): AblationRow {
  return { name: seededName(name, seed), question: `${question} (seed ${seed})`, changes: { ...changes, seed } };
}

function rowRecipe(base: Recipe, row: AblationRow): Recipe {
  const recipe = changed(base, { ...row.changes, name: row.name });
  return checkedRecipe(recipe, `${base.name}, row ${row.name}`);
}

async function workRow(request: {
  readonly flags: AblateFlags;
  readonly row: AblationRow;
  readonly recipe: Recipe;
  /** Of the measures: the same for all rows. */
  readonly seed: number;
  readonly source: DataSource;
  readonly dataset: PackedDataset;
  readonly decode: Decoding['decode'];
  readonly display: TrainingDisplay;
  readonly signal: AbortSignal;
}): Promise<DoneRow | undefined> {
  const { flags, row, recipe, seed, source, dataset, decode, display, signal } = request;
  const { threads } = flags;
  const folder = join(flags.out, row.name);
  if (isBaseline(row)) {
    const measures = { ...measuresOf(flags), device: 'cpu', threads, seed } as const;
    const report = await measureBaseline({ row, recipe, folder, flags, source, decode, display, measures });
    await writeReports(folder, report);
    return finished(folder, { row, recipe, report });
  }
  const { outcome, report } = await runTraining({
    recipe,
    source,
    dataset,
    decode,
    out: folder,
    workFolder: `${folder}.training`,
    name: row.name,
    engine: engineOf(flags),
    threads,
    resume: 'automatic',
    checkpointEvery: checkpointsOf(flags),
    licence: flags.licence,
    command: `likeness ablate --rows ${row.name} --epochs ${recipe.optimiser.epochs} --seed ${recipe.seed}`,
    epochSample: flags.epochSample,
    evaluation: { ...measuresOf(flags), seed },
    signal,
    display,
  });
  if (outcome.ended === 'interrupted') return undefined;
  return finished(folder, { row, recipe, report, ...(outcome.ended === 'failed' && { failure: outcome.reason }) });
}

/** Marks a row as done, last of all. */
async function finished(folder: string, done: DoneRow): Promise<DoneRow> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, ROW_FILE), JSON.stringify({ recipe: hashOf(done.recipe), failure: done.failure ?? null }));
  return done;
}

/** The row as it was finished before, by this recipe. */
async function doneRow(out: string, row: AblationRow, recipe: Recipe): Promise<DoneRow | undefined> {
  const text = await readFile(join(out, row.name, ROW_FILE), 'utf8').catch(() => undefined); // not done yet
  if (text === undefined) return undefined;
  const mark = JSON.parse(text) as { readonly recipe: string; readonly failure: string | null }; // written above
  if (mark.recipe !== hashOf(recipe)) {
    throw new SearchError('INVALID_SETTINGS', `${join(out, row.name)} was made by another recipe. Give the same flags, or another --out.`);
  }
  if (mark.failure !== null) return { row, recipe, report: undefined, failure: mark.failure };
  return { row, recipe, report: await readReport(join(out, row.name, REPORT_DATA)) };
}

function hashOf(recipe: Recipe): string {
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex');
}
