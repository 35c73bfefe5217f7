/**
 * Closed-form InfoMax: the mutual-information objective solved instead of descended. Patches are whitened and coded by
 * a dictionary of random patches; codes are projected to what a patch shares with its picture; pictures, divided into
 * cells, to what they share with views of themselves. Two eigenproblems, three passes over the images, no gradients, no
 * labels.
 */
import { SearchError } from '../../errors.js';
import type { Pixels } from '../../images/pixels.js';
import { shrinkPixels } from '../resample.js';
import { solveCellProjection } from './cell-projection.js';
import type { CellProjection, CodeProjection } from './closed-form-graph.js';
import { codeMoments, viewMoments } from './closed-form-moments.js';
import { type ClosedFormOptions, closedFormOptions, closedFormPreprocessing } from './closed-form-options.js';
import { type ClosedFormStem, optionsOnStem } from './closed-form-stem.js';
import { solveCodeProjection } from './code-projection.js';
import { buildPatchDictionary, type PatchDictionary } from './patch-dictionary.js';
import { samplePatches } from './patch-sample.js';

/** Images that can be iterated repeatedly, in the same order each time. */
export type RepeatableImages = AsyncIterable<Pixels> | Iterable<Pixels>;

/** Progress of a fit: its step and the images of that step that are done. */
export type ClosedFormProgress = {
  readonly step: 'patches' | 'codes' | 'views';
  readonly images: number;
  readonly of: number | undefined;
};

/**
 * A fitted encoder. `eigenvalues`, `correlations`: of the two problems, for inspection; without the first where a
 * `stem` supplied patches and codes.
 */
export type ClosedFormFit = {
  readonly images: number;
  readonly settings: ClosedFormOptions;
  readonly stem?: ClosedFormStem;
  readonly dictionary: PatchDictionary;
  readonly codes: CodeProjection & { readonly eigenvalues?: Float64Array };
  readonly cells: CellProjection & { readonly correlations: Float64Array };
};

/**
 * Fits to images of `side` x `side` pixels (times `oversampling`), read three times, or once with a `stem`. The same
 * images, options and seed give the same encoder on one machine. INVALID_SETTINGS where the options do not fit together
 * or there are too few images.
 */
export async function fitClosedForm(options: {
  readonly images: RepeatableImages;
  readonly settings?: Partial<ClosedFormOptions>;
  readonly stem?: ClosedFormStem;
  readonly onProgress?: (progress: ClosedFormProgress) => void;
}): Promise<ClosedFormFit> {
  const { images, stem, onProgress } = options;
  const given = options.settings ?? {};
  const settings = closedFormOptions(stem === undefined ? given : optionsOnStem(stem, given));
  const { dimensions, regularisation, correlationPower, seed } = settings;
  const { count, dictionary, codes } =
    stem === undefined
      ? await fitPatchesAndCodes({ images: shrunk(images, settings.oversampling), settings, onProgress })
      : { count: undefined, ...stem };
  const views = await viewMoments({
    images,
    dictionary,
    codes,
    settings,
    onProgress: (done) => onProgress?.({ step: 'views', images: done, of: count }),
  });
  const seen = views.sums.count / settings.views;
  requireMoreThan(dimensions, seen);
  const cells = await solveCellProjection({ ...views, dimensions, regularisation, correlationPower, seed });
  return { images: seen, settings, ...(stem !== undefined && { stem }), dictionary, codes, cells };
}

/** The two passes that a stem replaces: whitening and dictionary, then the projection of codes. */
async function fitPatchesAndCodes(options: {
  readonly images: RepeatableImages;
  readonly settings: ClosedFormOptions;
  readonly onProgress: ((progress: ClosedFormProgress) => void) | undefined;
}): Promise<{ readonly count: number; readonly dictionary: PatchDictionary; readonly codes: ClosedFormFit['codes'] }> {
  const { images, settings, onProgress } = options;
  const { patch, atoms, patchRegularisation, eigenvectors, ridge, dimensions, momentImages, seed } = settings;
  const sample = await samplePatches({ images, preprocessing: closedFormPreprocessing(settings), patch, seed });
  const count = sample.images;
  requireMoreThan(Math.max(dimensions, eigenvectors), count);
  onProgress?.({ step: 'patches', images: count, of: count });
  const dictionary = await buildPatchDictionary({
    sample,
    patch,
    atoms,
    regularisation: patchRegularisation,
    seed: seed + 1,
  });
  const moments = await codeMoments({
    images,
    count,
    dictionary,
    settings,
    onProgress: (done) => onProgress?.({ step: 'codes', images: done, of: Math.min(count, momentImages) }),
  });
  return { count, dictionary, codes: await solveCodeProjection({ ...moments, eigenvectors, ridge, seed }) };
}

function shrunk(images: RepeatableImages, factor: number): RepeatableImages {
  if (factor === 1) return images;
  return {
    async *[Symbol.asyncIterator]() {
      for await (const pixels of images) yield shrinkPixels(pixels, factor);
    },
  };
}

function requireMoreThan(directions: number, images: number): void {
  if (images > directions) return;
  const remedy = 'Give more images, hold out fewer, or change the recipe (fewer dimensions and eigenvectors)';
  throw new SearchError(
    'INVALID_SETTINGS',
    `${directions} directions need more images than that; there are ${images} to learn from. ${remedy}.`,
  );
}
