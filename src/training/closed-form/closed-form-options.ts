/** Options of closed-form recipes: types, defaults, checks, and the sizes that follow from them. */
import { SearchError } from '../../errors.js';
import type { Preprocessing } from '../../images/preprocessing.js';

/** All settings that, with the images, determine a closed-form encoder. */
export type ClosedFormOptions = {
  /** Side of the square input in pixels; images are stretched to it. */
  readonly side: number;
  /** Side of a patch in pixels. */
  readonly patch: number;
  /** Pixels between neighbouring patches, in both directions. */
  readonly stride: number;
  /** Atoms of the dictionary, even: half are patches of the images, half their mirror images. */
  readonly atoms: number;
  /** The code of a patch for an atom is their cosine minus this, where that is positive; 0..1. */
  readonly threshold: number;
  /** Codes are averaged over squares of this many patches before they are projected. */
  readonly pool: number;
  /** Dimensions of a local embedding. */
  readonly eigenvectors: number;
  /** A picture is divided into grid x grid cells. Even: the mirror image of a cell is another cell. */
  readonly grid: number;
  /** Dimensions of the embedding. */
  readonly dimensions: number;
  /** Added to the variances of pixels (0..1) within patches before whitening. */
  readonly patchRegularisation: number;
  /** Added to the covariance of codes, in units of its mean diagonal; limits the weight of rare atoms. */
  readonly ridge: number;
  /** Added to the variances of cells before the last projection, in units of their mean. */
  readonly regularisation: number;
  /**
   * Dimensions are weighted by the correlation of two views to this power: 0 weights all equally, 1 favours what views
   * share.
   */
  readonly correlationPower: number;
  /** Random views of each image for the fit of the last projection. */
  readonly views: number;
  /**
   * The images of a fit are this multiple of `side` and shrunk after a view was cropped, so that crops are as sharp as
   * whole pictures. 1 where the source has no more pixels, as CIFAR-10.
   */
  readonly oversampling: number;
  /** Probability that a view lies in a frame of one colour, as copies with a border do; 0..1. */
  readonly frameProbability: number;
  /** Images for the moments of codes, evenly spread over the source; all images fit the last projection. */
  readonly momentImages: number;
  /** Patches per image for the covariance of codes. */
  readonly codesPerImage: number;
  readonly seed: number;
};

/** Chosen on a validation split; see the card of models/closed-form-cifar10. */
const CLOSED_FORM_DEFAULTS: ClosedFormOptions = {
  side: 32,
  patch: 6,
  stride: 2,
  atoms: 2048,
  threshold: 0.2,
  pool: 2,
  eigenvectors: 256,
  grid: 4,
  dimensions: 256,
  patchRegularisation: 1e-3,
  ridge: 1e-4,
  regularisation: 0.03,
  correlationPower: 1.5,
  views: 1,
  oversampling: 1,
  frameProbability: 0,
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
  /** Cells across the local map, after pooling. */
  readonly mapSide: number;
  /** Inputs of the last projection: eigenvectors x grid x grid / 2, as mirrored cells are merged. */
  readonly cellValues: number;
};

/** Fills in the defaults and checks everything: INVALID_SETTINGS lists every fault with its remedy. */
export function closedFormOptions(given: Partial<ClosedFormOptions>): ClosedFormOptions {
  const options = { ...CLOSED_FORM_DEFAULTS, ...given };
  const faults = [...numberFaults(options), ...fitFaults(options)];
  if (faults.length > 0) throw new SearchError('INVALID_SETTINGS', `Recipe closed-form: ${faults.join(' ')}`);
  return options;
}

/** See {@link ClosedFormGeometry}. The options must have been checked. */
export function closedFormGeometry(options: ClosedFormOptions): ClosedFormGeometry {
  const { side, patch, stride, pool, eigenvectors, grid } = options;
  const patchesAcross = (side - patch) / stride + 1;
  return {
    patchValues: 3 * patch * patch,
    patchesAcross,
    mapSide: patchesAcross / pool,
    cellValues: (eigenvectors * grid * grid) / 2,
  };
}

/** Preprocessing of the encoder: stretch to side x side; mid grey becomes 0, the range of a pixel 1. */
export function closedFormPreprocessing(options: Pick<ClosedFormOptions, 'side'>): Preprocessing {
  return {
    width: options.side,
    height: options.side,
    fit: 'stretch',
    mean: [0.5, 0.5, 0.5],
    scale: [1, 1, 1],
    layout: 'NCHW',
  };
}

/** Preprocessing of the images of a fit: {@link closedFormPreprocessing} at `oversampling` times the side. */
export function closedFormFitPreprocessing({
  side,
  oversampling,
}: Pick<ClosedFormOptions, 'side' | 'oversampling'>): Preprocessing {
  return closedFormPreprocessing({ side: side * oversampling });
}

const WHOLE = [
  'side',
  'patch',
  'stride',
  'atoms',
  'pool',
  'eigenvectors',
  'grid',
  'dimensions',
  'views',
  'oversampling',
  'momentImages',
  'codesPerImage',
] as const;
const POSITIVE = ['patchRegularisation', 'ridge', 'regularisation'] as const;

function numberFaults(options: ClosedFormOptions): string[] {
  const faults: string[] = WHOLE.filter((name) => !Number.isSafeInteger(options[name]) || options[name] < 1).map(
    (name) => `${name} is ${options[name]}; give a whole number above 0.`,
  );
  for (const name of POSITIVE)
    if (!(options[name] > 0 && options[name] < Number.POSITIVE_INFINITY))
      faults.push(`${name} is ${options[name]}; it must be above 0.`);
  if (!(options.threshold >= 0 && options.threshold < 1))
    faults.push(`threshold is ${options.threshold}; it must be from 0 to below 1.`);
  if (!(options.correlationPower >= 0 && options.correlationPower <= 10))
    faults.push(`correlationPower is ${options.correlationPower}; it must be from 0 to 10.`);
  if (!(options.frameProbability >= 0 && options.frameProbability <= 1))
    faults.push(`frameProbability is ${options.frameProbability}; it must be from 0 to 1.`);
  if (!Number.isSafeInteger(options.seed)) faults.push(`seed is ${options.seed}; give a whole number.`);
  for (const name of ['atoms', 'grid'] as const)
    if (options[name] % 2 === 1) faults.push(`${name} is ${options[name]}; it must be even.`);
  return faults;
}

/** Faults where patches, pools, cells and dimensions do not fit together. */
function fitFaults(options: ClosedFormOptions): string[] {
  const { side, patch, stride, pool, grid, atoms, eigenvectors, dimensions } = options;
  const faults: string[] = [];
  const { patchesAcross, mapSide, cellValues } = closedFormGeometry(options);
  if (patch > side) faults.push(`A patch of ${patch} pixels does not fit into a side of ${side}.`);
  // A gap at one edge would make the encoder depend on mirroring.
  else if (!Number.isInteger(patchesAcross))
    faults.push(`side - patch is ${side - patch}; it must be a multiple of stride, ${stride}.`);
  else if (!Number.isInteger(mapSide))
    faults.push(`There are ${patchesAcross} patches across; pool, ${pool}, must divide that.`);
  else if (grid > mapSide) faults.push(`grid is ${grid}; the local map has only ${mapSide} places across.`);
  if (eigenvectors >= atoms) faults.push(`eigenvectors is ${eigenvectors}; it must be below atoms, ${atoms}.`);
  if (dimensions > cellValues)
    faults.push(`dimensions is ${dimensions}; eigenvectors and grid give only ${cellValues}.`);
  return faults;
}
