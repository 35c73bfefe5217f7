/** Settings of the recipe `closed-form`: types, defaults, checks, and the grid sizes that follow from them. */
import { SearchError } from '../errors.js';
import type { Preprocessing } from '../images/preprocessing.js';

/** Everything that fixes a closed-form encoder besides the images. */
export type ClosedFormOptions = {
  /** Side of the square input in pixels; images are stretched to it. */
  readonly side: number;
  /** Side of a patch in pixels. */
  readonly patch: number;
  /** Pixels from one patch to the next, both ways. */
  readonly hop: number;
  /** Atoms of the dictionary, even: half are patches of the images, half their mirror images. */
  readonly atoms: number;
  /** A patch activates an atom by its cosine with it less this, where that is positive; 0..1. */
  readonly threshold: number;
  /** Codes are averaged over squares of this many patches before they are projected. */
  readonly pool: number;
  /** Dimensions of a local embedding. */
  readonly eigenvectors: number;
  /** The picture is described by grid x grid cells, even: the mirror image of a cell is another cell. */
  readonly grid: number;
  /** Dimensions of the embedding. */
  readonly dimensions: number;
  /** Added to the variances of pixels (0..1) within patches before whitening. */
  readonly patchRegularisation: number;
  /** Added to the covariance of codes, in units of its mean diagonal: what keeps rare atoms from ruling. */
  readonly ridge: number;
  /** Added to the variances of cells before the last projection, in units of their mean. */
  readonly regularisation: number;
  /** Dimensions are weighed by the correlation of two views to this power: 0 weighs all alike, 1 favours what views agree on. */
  readonly emphasis: number;
  /** Random views of each image that the last projection learns from. */
  readonly views: number;
  /**
   * Images are given at this multiple of `side`, and shrunk to it after a view was cropped: crops are then as sharp as whole pictures, which is
   * what a user uploads. 1 where there is no more to see, as in CIFAR-10.
   */
  readonly detail: number;
  /** Probability that a view lies in a frame of one colour, as copies do that were given a border; 0..1. */
  readonly framed: number;
  /** Images that the moments of codes are taken from, evenly spread over the source; all images fit the last projection. */
  readonly momentImages: number;
  /** Patches per image that the covariance of codes is taken from. */
  readonly codesPerImage: number;
  readonly seed: number;
};

/** Chosen on a validation cut of CIFAR-10's training images; see the card of models/closed-form-cifar10. */
export const CLOSED_FORM_DEFAULTS: ClosedFormOptions = {
  side: 32,
  patch: 6,
  hop: 2,
  atoms: 2048,
  threshold: 0.2,
  pool: 2,
  eigenvectors: 256,
  grid: 4,
  dimensions: 256,
  patchRegularisation: 1e-3,
  ridge: 1e-4,
  regularisation: 0.03,
  emphasis: 1.5,
  views: 1,
  detail: 1,
  framed: 0,
  momentImages: 20_000,
  codesPerImage: 10,
  seed: 2018,
};

/** Sizes that follow from the options. */
export type ClosedFormGeometry = {
  /** Values of a patch: 3 x patch x patch. */
  readonly patchValues: number;
  /** Patches across (and down) an image. */
  readonly patchesAcross: number;
  /** Places across the local map, after pooling. */
  readonly mapSide: number;
  /** Values that the last projection reads: eigenvectors x grid x grid / 2, as mirrored cells are merged. */
  readonly cellValues: number;
};

/** Defaults filled in, everything checked: INVALID_SETTINGS lists every fault with its remedy. */
export function closedFormOptions(given: Partial<ClosedFormOptions>): ClosedFormOptions {
  const options = { ...CLOSED_FORM_DEFAULTS, ...given };
  const faults = [...numberFaults(options), ...fitFaults(options)];
  if (faults.length > 0) throw new SearchError('INVALID_SETTINGS', `Recipe closed-form: ${faults.join(' ')}`);
  return options;
}

/** See {@link ClosedFormGeometry}. The options must have been checked. */
export function closedFormGeometry(options: ClosedFormOptions): ClosedFormGeometry {
  const { side, patch, hop, pool, eigenvectors, grid } = options;
  const patchesAcross = (side - patch) / hop + 1;
  return { patchValues: 3 * patch * patch, patchesAcross, mapSide: patchesAcross / pool, cellValues: (eigenvectors * grid * grid) / 2 };
}

/** What decoders must do for this encoder: stretch to side x side; mid grey is 0, a pixel's range 1. */
export function closedFormPreprocessing(options: Pick<ClosedFormOptions, 'side'>): Preprocessing {
  return { width: options.side, height: options.side, fit: 'stretch', mean: [0.5, 0.5, 0.5], scale: [1, 1, 1], layout: 'NCHW' };
}

/** What the images of a fit must be: {@link closedFormPreprocessing} at `detail` times the side. */
export function closedFormFitPreprocessing({ side, detail }: Pick<ClosedFormOptions, 'side' | 'detail'>): Preprocessing {
  return closedFormPreprocessing({ side: side * detail });
}

const WHOLE = [
  'side',
  'patch',
  'hop',
  'atoms',
  'pool',
  'eigenvectors',
  'grid',
  'dimensions',
  'views',
  'detail',
  'momentImages',
  'codesPerImage',
] as const;
const POSITIVE = ['patchRegularisation', 'ridge', 'regularisation'] as const;

function numberFaults(options: ClosedFormOptions): string[] {
  const faults: string[] = WHOLE.filter((name) => !Number.isSafeInteger(options[name]) || options[name] < 1).map(
    (name) => `${name} is ${options[name]}; give a whole number above 0.`,
  );
  for (const name of POSITIVE)
    if (!(options[name] > 0 && options[name] < Number.POSITIVE_INFINITY)) faults.push(`${name} is ${options[name]}; it must be above 0.`);
  if (!(options.threshold >= 0 && options.threshold < 1)) faults.push(`threshold is ${options.threshold}; it must be from 0 to below 1.`);
  if (!(options.emphasis >= 0 && options.emphasis <= 10)) faults.push(`emphasis is ${options.emphasis}; it must be from 0 to 10.`);
  if (!(options.framed >= 0 && options.framed <= 1)) faults.push(`framed is ${options.framed}; it must be from 0 to 1.`);
  if (!Number.isSafeInteger(options.seed)) faults.push(`seed is ${options.seed}; give a whole number.`);
  for (const name of ['atoms', 'grid'] as const) if (options[name] % 2 === 1) faults.push(`${name} is ${options[name]}; it must be even.`);
  return faults;
}

/** Whether patches, pools, cells and dimensions fit into each other. */
function fitFaults(options: ClosedFormOptions): string[] {
  const { side, patch, hop, pool, grid, atoms, eigenvectors, dimensions } = options;
  const faults: string[] = [];
  const { patchesAcross, mapSide, cellValues } = closedFormGeometry(options);
  if (patch > side) faults.push(`A patch of ${patch} pixels does not fit into a side of ${side}.`);
  // A gap at one edge alone would tell a picture from its mirror image.
  else if (!Number.isInteger(patchesAcross)) faults.push(`side - patch is ${side - patch}; it must be a multiple of hop, ${hop}.`);
  else if (!Number.isInteger(mapSide)) faults.push(`There are ${patchesAcross} patches across; pool, ${pool}, must divide that.`);
  else if (grid > mapSide) faults.push(`grid is ${grid}; the local map has only ${mapSide} places across.`);
  if (eigenvectors >= atoms) faults.push(`eigenvectors is ${eigenvectors}; it must be below atoms, ${atoms}.`);
  if (dimensions > cellValues) faults.push(`dimensions is ${dimensions}; eigenvectors and grid give only ${cellValues}.`);
  return faults;
}
