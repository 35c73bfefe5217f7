/** The training loop. infomax/ defines what a step computes, batches.ts its inputs. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StepProgram, TensorValues } from '../compile/program.js';
import type { PackedDataset } from '../datasets/packed-dataset.js';
import { openBatches, stepsPerEpoch } from './batches.js';
import { readLatestCheckpoint, writeCheckpoint } from './checkpoint.js';
import type { TrainedState } from './encoder-layers.js';
import { appendMetrics, type MetricsLine, readMetrics, rewindMetrics } from './metrics-log.js';
import { learningRateAt, type Recipe } from './recipe.js';
import { LOOK_EVERY_STEPS, type Losses, Pace, RunWatch } from './run-watch.js';
import { requireSameRun } from './same-run.js';
import { type Engine, openStepProgram, trainingProgram } from './training-program.js';

export type TrainOptions = {
  readonly recipe: Recipe;
  readonly dataset: PackedDataset;
  /** Folder for checkpoints and metrics of this run only. */
  readonly folder: string;
  readonly engine: Engine;
  /** automatic: continue from the newest undamaged checkpoint, if there is one. never: delete the folder and start. */
  readonly resume: 'automatic' | 'never';
  /** Checkpoint interval in seconds or steps, besides the one at the end of every epoch. */
  readonly checkpointEvery: { readonly seconds: number; readonly steps?: number };
  /** When aborted, training ends after the current step, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Computes figures to log at the end of an epoch, such as a kNN accuracy. */
  readonly evaluateEpoch?: (trained: TrainedState, epoch: number) => Promise<Readonly<Record<string, number>>>;
  readonly onProgress?: (progress: TrainProgress) => void;
  /** Receives messages for the user: a damaged checkpoint, a resumed run. */
  readonly onNote?: (note: string) => void;
};

/** Progress of a run. epoch: from 1. Losses are of the last step; rates count from the start or resumption. */
export type TrainProgress = {
  readonly step: number;
  readonly steps: number;
  readonly epoch: number;
  readonly epochs: number;
  readonly losses: Losses;
  readonly imagesPerSecond: number;
  readonly secondsLeft: number;
};

/**
 * How a run ended. failed: a loss was not finite or the codes collapsed; `reason` says which, and `trained` is
 * unusable.
 */
export type TrainOutcome = {
  readonly ended: 'finished' | 'interrupted' | 'failed';
  readonly reason: string;
  readonly trained: TrainedState;
  readonly metrics: readonly MetricsLine[];
  readonly engineName: string;
  /** Training time of the run and of those before it that it resumed. */
  readonly seconds: number;
};

export const METRICS_FILE = 'metrics.jsonl';

/**
 * Trains until the recipe's epochs are done, the signal aborts or training fails. A resumed run ends with the same
 * weights, bit for bit on one machine, as one without a stop. INVALID_SETTINGS where there are fewer images than a
 * batch, or the folder holds another run.
 */
export async function train(options: TrainOptions): Promise<TrainOutcome> {
  const { recipe, dataset, folder, engine, signal, onNote } = options;
  const { batchSize, epochs, learningRate, schedule } = recipe.optimiser;
  const metricsFile = join(folder, METRICS_FILE);
  if (options.resume === 'never') await rm(folder, { recursive: true, force: true });
  const former = await readLatestCheckpoint(folder, (name, reason) =>
    onNote?.(`Checkpoint ${name} is refused: ${reason}.`),
  );
  requireSameRun({ recipe, dataset, former });

  const perEpoch = stepsPerEpoch(recipe, dataset.count);
  const steps = perEpoch * epochs;
  const { definition, initialState } = trainingProgram(recipe);
  const { program, engineName } = await openStepProgram(definition, engine);
  program.writeState(former?.state ?? initialState);
  let step = former?.step ?? 0;
  if (step > 0) onNote?.(`Going on after step ${step} of ${steps}.`);
  const earlier = await rewindMetrics(metricsFile, step);
  const pace = new Pace({ firstStep: step, steps, batchSize, formerSeconds: former?.seconds ?? 0 });
  const save = (): Promise<string> =>
    writeCheckpoint(folder, {
      step,
      recipe,
      data: dataset.fingerprint,
      seconds: pace.seconds,
      state: program.readState(),
    });
  const finishEpoch = async (): Promise<void> => {
    const figures = (await options.evaluateEpoch?.({ step, state: program.readState() }, step / perEpoch)) ?? {};
    await appendMetrics(metricsFile, {
      kind: 'epoch',
      step,
      epoch: step / perEpoch,
      seconds: pace.seconds,
      ...figures,
    });
  };
  const end = async (ended: TrainOutcome['ended'], reason: string): Promise<TrainOutcome> => {
    const trained = { step, state: program.readState() };
    return { ended, reason, trained, metrics: await readMetrics(metricsFile), engineName, seconds: pace.seconds };
  };

  const batches = openBatches(recipe, dataset, step);
  const watch = new RunWatch(recipe.network.codeSize);
  let lastSave = { step, seconds: pace.seconds };
  try {
    // A run killed between an epoch's checkpoint and its figures computes them now.
    const isOwed =
      step > 0 && step % perEpoch === 0 && !earlier.some((line) => line.kind === 'epoch' && line.step === step);
    if (isOwed) await finishEpoch();

    while (step < steps) {
      const feeds = await batches.next();
      const rate = learningRateAt({ schedule, learningRate, step, steps });
      const outputs = await program.run({ ...feeds, learningRate: Float32Array.of(rate) });
      step++;

      const losses = lossesOf(outputs);
      const fault = watch.look(losses, outputs.means as Float32Array); // float32, as the program declares
      if (fault !== undefined) return await end('failed', `Training stopped after step ${step}: ${fault}`);
      const isEpochEnd = step % perEpoch === 0;
      if (step === 1 || isEpochEnd || step % LOOK_EVERY_STEPS === 0) {
        const epoch = Math.ceil(step / perEpoch);
        const { imagesPerSecond } = pace.at(step);
        await appendMetrics(metricsFile, {
          kind: 'steps',
          step,
          epoch,
          learningRate: rate,
          imagesPerSecond,
          ...watch.means(),
        });
      }
      options.onProgress?.({ step, steps, epoch: Math.ceil(step / perEpoch), epochs, losses, ...pace.at(step) });

      // ONNX Runtime blocks this thread: signals are only handled in a turn of the event loop.
      await new Promise(setImmediate);
      const isDue =
        pace.seconds - lastSave.seconds >= options.checkpointEvery.seconds ||
        step - lastSave.step >= (options.checkpointEvery.steps ?? Number.POSITIVE_INFINITY);
      if (isEpochEnd || isDue || signal?.aborted) {
        await save();
        lastSave = { step, seconds: pace.seconds };
      }
      if (isEpochEnd) await pace.pausedFor(finishEpoch);
      if (signal?.aborted && step < steps)
        return await end('interrupted', `Stopped after step ${step} of ${steps}; run it again to go on.`);
    }
    return await end('finished', `${steps} steps, ${epochs} epochs.`);
  } finally {
    await batches.close();
    await program.close();
  }
}

function lossesOf(outputs: Awaited<ReturnType<StepProgram['run']>>): Losses {
  const scalar = (values: TensorValues | undefined): number => values?.[0] ?? Number.NaN;
  return {
    loss: scalar(outputs.loss),
    global: scalar(outputs.global),
    local: scalar(outputs.local),
    prior: scalar(outputs.prior),
    ...(outputs.reconstruction !== undefined && { reconstruction: scalar(outputs.reconstruction) }),
  };
}
