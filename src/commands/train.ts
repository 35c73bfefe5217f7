import { basename } from 'node:path';
import { readRecipe } from '../training/read-recipe.js';
import { checkedRecipe, preprocessingOf, type Recipe } from '../training/recipe.js';
import type { Engine } from '../training/training-program.js';
import { type MeasureFlags, openDecoding, REPORT_PAGE } from './measured-encoder.js';
import { openPackedSource } from './packed-source.js';
import { closedFormRecipe, runTrainClosedForm } from './train-closed-form.js';
import { openTrainingDisplay, type TrainingDisplay } from './training-display.js';
import { requireOwnPlace, runTraining, workFolderOf } from './training-run.js';

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
} & MeasureFlags;

/** Exit code of a run that was stopped and can go on. */
const INTERRUPTED = 130;

/**
 * Trains an encoder on unlabelled pictures, saves it and reports on it. Run again with the same flags it goes on where it was stopped. Returns
 * the exit code: 0 done, 1 training failed, 2 done but some files could not be read, 130 interrupted.
 */
export async function runTrain(flags: TrainFlags): Promise<number> {
  const closedForm = await closedFormRecipe(flags.recipe);
  if (closedForm !== undefined) return runTrainClosedForm(flags, closedForm);
  requireOwnPlace(flags.out);
  const recipe = await recipeOf(flags);
  const display = openTrainingDisplay();
  const decoding = openDecoding(preprocessingOf(recipe));
  const interruption = interruptible(display);
  try {
    const { data, out } = flags;
    const { source, dataset } = await openPackedSource(flags, { preprocessing: preprocessingOf(recipe), decode: decoding.decode, display });
    display.note(
      `${dataset.count} images of ${recipe.input.side} x ${recipe.input.side}; recipe ${recipe.name}; checkpoints in ${workFolderOf(out)}`,
    );
    const { outcome, report } = await runTraining({
      recipe,
      source,
      dataset,
      decode: decoding.decode,
      out,
      workFolder: workFolderOf(out),
      name: encoderName(out),
      engine: engineOf(flags),
      threads: flags.threads,
      resume: flags.resume,
      checkpointEvery: checkpointsOf(flags),
      licence: flags.licence,
      command: `likeness train --data ${basename(data)} --out ${basename(out)} --recipe ${basename(flags.recipe)} --epochs ${recipe.optimiser.epochs} --seed ${recipe.seed}`,
      epochSample: flags.epochSample,
      evaluation: flags.evaluation ? measuresOf(flags) : undefined,
      signal: interruption.signal,
      display,
    });
    dataset.close();
    if (outcome.ended === 'interrupted') return INTERRUPTED;
    if (outcome.ended === 'failed') return 1;
    console.log(`${out}: an encoder that \`likeness serve --model ${out}\` serves.`);
    if (report !== undefined) console.log(`${out}/${REPORT_PAGE} says how good it is.`);
    return dataset.skipped.length > 0 ? 2 : 0;
  } finally {
    interruption.close();
    display.close();
    await decoding.close();
  }
}

/** The recipe of --recipe with what --epochs and --seed say. */
export async function recipeOf(flags: Pick<TrainFlags, 'recipe' | 'epochs' | 'seed'>): Promise<Recipe> {
  const recipe = await readRecipe(flags.recipe);
  const { epochs = recipe.optimiser.epochs, seed = recipe.seed } = flags;
  return checkedRecipe({ ...recipe, seed, optimiser: { ...recipe.optimiser, epochs } }, flags.recipe);
}

/** The engine of --engine, --device and --threads. */
export function engineOf(flags: Pick<TrainFlags, 'engine' | 'device' | 'threads'>): Engine {
  if (flags.engine === 'tensorflow') return { kind: 'tensorflow' };
  return { kind: 'onnx', provider: flags.device, ...(flags.threads !== undefined && { threads: flags.threads }) };
}

/** How often checkpoints are written, besides at the end of an epoch. */
export function checkpointsOf(flags: Pick<TrainFlags, 'checkpointMinutes' | 'checkpointSteps'>): { seconds: number; steps?: number } {
  return { seconds: 60 * flags.checkpointMinutes, ...(flags.checkpointSteps !== undefined && { steps: flags.checkpointSteps }) };
}

/** How much is measured at the end. */
export function measuresOf({ limit, queryLimit, probes, copies, map }: MeasureFlags): MeasureFlags {
  return { limit, probes, copies, map, ...(queryLimit !== undefined && { queryLimit }) };
}

/** A signal that the first Ctrl-C (or SIGTERM) aborts; a second one ends the process as usual. */
export function interruptible(display: TrainingDisplay): { readonly signal: AbortSignal; readonly close: () => void } {
  const stop = new AbortController();
  const onSignal = (): void => {
    display.note('Stopping after this step, with a checkpoint. Once more to stop at once.');
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

/** A name that a manifest takes, from a folder's. */
export function encoderName(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 100);
  return name === '' ? 'encoder' : name;
}
