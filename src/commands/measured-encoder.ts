/** A saved encoder evaluated on a data source, with its reports written: what `train`, `evaluate` and `ablate` share. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DeviceRequest } from '../encoder/choose-device.js';
import { openEncoder } from '../encoder/open-encoder.js';
import { compareReports, comparisonMarkdown } from '../evaluation/compare.js';
import type { EvaluatedEncoder } from '../evaluation/encode-dataset.js';
import { evaluate } from '../evaluation/evaluate.js';
import type { EvaluationReport } from '../evaluation/evaluation-report.js';
import { renderReport } from '../evaluation/report.js';
import { createDecoderPool } from '../images/decoder-pool.js';
import type { Pixels } from '../images/pixels.js';
import type { Preprocessing } from '../images/preprocessing.js';
import { atMost, type DataSource } from './data-sources.js';

/** Names of the files that an evaluation writes. */
export const REPORT_PAGE = 'report.html';
export const REPORT_DATA = 'report.json';

const BATCH_SIZE_MAX = 64;

/** Decoding as the service does it, for an encoder's preprocessing. close ends its processes. */
export type Decoding = { readonly decode: (bytes: Uint8Array) => Promise<Pixels>; close(): Promise<void> };

/** How much is measured, as flags say it. map: whether embeddings are laid out in the plane. */
export type MeasureFlags = {
  readonly limit: number;
  readonly queryLimit?: number;
  readonly probes: boolean;
  readonly copies: number;
  readonly map: boolean;
};

/** Starts decoders that make pixels of the preprocessing's size. */
export function openDecoding(preprocessing: Preprocessing): Decoding {
  const pool = createDecoderPool({ preprocessing, niceness: 5 });
  return { decode: async (bytes) => (await pool.decode(bytes, { thumbnail: false })).image.pixels, close: () => pool.close() };
}

/** What to measure, and how much of it. limit: most images of each part; queryLimit: most held-out queries, where that is less. */
export type MeasureOptions = {
  readonly model: string;
  readonly source: DataSource;
  readonly decode: Decoding['decode'];
  readonly device: DeviceRequest;
  readonly threads?: number | undefined;
  readonly seed: number;
  readonly limit: number;
  readonly queryLimit?: number | undefined;
  readonly probes: boolean;
  /** Pictures whose edited copies are searched for. */
  readonly copies: number;
  readonly map: boolean;
  readonly curves?: EvaluationReport['curves'];
  readonly onProgress?: (stage: string, done: number, total: number) => void;
};

/** Evaluates a saved encoder as the service would run it. */
export async function measureSavedEncoder(options: MeasureOptions): Promise<EvaluationReport> {
  const { model, device, threads } = options;
  const encoder = await openEncoder({ folder: model, device, batchSizeMax: BATCH_SIZE_MAX, ...(threads !== undefined && { threads }) });
  try {
    const { name, id, dimensions, preprocessing, device: taken, runtime } = encoder.description;
    const encode = async (batch: readonly Pixels[]): Promise<readonly Float32Array[]> =>
      Promise.all(batch.map(async (pixels) => (await encoder.encode(pixels, {})).embedding));
    return await measureEncoder({ name, id, dimensions, preprocessing, device: taken, runtime, encode }, options);
  } finally {
    await encoder.close();
  }
}

/** Evaluates anything that encodes. */
export async function measureEncoder(encoder: EvaluatedEncoder, options: Omit<MeasureOptions, 'model'>): Promise<EvaluationReport> {
  const { source, decode, seed, limit, queryLimit = limit, probes, copies, map, curves, onProgress } = options;
  return evaluate({
    encoder,
    database: atMost(source.database, limit),
    queries: source.queries && atMost(source.queries, Math.min(limit, queryLimit)),
    decode,
    seed,
    now: () => new Date(),
    withProbes: probes,
    sizes: { copyOriginals: copies, ...(!map && { mapPoints: 0 }) },
    ...(curves !== undefined && { curves }),
    ...(onProgress !== undefined && { onProgress }),
  });
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
