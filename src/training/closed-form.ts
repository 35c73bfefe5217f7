/**
 * Closed-form InfoMax: an encoder that keeps mutual information, solved instead of descended. Patches are whitened and coded by a dictionary of
 * random patches; codes are projected to what a patch shares with its picture; pictures, cut into cells, to what they share with other
 * views of themselves. Two eigenproblems, three passes over the images, no gradients and no labels.
 */
import { SearchError } from '../errors.js';
import type { Pixels } from '../images/pixels.js';
import { solveCellProjection } from './cell-projection.js';
import type { CellProjection, CodeProjection } from './closed-form-graph.js';
import { codeMoments, viewMoments } from './closed-form-moments.js';
import { type ClosedFormOptions, closedFormOptions, closedFormPreprocessing } from './closed-form-options.js';
import { solveCodeProjection } from './code-projection.js';
import { buildPatchDictionary, type PatchDictionary } from './patch-dictionary.js';
import { samplePatches } from './patch-sample.js';

/** Images that can be read again from the start, in the same order each time. */
export type RepeatableImages = AsyncIterable<Pixels> | Iterable<Pixels>;

/** Where a fit stands: which of its steps, and how many of that step's images are done. */
export type ClosedFormProgress = { readonly step: 'patches' | 'codes' | 'views'; readonly images: number; readonly of: number | undefined };

/** A fitted encoder before it is written down. `eigenvalues`, `correlations`: of the two problems, for inspection. */
export type ClosedFormFit = {
  readonly images: number;
  readonly settings: ClosedFormOptions;
  readonly dictionary: PatchDictionary;
  readonly codes: CodeProjection & { readonly eigenvalues: Float64Array };
  readonly cells: CellProjection & { readonly correlations: Float64Array };
};

/**
 * Fits to images of `side` x `side` pixels, read three times. The same images, options and seed give the same encoder on the same machine.
 * INVALID_SETTINGS where the options do not fit together or the images are too few.
 */
export async function fitClosedForm(options: {
  readonly images: RepeatableImages;
  readonly settings?: Partial<ClosedFormOptions>;
  readonly onProgress?: (progress: ClosedFormProgress) => void;
}): Promise<ClosedFormFit> {
  const { images, onProgress } = options;
  const settings = closedFormOptions(options.settings ?? {});
  const { patch, atoms, patchRegularisation, eigenvectors, ridge, dimensions, regularisation, emphasis, momentImages, seed } = settings;

  const sample = await samplePatches({ images, preprocessing: closedFormPreprocessing(settings), patch, seed });
  const count = sample.images;
  const needed = Math.max(dimensions, eigenvectors);
  if (count <= needed) {
    const remedy = 'Give more images, or fewer dimensions and eigenvectors';
    throw new SearchError(
      'INVALID_SETTINGS',
      `Recipe closed-form: ${needed} directions need more images than that; there are ${count}. ${remedy}.`,
    );
  }
  onProgress?.({ step: 'patches', images: count, of: count });
  const dictionary = await buildPatchDictionary({ sample, patch, atoms, regularisation: patchRegularisation, seed: seed + 1 });

  const report = (step: ClosedFormProgress['step'], of: number) => (done: number) => onProgress?.({ step, images: done, of });
  const moments = await codeMoments({ images, count, dictionary, settings, onProgress: report('codes', Math.min(count, momentImages)) });
  const codes = await solveCodeProjection({ ...moments, eigenvectors, ridge, seed });

  const views = await viewMoments({ images, dictionary, codes, settings, onProgress: report('views', count) });
  const cells = await solveCellProjection({ ...views, dimensions, regularisation, emphasis, seed });
  return { images: count, settings, dictionary, codes, cells };
}
