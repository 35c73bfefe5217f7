import { basename } from 'node:path';
import { atMost, type DataSource, openPackedSource } from '../datasets/data-sources.js';
import { addToModelCard, requirePlaceFor } from '../encoder/saved-encoder.js';
import { SearchError } from '../errors.js';
import type { EvaluationReport } from '../evaluation/evaluation-report.js';
import { type EvaluationScope, measureSavedEncoder, REPORT_PAGE, scopeOf } from '../evaluation/measured-encoder.js';
import { compareReports, comparisonMarkdown } from '../evaluation/reports/compare.js';
import { findInPackage } from '../package-files.js';
import { SETTINGS } from '../settings.js';
import { readRecipe } from '../training/read-recipe.js';
import { checkedRecipe, preprocessingOf, type Recipe } from '../training/recipe.js';
import { runAdapt } from '../training/runs/adapt-run.js';
import { runClosedForm } from '../training/runs/closed-form-run.js';
import { requireOwnPlace, runTraining, workFolderOf } from '../training/runs/training-run.js';
import type { Engine } from '../training/training-program.js';
import { fitScores } from './fit-scores.js';
import { openTerminalProgress, type TerminalProgress } from './terminal-progress.js';

/** Flags of `likeness train`, and those that `ablate` shares. */
export type TrainFlags = {
  readonly data: string;
  readonly out: string;
  readonly recipe: string;
  readonly epochs?: number;
  readonly seed?: number;
  readonly engine: 'onnx' | 'tensorflow';
  readonly device: Extract<Engine, { kind: 'onnx' }>['provider'];
  readonly threads?: number;
  readonly resume: 'automatic' | 'never';
  readonly checkpointMinutes: number;
  readonly checkpointSteps?: number;
  readonly heldOut: number;
  readonly trainLimit?: number;
  readonly cache: string;
  readonly licence: string;
  readonly epochSample: number;
  readonly evaluation: boolean;
  /** Of recipe adapt: the encoder to learn on top of, values of its program, an encoder to join. */
  readonly backbone?: string;
  readonly taps?: readonly string[];
  readonly also?: string;
} & EvaluationScope;

/** An encoder in its folder: what it was made of, and its report, where it was measured. */
type Made = {
  readonly source: DataSource;
  readonly report: EvaluationReport | undefined;
  /** What its fit found out, Markdown. */
  readonly summary?: string;
};

/** With fewer held-out pictures a comparison says nothing; with more it says no more. */
const COMPARED_MIN = 10;
const COMPARED_MAX = 2000;
const COMPARISON_SEED = 2018;
const COMPARED = ['copies R@1', 'copies µAP', '1-NN', 'MAP@R', 'hubness', 'dimensions', 'ms/image'];
/** Of these, the columns by which an encoder is called better. */
const DECISIVE = ['copies R@1', 'MAP@R'];

/** Exit code of a run that was stopped and can go on. */
export const INTERRUPTED = 130;

/**
 * Trains an encoder on unlabelled pictures, saves it with its score curves, reports on it and compares it with the
 * default encoder. Returns the exit code: 0 done, 1 training failed, 2 done but some files could not be read, 130
 * interrupted (the same flags go on from there).
 */
export async function runTrain(flags: TrainFlags): Promise<number> {
  const { method, recipe } = await readRecipe(flags.recipe);
  requireBackbone(flags, method === 'backbone');
  if (method === 'gradients') requireOwnPlace(flags.out);
  await requirePlaceFor(flags.out, method === 'gradients');
  const progress = openTerminalProgress();
  try {
    const made =
      method === 'backbone'
        ? await runTrainOnBackbone(flags, recipe, progress)
        : method === 'closed form'
          ? await runTrainClosedForm(flags, recipe, progress)
          : await runTrainByGradients(flags, withFlags(recipe, flags), progress);
    if (typeof made === 'number') return made;
    const { out, threads } = flags;
    const { source, report, summary } = made;
    await fitScores({ model: out, source, threads, progress });
    const comparison = report && (await comparedWithDefault(flags, source, progress));
    if (comparison !== undefined) await addToModelCard(out, `## Against the default encoder\n\n${comparison}`);
    progress.close();
    if (summary !== undefined) console.log(`${summary}\n`);
    console.log(`${out}: an encoder that \`likeness serve --model ${out}\` serves.`);
    if (comparison !== undefined) console.log(`${out}/${REPORT_PAGE} says how good it is.\n\n${comparison}`);
    return progress.exitCode();
  } finally {
    progress.close();
  }
}

/** INVALID_SETTINGS where the flags of recipe adapt and the recipe do not go together. */
function requireBackbone({ recipe, backbone, taps, also }: TrainFlags, isWanted: boolean): void {
  if (isWanted && backbone === undefined)
    throw new SearchError('INVALID_SETTINGS', `Recipe ${recipe} needs --backbone, the folder of a saved encoder.`);
  if (!isWanted && (backbone ?? taps ?? also) !== undefined)
    throw new SearchError('INVALID_SETTINGS', '--backbone, --taps and --also belong to --recipe adapt.');
}

async function runTrainOnBackbone(
  flags: TrainFlags,
  recipe: Parameters<typeof runAdapt>[0]['recipe'],
  progress: TerminalProgress,
): Promise<Made> {
  const { out, seed, backbone = '', taps, also } = flags;
  const more = [
    ` --backbone ${basename(backbone)}`,
    ...(taps === undefined ? [] : [` --taps ${taps.join(',')}`]),
    ...(also === undefined ? [] : [` --also ${basename(also)}`]),
  ];
  return await runAdapt({
    recipe,
    ...(seed !== undefined && { seed }),
    ...{ backbone, taps, also },
    pictures: flags,
    out,
    name: encoderName(out),
    licence: flags.licence,
    command: commandOf(flags, more.join('')),
    evaluation: flags.evaluation ? scopeOf(flags) : undefined,
    threads: flags.threads,
    progress,
  });
}

async function runTrainClosedForm(
  flags: TrainFlags,
  recipe: Parameters<typeof runClosedForm>[0]['recipe'],
  progress: TerminalProgress,
): Promise<Made> {
  const { out, seed } = flags;
  return await runClosedForm({
    recipe,
    ...(seed !== undefined && { seed }),
    pictures: flags,
    out,
    name: encoderName(out),
    licence: flags.licence,
    command: commandOf(flags),
    evaluation: flags.evaluation ? scopeOf(flags) : undefined,
    threads: flags.threads,
    progress,
  });
}

/** Returns the exit code where no encoder was made. */
async function runTrainByGradients(
  flags: TrainFlags,
  recipe: Recipe,
  progress: TerminalProgress,
): Promise<Made | number> {
  const { out } = flags;
  const preprocessing = preprocessingOf(recipe);
  const interruption = interruptible(progress);
  try {
    const { source, dataset } = await openPackedSource(flags, { preprocessing, progress });
    const { side } = recipe.input;
    progress.note(
      `${dataset.count} images of ${side} x ${side}; recipe ${recipe.name}; checkpoints in ${workFolderOf(out)}`,
    );
    const { outcome, report } = await runTraining({
      recipe,
      source,
      dataset,
      out,
      workFolder: workFolderOf(out),
      name: encoderName(out),
      engine: engineOf(flags),
      threads: flags.threads,
      resume: flags.resume,
      checkpointEvery: checkpointsOf(flags),
      licence: flags.licence,
      command: commandOf(flags, ` --epochs ${recipe.optimiser.epochs} --seed ${recipe.seed}`),
      epochSample: flags.epochSample,
      evaluation: flags.evaluation ? scopeOf(flags) : undefined,
      signal: interruption.signal,
      progress,
    });
    dataset.close();
    if (outcome.ended === 'interrupted') return INTERRUPTED;
    if (outcome.ended === 'failed') return 1;
    return { source, report };
  } finally {
    interruption.close();
  }
}

/** The recipe with what --epochs and --seed say. */
export function withFlags(recipe: Recipe, flags: Pick<TrainFlags, 'recipe' | 'epochs' | 'seed'>): Recipe {
  const { epochs = recipe.optimiser.epochs, seed = recipe.seed } = flags;
  return checkedRecipe({ ...recipe, seed, optimiser: { ...recipe.optimiser, epochs } }, flags.recipe);
}

/** The command that makes the same encoder again, for its card. */
function commandOf({ data, out, recipe, heldOut }: TrainFlags, more = ''): string {
  return `likeness train --data ${basename(data)} --out ${basename(out)} --recipe ${basename(recipe)}${more} --held-out ${heldOut}`;
}

/**
 * A table of the new encoder and the default one in Markdown, each measured on the held-out pictures alone, which the
 * new one has not seen; and a sentence where the default is better.
 */
async function comparedWithDefault(flags: TrainFlags, source: DataSource, progress: TerminalProgress): Promise<string> {
  const { queries } = source;
  if (queries === undefined || queries.count < COMPARED_MIN)
    return `Not compared with the default encoder: fewer than ${COMPARED_MIN} pictures were held out (--held-out).`;
  const measured = {
    ...scopeOf(flags),
    map: false,
    device: 'cpu',
    threads: flags.threads,
    seed: COMPARISON_SEED,
    progress,
    source: { ...source, database: atMost(queries, COMPARED_MAX), queries: undefined },
  } as const;
  const own = await measureSavedEncoder({ ...measured, model: flags.out });
  const standard = await measureSavedEncoder({ ...measured, model: findInPackage(SETTINGS.model.default) });
  const comparison = compareReports([own, standard], COMPARED);
  const [ours, theirs] = comparison.rows.map(({ cells }) => cells);
  const lost = comparison.columns.filter(
    (title, at) => DECISIVE.includes(title) && theirs![at]!.isBest && !ours![at]!.isBest,
  );
  const verdict = `The default encoder, ${standard.encoder.name}, is better by ${lost.join(' and ')}: serve it (without --model), or train on more pictures.`;
  return `${own.data.queryImages} held-out pictures, each searched among the others:\n\n${comparisonMarkdown(comparison)}${lost.length > 0 ? `\n${verdict}\n` : ''}`;
}

/** The engine of --engine, --device and --threads. */
export function engineOf(flags: Pick<TrainFlags, 'engine' | 'device' | 'threads'>): Engine {
  if (flags.engine === 'tensorflow') return { kind: 'tensorflow' };
  return { kind: 'onnx', provider: flags.device, ...(flags.threads !== undefined && { threads: flags.threads }) };
}

/** How often checkpoints are written, besides at the end of an epoch. */
export function checkpointsOf(flags: Pick<TrainFlags, 'checkpointMinutes' | 'checkpointSteps'>): {
  seconds: number;
  steps?: number;
} {
  return {
    seconds: 60 * flags.checkpointMinutes,
    ...(flags.checkpointSteps !== undefined && { steps: flags.checkpointSteps }),
  };
}

/** A signal that the first Ctrl-C (or SIGTERM) aborts; a second one ends the process as usual. */
export function interruptible(progress: TerminalProgress): {
  readonly signal: AbortSignal;
  readonly close: () => void;
} {
  const stop = new AbortController();
  const onSignal = (): void => {
    progress.note('Stopping after this step, with a checkpoint. Once more to stop at once.');
    stop.abort();
    close();
  };
  const close = (): void => {
    process.removeListener('SIGINT', onSignal);
    process.removeListener('SIGTERM', onSignal);
  };
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  return { signal: stop.signal, close };
}

/** The name of an encoder from its folder's, as manifests allow it. */
export function encoderName(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 100);
  return name === '' ? 'encoder' : name;
}
