/** One training from recipe to measured encoder: `train` does it once, `ablate` once a row. */
import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataSource, Progress } from '../../datasets/data-sources.js';
import type { PackedDataset } from '../../datasets/packed-dataset.js';
import { SearchError } from '../../errors.js';
import type { EvaluationReport } from '../../evaluation/evaluation-report.js';
import { type EvaluationScope, reportOn } from '../../evaluation/measured-encoder.js';
import type { MetricsLine } from '../metrics-log.js';
import type { Recipe } from '../recipe.js';
import { saveTrainedEncoder } from '../save-trained-encoder.js';
import { METRICS_FILE, type TrainOutcome, type TrainProgress, train } from '../train.js';
import type { Engine } from '../training-program.js';
import { epochMeasures } from './epoch-measures.js';

/** Where a training reports how far it is. */
export type TrainingProgress = Progress & { readonly step: (progress: TrainProgress) => void };

/** What to train and measure, and where to put it. */
export type TrainingRun = {
  readonly recipe: Recipe;
  readonly source: DataSource;
  readonly dataset: PackedDataset;
  /** Folder of the saved encoder. */
  readonly out: string;
  /** Folder of checkpoints and metrics. */
  readonly workFolder: string;
  readonly name: string;
  readonly engine: Engine;
  readonly threads: number | undefined;
  readonly resume: 'automatic' | 'never';
  readonly checkpointEvery: { readonly seconds: number; readonly steps?: number };
  readonly licence: string;
  readonly command: string;
  /** Images measured after every epoch; 0 measures none. */
  readonly epochSample: number;
  /** How the encoder is evaluated at the end; undefined leaves that out. seed: the recipe's if not given. */
  readonly evaluation: (EvaluationScope & { readonly seed?: number }) | undefined;
  readonly signal: AbortSignal;
  readonly progress: TrainingProgress;
};

/** Folder of the checkpoints of an encoder at `out`. */
export function workFolderOf(out: string): string {
  return `${out.replace(/[/\\]+$/, '')}.training`;
}

/** INVALID_SETTINGS where `out` exists and no training of it was interrupted. */
export function requireOwnPlace(out: string): void {
  if (!existsSync(out) || existsSync(workFolderOf(out))) return;
  throw new SearchError(
    'INVALID_SETTINGS',
    `${out} exists and no training of it is under way here. Choose another --out, or remove it.`,
  );
}

/** Trains, saves, evaluates. The report is undefined where the run did not finish, or without `evaluation`. */
export async function runTraining(
  run: TrainingRun,
): Promise<{ readonly outcome: TrainOutcome; readonly report: EvaluationReport | undefined }> {
  const { recipe, source, dataset, out, workFolder, name, engine, threads, progress, epochSample, evaluation } = run;
  const outcome = await train({
    recipe,
    dataset,
    folder: workFolder,
    engine,
    resume: run.resume,
    checkpointEvery: run.checkpointEvery,
    signal: run.signal,
    onProgress: progress.step,
    onNote: progress.note,
    ...(epochSample > 0 && { evaluateEpoch: notedMeasures(run) }),
  });
  progress.note(outcome.reason);
  if (outcome.ended !== 'finished') return { outcome, report: undefined };
  await saveTrainedEncoder({
    recipe,
    outcome,
    folder: out,
    name,
    facts: { data: source.description, images: dataset.count, licence: run.licence, command: run.command },
    replace: true,
  });
  await copyFile(join(workFolder, METRICS_FILE), join(out, METRICS_FILE));
  if (evaluation === undefined) return { outcome, report: undefined };
  const report = await reportOn({
    model: out,
    source,
    device: 'cpu',
    threads,
    seed: recipe.seed,
    ...evaluation,
    curves: curvesOf(outcome.metrics),
    progress,
  });
  return { outcome, report };
}

function notedMeasures(run: TrainingRun): NonNullable<Parameters<typeof train>[0]['evaluateEpoch']> {
  const measure = epochMeasures({
    recipe: run.recipe,
    dataset: run.dataset,
    sample: run.epochSample,
    threads: run.threads,
  });
  return async (trained, epoch) => {
    const figures = await measure(trained);
    const shown = Object.entries(figures).map(
      ([name, value]) => `${name} ${value < 1 ? `${(100 * value).toFixed(1)} %` : value.toFixed(1)}`,
    );
    run.progress.note(`epoch ${epoch}: ${shown.join(', ')}`);
    return figures;
  };
}

/**
 * Training curves for the report: losses over steps, then what was measured after epochs, each measure in a plot of
 * its own.
 */
function curvesOf(metrics: readonly MetricsLine[]): EvaluationReport['curves'] {
  const points = (kind: MetricsLine['kind'], name: string): [number, number][] =>
    metrics.flatMap((line) =>
      line.kind === kind && typeof line[name] === 'number' ? [[line.step, line[name]] as [number, number]] : [],
    );
  const named = (kind: MetricsLine['kind'], wanted: RegExp): string[] => [
    ...new Set(
      metrics
        .filter((line) => line.kind === kind)
        .flatMap((line) => Object.keys(line).filter((name) => wanted.test(name))),
    ),
  ];
  const plots = [
    { kind: 'steps', axis: 'loss', wanted: /^(loss|global|local|prior|reconstruction)$/ },
    { kind: 'epoch', axis: 'kNN accuracy', wanted: /^kNN200 / },
    { kind: 'epoch', axis: 'linear probe', wanted: /^linear / },
    { kind: 'epoch', axis: 'RankMe', wanted: /^rankMe / },
  ] as const;
  return plots
    .flatMap(({ kind, axis, wanted }) =>
      named(kind, wanted).map((name) => ({ name, axis, points: points(kind, name) })),
    )
    .filter((curve) => curve.points.length > 1);
}
