/** One training from recipe to measured encoder: what `train` does once and `ablate` once a row. */
import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SearchError } from '../errors.js';
import type { EvaluationReport } from '../evaluation/evaluation-report.js';
import type { MetricsLine } from '../training/metrics-log.js';
import type { PackedDataset } from '../training/packed-dataset.js';
import type { Recipe } from '../training/recipe.js';
import { saveTrainedEncoder } from '../training/save-trained-encoder.js';
import { METRICS_FILE, type TrainOutcome, train } from '../training/train.js';
import type { Engine } from '../training/training-program.js';
import type { DataSource } from './data-sources.js';
import { epochMeasures } from './epoch-measures.js';
import { type Decoding, figuresMarkdown, type MeasureFlags, measureSavedEncoder, writeReports } from './measured-encoder.js';
import type { TrainingDisplay } from './training-display.js';

/** What to train and measure, and where to put it. */
export type TrainingRun = {
  readonly recipe: Recipe;
  readonly source: DataSource;
  readonly dataset: PackedDataset;
  readonly decode: Decoding['decode'];
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
  readonly evaluation: (MeasureFlags & { readonly seed?: number }) | undefined;
  readonly signal: AbortSignal;
  readonly display: TrainingDisplay;
};

/** Where the checkpoints of an encoder at `out` are kept. */
export function workFolderOf(out: string): string {
  return `${out.replace(/[/\\]+$/, '')}.training`;
}

/** Refuses to take the place of an encoder that no run of ours has begun: INVALID_SETTINGS. */
export function requireOwnPlace(out: string): void {
  if (!existsSync(out) || existsSync(workFolderOf(out))) return;
  throw new SearchError('INVALID_SETTINGS', `${out} exists and no training of it is under way here. Choose another --out, or remove it.`);
}

/** Trains, saves, evaluates, reports. The report is undefined where the run was interrupted or failed, or no evaluation was wanted. */
export async function runTraining(
  run: TrainingRun,
): Promise<{ readonly outcome: TrainOutcome; readonly report: EvaluationReport | undefined }> {
  const { recipe, source, dataset, out, workFolder, name, engine, threads, display, epochSample, evaluation } = run;
  const outcome = await train({
    recipe,
    dataset,
    folder: workFolder,
    engine,
    resume: run.resume,
    checkpointEvery: run.checkpointEvery,
    signal: run.signal,
    onProgress: display.progress,
    onNote: display.note,
    ...(epochSample > 0 && { evaluateEpoch: measuredAloud(run) }),
  });
  display.note(outcome.reason);
  if (outcome.ended !== 'finished') return { outcome, report: undefined };

  const save = (figures?: string) =>
    saveTrainedEncoder({
      recipe,
      outcome,
      folder: out,
      name,
      facts: {
        data: source.description,
        images: dataset.count,
        licence: run.licence,
        command: run.command,
        ...(figures !== undefined && { figures }),
      },
      replace: true,
    });
  await save();
  if (evaluation === undefined) return { outcome, report: undefined };
  const report = await measureSavedEncoder({
    model: out,
    source,
    decode: run.decode,
    device: 'cpu',
    threads,
    seed: recipe.seed,
    ...evaluation,
    curves: curvesOf(outcome.metrics),
    onProgress: display.stage,
  });
  await save(figuresMarkdown(report));
  await writeReports(out, report);
  await copyFile(join(workFolder, METRICS_FILE), join(out, METRICS_FILE));
  return { outcome, report };
}

function measuredAloud(run: TrainingRun): NonNullable<Parameters<typeof train>[0]['evaluateEpoch']> {
  const measure = epochMeasures({ recipe: run.recipe, dataset: run.dataset, sample: run.epochSample, threads: run.threads });
  return async (trained, epoch) => {
    const figures = await measure(trained);
    const shown = Object.entries(figures).map(
      ([name, value]) => `${name} ${value < 1 ? `${(100 * value).toFixed(1)} %` : value.toFixed(1)}`,
    );
    run.display.note(`epoch ${epoch}: ${shown.join(', ')}`);
    return figures;
  };
}

/** Training curves for the report: losses over steps, then whatever was measured after epochs, kNN and RankMe each in a plot of its own. */
function curvesOf(metrics: readonly MetricsLine[]): EvaluationReport['curves'] {
  const points = (kind: MetricsLine['kind'], name: string): [number, number][] =>
    metrics.flatMap((line) => (line.kind === kind && typeof line[name] === 'number' ? [[line.step, line[name]] as [number, number]] : []));
  const named = (kind: MetricsLine['kind'], wanted: RegExp): string[] => [
    ...new Set(metrics.filter((line) => line.kind === kind).flatMap((line) => Object.keys(line).filter((name) => wanted.test(name)))),
  ];
  const plots = [
    { kind: 'steps', axis: 'loss', wanted: /^(loss|global|local|prior|reconstruction)$/ },
    { kind: 'epoch', axis: 'kNN accuracy', wanted: /^kNN200 / },
    { kind: 'epoch', axis: 'linear probe', wanted: /^linear / },
    { kind: 'epoch', axis: 'RankMe', wanted: /^rankMe / },
  ] as const;
  return plots
    .flatMap(({ kind, axis, wanted }) => named(kind, wanted).map((name) => ({ name, axis, points: points(kind, name) })))
    .filter((curve) => curve.points.length > 1);
}
