/**
 * The evaluation of one encoder, as a story: encode, search exactly, measure with labels where there are any, measure without, draw.
 * It does not know how the encoder runs or where its weights came from.
 */
import type { ImageDataset } from '../images/image-dataset.js';
import { subset } from '../images/image-dataset.js';
import { MAP_ROWS_MIN } from '../layout/plane-layout.js';
import { sampledIndices, seededRandom } from '../seeded-random.js';
import { type CopySearchResult, type EncodedImages, measureCopySearch } from './copy-search.js';
import { drawCopies } from './drawn-sheets.js';
import { embeddingMap } from './embedding-map.js';
import { type EmbeddingMatrix, pickRows, row } from './embedding-matrix.js';
import { type DecodeForEncoder, type EvaluatedEncoder, encodeDataset } from './encode-dataset.js';
import { type EvaluationReport, REPORT_VERSION } from './evaluation-report.js';
import type { Metric } from './exact-search.js';
import { measureGeometry } from './geometry-measures.js';
import { linearProbe } from './linear-probe.js';
import { mlpProbe } from './mlp-probe.js';
import { type EncodedSplit, measureSplit } from './split-measures.js';

/** Sizes of the samples that keep an evaluation short. Each is a number of images. */
export type EvaluationSizes = {
  readonly copyOriginals: number;
  readonly mapPoints: number;
  readonly sheetRows: number;
  readonly geometrySample: number;
};

/** Enough for stable figures: R@1 over 100 originals x 17 attacks has a standard error of at most 1.2 points. */
export const DEFAULT_SIZES: EvaluationSizes = { copyOriginals: 100, mapPoints: 1500, sheetRows: 10, geometrySample: 10_000 };

/** What to evaluate on what. queries: a held-out set; without it every image is searched among all others (leave one out). */
export type EvaluationOptions = {
  readonly encoder: EvaluatedEncoder;
  readonly database: ImageDataset;
  readonly queries?: ImageDataset | undefined;
  readonly decode: DecodeForEncoder;
  readonly seed: number;
  readonly now: () => Date;
  readonly sizes?: Partial<EvaluationSizes>;
  /** Skips what takes longest: probes. */
  readonly withProbes?: boolean;
  readonly curves?: EvaluationReport['curves'];
  readonly onProgress?: (stage: string, done: number, total: number) => void;
};

/** Measures and draws everything; the same options give the same report but for `created` and `timing`. Throws where fewer than 2 images can be read. */
export async function evaluate(options: EvaluationOptions): Promise<EvaluationReport> {
  const { encoder, seed, onProgress } = options;
  const sizes = { ...DEFAULT_SIZES, ...options.sizes };
  const started = performance.now();
  const encode = (dataset: ImageDataset, stage: string) =>
    encodeDataset({ encoder, dataset, decode: options.decode, onProgress: (done) => onProgress?.(stage, done, dataset.count) });
  const database = await encode(options.database, 'encode database');
  const heldOut = options.queries && (await encode(options.queries, 'encode queries'));
  if (database.dataset.count < 2)
    throw new Error(`${database.dataset.name}: fewer than two images can be read; there is nothing to search.`);

  const split: EncodedSplit = { database, queries: heldOut ?? database, isLeaveOneOut: heldOut === undefined };
  const metrics: readonly Metric[] = hasUnitRows(database.embeddings) ? ['cosine'] : ['cosine', 'euclidean'];
  const classes: EvaluationReport['classes'][number][] = [];
  const sheets: EvaluationReport['sheets'][number][] = [];
  let searchMs: number | null = null;
  let scores: EvaluationReport['scores'] = null;
  for (const metric of metrics) {
    onProgress?.(`search by ${metric}`, 0, split.queries.dataset.count);
    const found = await measureSplit({ split, metric, sheetRows: sizes.sheetRows, seed });
    if (found.classes) classes.push(found.classes);
    if (metric === 'cosine') [scores, searchMs] = [found.scores, found.searchMsPerQuery];
    sheets.push(found.sheet);
  }
  const probes = options.withProbes === false ? [] : await probesOf({ split, seed, onProgress });
  onProgress?.('search for copies', 0, sizes.copyOriginals);
  const copies = await copiesOf({ options, split, originals: sizes.copyOriginals });
  if (copies) sheets.push(copies.sheet);
  onProgress?.('geometry and map', 0, 1);
  const geometry = await measureGeometry({ embeddings: database.embeddings, sample: sizes.geometrySample, seed });
  const map = await mapOf({ images: split.queries, points: sizes.mapPoints, seed });

  const images = database.dataset.count + (heldOut?.dataset.count ?? 0);
  return {
    schemaVersion: REPORT_VERSION,
    created: options.now().toISOString(),
    seed,
    encoder: {
      name: encoder.name,
      id: encoder.id,
      dimensions: encoder.dimensions,
      bytesPerVector: encoder.dimensions * Float32Array.BYTES_PER_ELEMENT,
      device: encoder.device ?? null,
      runtime: encoder.runtime ?? null,
    },
    data: {
      name: database.dataset.name,
      protocol: heldOut ? 'queries against database' : 'leave one out',
      databaseImages: database.dataset.count,
      queryImages: split.queries.dataset.count,
      unreadableImages: database.unreadable + (heldOut?.unreadable ?? 0),
      classes: [...(database.dataset.classes ?? [])],
    },
    classes,
    probes,
    copies: copies?.measures ?? null,
    geometry,
    scores,
    map,
    sheets,
    curves: options.curves ?? [],
    timing: {
      encodeMsPerImage: (database.encodeMs + (heldOut?.encodeMs ?? 0)) / images,
      searchMsPerQuery: searchMs,
      totalSeconds: (performance.now() - started) / 1000,
    },
  };
}

/** Share of a folder that stays out of the database when copies are searched: those who ask in vain, and the background. */
const OUTSIDER_SHARE = 0.2;

/** Held-out queries are outsiders; in leave one out a seeded fifth of the images is. Undefined where there are too few images. */
async function copiesOf(request: {
  readonly options: EvaluationOptions;
  readonly split: EncodedSplit;
  readonly originals: number;
}): Promise<{ readonly measures: CopySearchResult['measures']; readonly sheet: EvaluationReport['sheets'][number] } | undefined> {
  const { options, split, originals } = request;
  if (originals === 0) return undefined;
  const { database, outsiders } = split.isLeaveOneOut
    ? divided(split.database, options.seed)
    : { database: split.database, outsiders: split.queries };
  const { encoder, decode, seed } = options;
  const { measures, examples } = await measureCopySearch({ encoder, database, outsiders, decode, originals, seed });
  const title = 'Edited copies and what they find (green: the original)';
  return { measures, sheet: await drawCopies({ title, database: database.dataset, examples }) };
}

function divided(images: EncodedImages, seed: number): { readonly database: EncodedImages; readonly outsiders: EncodedImages | undefined } {
  const count = images.dataset.count;
  const size = Math.floor(count * OUTSIDER_SHARE);
  const outside = sampledIndices({ count, size, random: seededRandom(seed, 'outsiders') });
  const isOutside = new Set(outside);
  const inside = Array.from({ length: count }, (_, index) => index).filter((index) => !isOutside.has(index));
  const part = (rows: ArrayLike<number>): EncodedImages => ({
    dataset: subset(images.dataset, rows),
    embeddings: pickRows(images.embeddings, rows),
  });
  return { database: part(inside), outsiders: size > 0 ? part(outside) : undefined };
}

/** Trained on the database, scored on held-out queries; none without labels or without a held-out set. */
async function probesOf(request: {
  readonly split: EncodedSplit;
  readonly seed: number;
  readonly onProgress: EvaluationOptions['onProgress'];
}): Promise<EvaluationReport['probes']> {
  const { split, seed, onProgress } = request;
  const [trainLabels, testLabels] = [split.database.dataset.labels, split.queries.dataset.labels];
  if (split.isLeaveOneOut || !trainLabels || !testLabels) return [];
  const data = { train: split.database.embeddings, trainLabels, test: split.queries.embeddings, testLabels, seed };
  onProgress?.('linear probe', 0, 1);
  const linear = await linearProbe(data);
  onProgress?.('MLP probe', 0, 1);
  return [linear, await mlpProbe(data)];
}

async function mapOf(request: {
  readonly images: EncodedImages;
  readonly points: number;
  readonly seed: number;
}): Promise<EvaluationReport['map']> {
  const { images, points, seed } = request;
  const rows = sampledIndices({ count: images.dataset.count, size: points, random: seededRandom(seed, 'map sample') });
  if (rows.length < MAP_ROWS_MIN) return null;
  const layout = await embeddingMap({ matrix: pickRows(images.embeddings, rows), seed });
  return layout.map(([x, y], place) => ({ x, y, label: images.dataset.labels?.[rows[place]!] ?? null }));
}

/** Euclidean distance ranks unit vectors exactly as cosine does, so it is measured only where some row is not of norm 1. */
function hasUnitRows(matrix: EmbeddingMatrix): boolean {
  for (let index = 0; index < matrix.rows; index++) {
    const squares = row(matrix, index).reduce((sum, value) => sum + value * value, 0);
    if (Math.abs(squares - 1) > 1e-3) return false;
  }
  return true;
}
