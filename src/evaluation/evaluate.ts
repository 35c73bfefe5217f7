/** The evaluation of one encoder: encode, search exactly, measure with and without labels, draw. */
import type { Progress } from '../datasets/data-sources.js';
import type { Decode } from '../datasets/decoding.js';
import { type ImageDataset, subset } from '../datasets/image-dataset.js';
import { MAP_ROWS_MIN, type MapPoint, neighboursWanted, planeLayout } from '../matching/plane-layout.js';
import { sampledIndices, seededRandom } from '../seeded-random.js';
import { type CopySearchResult, type EncodedImages, measureCopySearch } from './copy-search.js';
import { type EmbeddingMatrix, pickRows, row } from './embedding-matrix.js';
import { type EvaluatedEncoder, encodeDataset } from './encode-dataset.js';
import { type EvaluationReport, REPORT_VERSION } from './evaluation-report.js';
import type { Metric } from './exact-search.js';
import { openExactSearch } from './exact-search.js';
import { measureGeometry } from './measures/embedding-geometry.js';
import { type EncodedSplit, measureSplit } from './measures/split-measures.js';
import { linearProbe } from './probes/linear-probe.js';
import { mlpProbe } from './probes/mlp-probe.js';
import { drawCopies } from './reports/drawn-sheets.js';

/** Sizes of the samples that keep an evaluation short. Each is a number of images. */
type EvaluationSizes = {
  readonly copyOriginals: number;
  readonly mapPoints: number;
  readonly sheetRows: number;
  readonly geometrySample: number;
};

/** Enough for stable figures: R@1 over 100 originals x 17 attacks has a standard error of at most 1.2 points. */
const DEFAULT_SIZES: EvaluationSizes = {
  copyOriginals: 100,
  mapPoints: 1500,
  sheetRows: 10,
  geometrySample: 10_000,
};

/**
 * What to evaluate on what. queries: a held-out set; without it every image is searched among all others (leave
 * one out).
 */
export type EvaluationOptions = {
  readonly encoder: EvaluatedEncoder;
  readonly database: ImageDataset;
  readonly queries?: ImageDataset | undefined;
  readonly decode: Decode;
  readonly seed: number;
  readonly now: () => Date;
  readonly sizes?: Partial<EvaluationSizes>;
  /** Linear and MLP probes, which take longest. */
  readonly withProbes?: boolean;
  readonly curves?: EvaluationReport['curves'];
  readonly progress?: Pick<Progress, 'stage' | 'skip'>;
};

/**
 * Measures and draws everything; the same options give the same report but for `created` and `timing`. Throws where
 * fewer than 2 images can be read.
 */
export async function evaluate(options: EvaluationOptions): Promise<EvaluationReport> {
  const { encoder, seed, progress } = options;
  const sizes = { ...DEFAULT_SIZES, ...options.sizes };
  const started = performance.now();
  const encode = (dataset: ImageDataset, stage: string) =>
    encodeDataset({
      encoder,
      dataset,
      decode: options.decode,
      onProgress: (done) => progress?.stage(stage, done, dataset.count),
    });
  const database = await encode(options.database, 'encode database');
  const heldOut = options.queries && (await encode(options.queries, 'encode queries'));
  const unreadable = [...database.unreadable, ...(heldOut?.unreadable ?? [])];
  for (const { name, reason } of unreadable) progress?.skip(name, reason);
  if (database.dataset.count < 2)
    throw new Error(`${database.dataset.name}: fewer than two images can be read; there is nothing to search.`);

  const split: EncodedSplit = { database, queries: heldOut ?? database, isLeaveOneOut: heldOut === undefined };
  const metrics: readonly Metric[] = hasUnitRows(database.embeddings) ? ['cosine'] : ['cosine', 'euclidean'];
  const classes: EvaluationReport['classes'][number][] = [];
  const sheets: EvaluationReport['sheets'][number][] = [];
  let searchMs: number | null = null;
  let scores: EvaluationReport['scores'] = null;
  for (const metric of metrics) {
    progress?.stage(`search by ${metric}`, 0, split.queries.dataset.count);
    const found = await measureSplit({ split, metric, sheetRows: sizes.sheetRows, seed });
    if (found.classes) classes.push(found.classes);
    if (metric === 'cosine') [scores, searchMs] = [found.scores, found.searchMsPerQuery];
    sheets.push(found.sheet);
  }
  const probes = options.withProbes === false ? [] : await probesOf({ split, seed, progress });
  progress?.stage('search for copies', 0, sizes.copyOriginals);
  const copies = await copiesOf({ options, split, originals: sizes.copyOriginals });
  if (copies) sheets.push(copies.sheet);
  progress?.stage('geometry and map', 0, 1);
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
      unreadableImages: unreadable.length,
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

/** Share of a folder that is left out of the database of the copy search: distractor queries and background. */
const OUTSIDER_SHARE = 0.2;

/**
 * Outsiders are the held-out queries, or in leave one out a seeded fifth of the images. Undefined where there are too
 * few images.
 */
async function copiesOf(request: {
  readonly options: EvaluationOptions;
  readonly split: EncodedSplit;
  readonly originals: number;
}): Promise<
  { readonly measures: CopySearchResult['measures']; readonly sheet: EvaluationReport['sheets'][number] } | undefined
> {
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

function divided(
  images: EncodedImages,
  seed: number,
): { readonly database: EncodedImages; readonly outsiders: EncodedImages | undefined } {
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
  readonly progress: EvaluationOptions['progress'];
}): Promise<EvaluationReport['probes']> {
  const { split, seed, progress } = request;
  const [trainLabels, testLabels] = [split.database.dataset.labels, split.queries.dataset.labels];
  if (split.isLeaveOneOut || !trainLabels || !testLabels) return [];
  const data = { train: split.database.embeddings, trainLabels, test: split.queries.embeddings, testLabels, seed };
  progress?.stage('linear probe', 0, 1);
  const linear = await linearProbe(data);
  progress?.stage('MLP probe', 0, 1);
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

/**
 * Lays the rows out by their exact nearest neighbours by cosine, as {@link planeLayout} does; one point per row, in
 * order; the same seed gives the same map. Takes some seconds for 2,000 rows: give a sample. Throws below
 * {@link MAP_ROWS_MIN} rows.
 */
export async function embeddingMap(options: {
  readonly matrix: EmbeddingMatrix;
  readonly seed: number;
}): Promise<readonly MapPoint[]> {
  const { matrix, seed } = options;
  const { rows } = matrix;
  if (rows < MAP_ROWS_MIN) throw new Error(`A map needs at least ${MAP_ROWS_MIN} rows, not ${rows}. This is a bug.`);
  const search = await openExactSearch({ database: matrix, metric: 'cosine' });
  const itself = Int32Array.from({ length: rows }, (_, index) => index);
  const k = neighboursWanted(rows);
  const { indices, scores } = await search
    .nearest({ queries: matrix, k, exclude: itself })
    .finally(() => search.close());
  return planeLayout({
    nearest: { rows, k, indices, similarities: scores },
    random: seededRandom(seed, 'embedding map'),
  });
}

/** Whether all rows have norm 1: then Euclidean distance ranks as cosine does and is not measured. */
function hasUnitRows(matrix: EmbeddingMatrix): boolean {
  for (let index = 0; index < matrix.rows; index++) {
    const squares = row(matrix, index).reduce((sum, value) => sum + value * value, 0);
    if (Math.abs(squares - 1) > 1e-3) return false;
  }
  return true;
}
