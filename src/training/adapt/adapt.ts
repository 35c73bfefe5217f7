/**
 * What a backbone's features say about the user's own pictures, learnt without labels and without gradients: taps are
 * pooled and joined, and projected to what a picture shares with random views of itself (cell-projection.ts). What is
 * chosen is chosen by searching views of held-out pictures among all.
 */
import { SearchError } from '../../errors.js';
import { type EmbeddingMatrix, embeddingMatrix, pickRows, unitRows } from '../../evaluation/embedding-matrix.js';
import { openExactSearch } from '../../evaluation/exact-search.js';
import type { Pixels } from '../../images/pixels.js';
import { solveCellProjection } from '../closed-form/cell-projection.js';
import { principalAxes } from '../closed-form/principal-axes.js';
import { SecondMoments } from '../closed-form/second-moments.js';
import { type AdaptFeatures, adaptFeatures, type Rows } from './adapt-features.js';
import type { Joined, Projection } from './adapt-graph.js';
import type { AdaptOptions } from './adapt-options.js';
import type { Backbone } from './backbone.js';
import { featureSize, type PooledTap } from './choose-taps.js';

/** Share of views of held-out pictures whose nearest of `pictures` is the picture itself; `chance` of error: one SE. */
export type ViewSearch = {
  readonly queries: number;
  readonly pictures: number;
  readonly backbone: number;
  readonly learnt: number;
  readonly also?: number;
  readonly joined?: number;
};

/** A fitted encoder. `correlations`: of two views of a picture, per dimension, largest first. */
export type AdaptFit = {
  readonly images: number;
  readonly backbone: Backbone;
  readonly taps: readonly PooledTap[];
  readonly options: AdaptOptions;
  readonly views: number;
  readonly dimensions: number;
  readonly ridge: number;
  readonly projection: Projection;
  readonly correlations: Float64Array;
  readonly joined: Joined | undefined;
  readonly found: ViewSearch;
};

/** Progress of a fit. */
export type AdaptProgress = { readonly step: 'views' | 'solve'; readonly done: number; readonly of: number };

/** Fewer say nothing about what pictures have in common. */
const IMAGES_MIN = 20;
/** Dimensions that even few pictures determine. */
const DIMENSIONS_MIN = 32;
const IMAGES_PER_DIMENSION = 5;
const MANY_IMAGES = 1000;
/** Lengths of the other encoder's embedding beside one of length 1. */
const JOIN_WEIGHTS = [0.3, 0.5, 0.8];

/**
 * Fits to `count` pictures of the backbone's input size, read once. The same pictures, options and seed give the same
 * encoder on one machine. INVALID_SETTINGS where there are too few pictures.
 */
export async function fitAdapt(options: {
  readonly images: Iterable<Pixels> | AsyncIterable<Pixels>;
  readonly count: number;
  readonly backbone: Backbone;
  readonly taps: readonly PooledTap[];
  readonly also?: Backbone | undefined;
  readonly settings: AdaptOptions;
  readonly threads?: number | undefined;
  readonly onProgress?: (progress: AdaptProgress) => void;
}): Promise<AdaptFit> {
  const { count, backbone, taps, also, settings, threads, onProgress } = options;
  if (count < IMAGES_MIN) {
    const message = `Recipe adapt: ${count} pictures are too few to learn from. Give ${IMAGES_MIN} or more; it is worth it from about 100 on.`;
    throw new SearchError('INVALID_SETTINGS', message);
  }
  const { correlationPower, ridges, frameProbability, seed } = settings;
  const views = settings.views > 0 ? settings.views : count >= MANY_IMAGES ? 4 : 8;
  const size = featureSize(taps);
  const dimensions = Math.min(
    settings.dimensions,
    size,
    Math.max(DIMENSIONS_MIN, Math.floor(count / IMAGES_PER_DIMENSION)),
  );
  const features = await adaptFeatures({
    ...{ images: options.images, count, backbone, taps, also, views, frameProbability, seed, threads },
    onProgress: (done) => onProgress?.({ step: 'views', done, of: count }),
  });
  try {
    let solved = 0;
    const solve = async (ridge: number) => {
      onProgress?.({ step: 'solve', done: solved++, of: ridges.length + 1 });
      const moments = await features.moments.moments();
      return solveCellProjection({ ...moments, dimensions, regularisation: ridge, correlationPower, seed });
    };
    const search = await heldOutSearch(features);
    const tried: { readonly ridge: number; readonly projection: Projection; readonly found: number }[] = [];
    for (const ridge of [...ridges].sort((a, b) => b - a)) {
      const projection = await solve(ridge);
      tried.push({ ridge, projection, found: await search((rows) => projected(rows.taps, projection)) });
    }
    const best = Math.max(...tried.map(({ found }) => found));
    const error = Math.sqrt((best * (1 - best)) / features.views.taps.rows);
    // The largest ridge among equals: what differs by chance only is better fitted with caution.
    const { ridge, projection: onOthers, found: learnt } = tried.find(({ found }) => found >= best - error)!;
    const join = also && (await chooseJoin({ features, projection: onOthers, dimensions, seed, search }));
    await addHeldOut(features, views);
    const { correlations, ...projection } = await solve(ridge);
    onProgress?.({ step: 'solve', done: solved, of: ridges.length + 1 });
    const joined = also &&
      join && {
        also,
        weight: join.weight,
        projection: await joinedAxes({ rows: features.pictures, projection, weight: join.weight, dimensions, seed }),
      };
    return {
      ...{ images: features.images, backbone, taps, options: settings, views, dimensions, ridge },
      ...{ projection, correlations, joined },
      found: {
        queries: features.views.taps.rows,
        pictures: features.pictures.taps.rows,
        backbone: await search((rows) => rows.backbone),
        learnt,
        ...(join && { also: await search((rows) => rows.also!), joined: join.found }),
      },
    };
  } finally {
    await features.moments.close();
  }
}

/** Embeddings of the rows of pictures or of views. */
type Embed = (rows: Rows) => EmbeddingMatrix;
type Search = (embed: Embed) => Promise<number>;

/** Share of held-out views that find their picture among all. */
async function heldOutSearch({ pictures, views, heldOut }: AdaptFeatures): Promise<Search> {
  const perPicture = views.taps.rows / heldOut.length;
  return async (embed) => {
    const search = await openExactSearch({ database: embed(pictures), metric: 'cosine' });
    const { indices } = await search.nearest({ queries: embed(views), k: 1 }).finally(() => search.close());
    const right = indices.filter((found, query) => found === heldOut[Math.floor(query / perPicture)]);
    return right.length / indices.length;
  };
}

/** The weight of the other encoder that finds most; fitted without the held-out pictures. */
async function chooseJoin(options: {
  readonly features: AdaptFeatures;
  readonly projection: Projection;
  readonly dimensions: number;
  readonly seed: number;
  readonly search: Search;
}): Promise<{ readonly weight: number; readonly found: number }> {
  const { features, projection, dimensions, seed, search } = options;
  const held = new Set(features.heldOut);
  const others = Array.from({ length: features.pictures.taps.rows }, (_, row) => row).filter((row) => !held.has(row));
  const { taps, backbone, also } = features.pictures;
  const rows = { taps: pickRows(taps, others), backbone, also: pickRows(also!, others) };
  let best = { weight: 0, found: -1 };
  for (const weight of JOIN_WEIGHTS) {
    const axes = await joinedAxes({ rows, projection, weight, dimensions, seed });
    const found = await search((each) => projected(besides(each, projection, weight), axes));
    if (found > best.found) best = { weight, found };
  }
  return best;
}

/** The principal axes of both embeddings side by side, about their mean. */
async function joinedAxes(options: {
  readonly rows: Rows;
  readonly projection: Projection;
  readonly weight: number;
  readonly dimensions: number;
  readonly seed: number;
}): Promise<Projection> {
  const { rows, projection, weight, dimensions, seed } = options;
  const joined = besides(rows, projection, weight);
  const moments = await SecondMoments.open(joined.dimensions);
  try {
    await moments.add(joined.values);
    const { mean, covariance: matrix } = await moments.moments();
    const { axes } = await principalAxes({ matrix, dimensions: joined.dimensions, count: dimensions, seed });
    const offsets = new Float32Array(dimensions);
    for (let column = 0; column < dimensions; column++)
      offsets[column] = -mean.reduce((sum, value, row) => sum + value * axes[row * dimensions + column]!, 0);
    return { weights: Float32Array.from(axes), offsets };
  } finally {
    await moments.close();
  }
}

/** What was learnt, of norm 1, and beside it the other embedding at `weight`. */
function besides({ taps, also }: Rows, projection: Projection, weight: number): EmbeddingMatrix {
  const learnt = projected(taps, projection);
  const dimensions = learnt.dimensions + also!.dimensions;
  const values = new Float32Array(learnt.rows * dimensions);
  for (let row = 0; row < learnt.rows; row++) {
    values.set(learnt.values.subarray(row * learnt.dimensions, (row + 1) * learnt.dimensions), row * dimensions);
    const other = also!.values.subarray(row * also!.dimensions, (row + 1) * also!.dimensions);
    values.set(
      other.map((value) => value * weight),
      row * dimensions + learnt.dimensions,
    );
  }
  return { rows: learnt.rows, dimensions, values };
}

function projected(rows: EmbeddingMatrix, { weights, offsets }: Projection): EmbeddingMatrix {
  const dimensions = offsets.length;
  const values = new Float32Array(rows.rows * dimensions);
  for (let row = 0; row < rows.rows; row++) {
    const target = values.subarray(row * dimensions, (row + 1) * dimensions);
    target.set(offsets);
    for (let at = 0; at < rows.dimensions; at++) {
      const value = rows.values[row * rows.dimensions + at]!;
      const start = at * dimensions;
      for (let column = 0; column < dimensions; column++)
        target[column] = target[column]! + value * weights[start + column]!;
    }
  }
  return unitRows(embeddingMatrix(values, dimensions));
}

/** The held-out pictures and their views join the others for the last fit. */
async function addHeldOut({ moments, pictures, views, heldOut }: AdaptFeatures, perPicture: number): Promise<void> {
  const plain = pickRows(
    pictures.taps,
    heldOut.flatMap((row) => new Array<number>(perPicture).fill(row)),
  );
  await moments.add(plain.values, views.taps.values);
}
