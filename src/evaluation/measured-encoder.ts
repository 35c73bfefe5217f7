/** Evaluates saved encoders and writes their reports, for `train`, `evaluate` and `ablate`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { atMost, type DataSource, type Progress } from '../datasets/data-sources.js';
import { openDecoding } from '../datasets/decoding.js';
import type { DeviceRequest } from '../encoder/choose-device.js';
import { openEncoder } from '../encoder/open-encoder.js';
import { addToModelCard } from '../encoder/saved-encoder.js';
import type { Pixels } from '../images/pixels.js';
import type { EvaluatedEncoder } from './encode-dataset.js';
import { evaluate } from './evaluate.js';
import { type EvaluationReport, REPORT_DATA } from './evaluation-report.js';
import { compareReports, comparisonMarkdown } from './reports/compare.js';
import { renderReport } from './reports/report.js';

export const REPORT_PAGE = 'report.html';

const BATCH_SIZE_MAX = 64;

/** How much is measured. limit: most images of each part; queryLimit: most held-out queries, where that is less. */
export type EvaluationScope = {
  readonly limit: number;
  readonly queryLimit?: number;
  readonly probes: boolean;
  /** Pictures whose edited copies are searched for. */
  readonly copies: number;
  /** Whether the report has a 2-D projection of the embeddings. */
  readonly map: boolean;
};

/** What to measure. `model`: folder of the saved encoder. */
export type MeasureOptions = EvaluationScope & {
  readonly model: string;
  readonly source: DataSource;
  readonly device: DeviceRequest;
  readonly threads?: number | undefined;
  readonly seed: number;
  readonly curves?: EvaluationReport['curves'];
  readonly progress: Progress;
};

/** The scope among the flags of a command. */
export function scopeOf({ limit, queryLimit, probes, copies, map }: EvaluationScope): EvaluationScope {
  return { limit, probes, copies, map, ...(queryLimit !== undefined && { queryLimit }) };
}

/** Evaluates a saved encoder as the service would run it. */
export async function measureSavedEncoder(options: MeasureOptions): Promise<EvaluationReport> {
  const { model, device, threads } = options;
  const encoder = await openEncoder({
    folder: model,
    device,
    batchSizeMax: BATCH_SIZE_MAX,
    ...(threads !== undefined && { threads }),
  });
  try {
    const { name, id, dimensions, preprocessing, device: taken, runtime } = encoder.description;
    const encode = async (batch: readonly Pixels[]): Promise<readonly Float32Array[]> =>
      Promise.all(batch.map(async (pixels) => (await encoder.encode(pixels, {})).embedding));
    return await measureEncoder({ name, id, dimensions, preprocessing, device: taken, runtime, encode }, options);
  } finally {
    await encoder.close();
  }
}

/** Evaluates an encoder; its decoder processes end with the evaluation. */
export async function measureEncoder(
  encoder: EvaluatedEncoder,
  options: Omit<MeasureOptions, 'model'>,
): Promise<EvaluationReport> {
  const { source, seed, limit, queryLimit = limit, probes, copies, map, curves, progress } = options;
  const { decode, close } = openDecoding(encoder.preprocessing);
  return await evaluate({
    encoder,
    database: atMost(source.database, limit),
    queries: source.queries && atMost(source.queries, Math.min(limit, queryLimit)),
    decode,
    seed,
    now: () => new Date(),
    progress,
    withProbes: probes,
    sizes: { copyOriginals: copies, ...(!map && { mapPoints: 0 }) },
    ...(curves !== undefined && { curves }),
  }).finally(close);
}

/**
 * Measures a saved encoder that was just made: the figures are added to its model card, the reports written into
 * its folder.
 */
export async function reportOn(options: MeasureOptions): Promise<EvaluationReport> {
  const report = await measureSavedEncoder(options);
  await addToModelCard(options.model, `## Measured\n\n${figuresMarkdown(report)}`);
  await writeReports(options.model, report);
  return report;
}

/** Writes report.html and report.json into a folder. */
export async function writeReports(folder: string, report: EvaluationReport): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, REPORT_DATA), `${JSON.stringify(report)}\n`);
  await writeFile(join(folder, REPORT_PAGE), renderReport(report));
}

/** The figures of a report in Markdown, for model cards and the terminal. */
export function figuresMarkdown(report: EvaluationReport): string {
  const { data } = report;
  const protocol = data.protocol === 'leave one out' ? 'each image searched among all others' : 'held-out queries';
  return `${data.name}, ${protocol}: ${data.queryImages} queries in ${data.databaseImages} images, exact search. Percentages but for µAP, RankMe and hubness.\n\n${comparisonMarkdown(compareReports([report]))}`;
}
