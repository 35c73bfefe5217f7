/**
 * Regularised PCA-whitening, the baseline encoder in closed form: pixels are centred, rotated to the principal axes of
 * the training images and divided by the standard deviation along each, damped where it is small. After L2
 * normalisation the cosine weights all directions of variation about equally, and not overall brightness above all. N:
 * images, D: 3 x height x width, K: dimensions of the embedding.
 */
import { encodeModel } from '../../compile/onnx-writer.js';
import { EMBEDDING_OUTPUT, PIXELS_INPUT, type SavedEncoder, writeSavedEncoder } from '../../encoder/saved-encoder.js';
import { SearchError } from '../../errors.js';
import type { Pixels } from '../../images/pixels.js';
import { type Preprocessing, writeInputTensor } from '../../images/preprocessing.js';
import { principalAxes } from './principal-axes.js';
import { type Moments, SecondMoments } from './second-moments.js';

/** In units of the mean eigenvalue. Chosen on a validation split of CIFAR-10: bench/whitening-regularisation.ts. */
const WHITENING_REGULARISATION = 1;
export const WHITENING_DIMENSIONS = 256;
/** The whole picture at 32x32, centred on mid grey so that second moments stay accurate in float32. */
export const WHITENING_PREPROCESSING: Preprocessing = {
  width: 32,
  height: 32,
  fit: 'stretch',
  mean: [0.5, 0.5, 0.5],
  scale: [1, 1, 1],
  layout: 'NCHW',
};

const PROGRESS_EVERY_IMAGES = 1000;
const SEED = 20181;

/** Mean image [D] and the leading principal axes [D, K] row-major with their eigenvalues [K], of `images` images. */
export type Whitening = {
  readonly images: number;
  readonly mean: Float64Array;
  readonly axes: Float64Array;
  readonly eigenvalues: Float64Array;
  /** Total variance / D: the unit of the regularisation, so that one value serves images of any contrast. */
  readonly meanEigenvalue: number;
};

/**
 * Fits mean and principal axes in one pass. The same images in the same order give the same result. INVALID_SETTINGS
 * where there are too few images for `dimensions` axes. onProgress: number of images read.
 */
export async function fitWhitening(options: {
  readonly images: AsyncIterable<Pixels> | Iterable<Pixels>;
  readonly preprocessing: Preprocessing;
  readonly dimensions: number;
  readonly onProgress?: (images: number) => void;
}): Promise<Whitening> {
  const { images, preprocessing, dimensions, onProgress } = options;
  const size = 3 * preprocessing.width * preprocessing.height;
  if (dimensions > size) {
    throw new SearchError(
      'INVALID_SETTINGS',
      `Whitening yields at most ${size} dimensions of ${preprocessing.width}x${preprocessing.height} pixels.`,
    );
  }
  const { count, mean, covariance } = await pixelMoments(images, preprocessing, onProgress);
  if (count <= dimensions) {
    throw new SearchError(
      'INVALID_SETTINGS',
      `Whitening to ${dimensions} dimensions needs more than ${dimensions} images; there are ${count}.`,
    );
  }
  let variance = 0;
  for (let at = 0; at < size; at++) variance += covariance[at * size + at]!;
  const { axes, eigenvalues } = await principalAxes({
    matrix: covariance,
    dimensions: size,
    count: dimensions,
    seed: SEED,
  });
  return { images: count, mean, axes, eigenvalues, meanEigenvalue: variance / size };
}

/**
 * The whitening as an ONNX program: pixels -> minus mean image -> [D, K] projection -> L2 norm 1. Column j of the
 * projection is axis j over sqrt(eigenvalue j + regularisation x mean eigenvalue); without a regularisation it is the
 * axis itself, and the program plain PCA.
 */
export function whiteningProgram(
  whitening: Whitening,
  preprocessing: Preprocessing,
  regularisation: number | undefined,
): Uint8Array {
  const { mean, axes, eigenvalues, meanEigenvalue } = whitening;
  const { width, height, layout } = preprocessing;
  const size = mean.length;
  const dimensions = eigenvalues.length;
  const weights = eigenvalues.map((value) =>
    regularisation === undefined ? 1 : 1 / Math.sqrt(Math.max(value, 0) + regularisation * meanEigenvalue),
  );
  const projection = Float32Array.from(axes, (value, at) => value * weights[at % dimensions]!);
  return encodeModel({
    opset: 17,
    graph: {
      name: 'whitening',
      inputs: [
        {
          name: PIXELS_INPUT,
          type: 'float32',
          dims: layout === 'NCHW' ? ['batch', 3, height, width] : ['batch', height, width, 3],
        },
      ],
      outputs: [{ name: EMBEDDING_OUTPUT, type: 'float32', dims: ['batch', dimensions] }],
      initializers: [
        { name: 'mean', dims: [size], data: Float32Array.from(mean) },
        { name: 'projection', dims: [size, dimensions], data: projection },
        // An image equal to the mean becomes the zero vector, which the encoder rejects, instead of 0 / 0.
        { name: 'smallest_norm', dims: [], data: Float32Array.of(1e-12) },
      ],
      nodes: [
        { op: 'Flatten', inputs: [PIXELS_INPUT], outputs: ['flat'], attributes: { axis: 1 } },
        { op: 'Sub', inputs: ['flat', 'mean'], outputs: ['centred'] },
        { op: 'MatMul', inputs: ['centred', 'projection'], outputs: ['whitened'] },
        { op: 'ReduceL2', inputs: ['whitened'], outputs: ['norm'], attributes: { axes: [-1], keepdims: 1 } },
        { op: 'Max', inputs: ['norm', 'smallest_norm'], outputs: ['safe_norm'] },
        { op: 'Div', inputs: ['whitened', 'safe_norm'], outputs: [EMBEDDING_OUTPUT] },
      ],
    },
  });
}

/** Facts for the manifest and the model card. */
export type WhiteningDataFacts = {
  readonly data: string;
  readonly licence: string;
  readonly command: string;
};

/**
 * Fits a whitening encoder to unlabelled images (32x32 as {@link WHITENING_PREPROCESSING} says) and saves it in the
 * folder `out`. An existing folder is INVALID_SETTINGS unless `replace`. regularisation `none`: no whitening at all,
 * plain PCA, for comparison.
 */
export async function fitWhiteningEncoder(options: {
  readonly images: AsyncIterable<Pixels> | Iterable<Pixels>;
  readonly out: string;
  readonly name: string;
  readonly dimensions?: number;
  readonly regularisation?: number | 'none';
  readonly dataFacts: WhiteningDataFacts;
  readonly replace?: boolean;
  readonly onProgress?: (images: number) => void;
}): Promise<SavedEncoder> {
  const { images, out, name, dataFacts, onProgress, replace = false } = options;
  const { dimensions = WHITENING_DIMENSIONS, regularisation = WHITENING_REGULARISATION } = options;
  if (regularisation !== 'none' && !(regularisation > 0))
    throw new SearchError('INVALID_SETTINGS', `The regularisation is ${regularisation}; it must be above 0.`);
  const preprocessing = WHITENING_PREPROCESSING;
  const whitening = await fitWhitening({ images, preprocessing, dimensions, ...(onProgress && { onProgress }) });
  const kept =
    whitening.eigenvalues.reduce((sum, value) => sum + value, 0) / (whitening.meanEigenvalue * whitening.mean.length);
  const training = {
    method: regularisation === 'none' ? 'PCA' : 'regularised PCA-whitening',
    data: dataFacts.data,
    images: whitening.images,
    regularisation,
    meanEigenvalue: Number(whitening.meanEigenvalue.toPrecision(6)),
    varianceKept: Number(kept.toPrecision(4)),
    command: dataFacts.command,
  };
  return writeSavedEncoder({
    folder: out,
    onnx: whiteningProgram(whitening, preprocessing, regularisation === 'none' ? undefined : regularisation),
    card: modelCard({ name, dimensions, dataFacts, training }),
    manifest: {
      name,
      dimensions,
      preprocessing,
      outputs: { embedding: EMBEDDING_OUTPUT },
      training,
      dataLicence: dataFacts.licence,
      created: new Date().toISOString(),
    },
    replace,
  });
}

async function pixelMoments(
  images: AsyncIterable<Pixels> | Iterable<Pixels>,
  preprocessing: Preprocessing,
  onProgress: ((images: number) => void) | undefined,
): Promise<Moments> {
  const row = new Float32Array(3 * preprocessing.width * preprocessing.height);
  const moments = await SecondMoments.open(row.length);
  try {
    let count = 0;
    for await (const pixels of images) {
      writeInputTensor({ pixels, preprocessing, target: row, index: 0 });
      await moments.add(row);
      if (++count % PROGRESS_EVERY_IMAGES === 0) onProgress?.(count);
    }
    onProgress?.(count);
    return await moments.moments();
  } finally {
    await moments.close();
  }
}

function modelCard(facts: {
  readonly name: string;
  readonly dimensions: number;
  readonly dataFacts: WhiteningDataFacts;
  readonly training: Readonly<Record<string, string | number | boolean>>;
}): string {
  const { name, dimensions, dataFacts, training } = facts;
  const { width, height, fit } = WHITENING_PREPROCESSING;
  const spread = `the axes hold ${(100 * Number(training.varianceKept)).toFixed(1)} % of the variance`;
  const isPlain = training.regularisation === 'none';
  return `# ${name}

${isPlain ? 'Plain PCA' : 'Regularised PCA-whitening'} of ${width}x${height} RGB pixels (\`fit: ${fit}\`) to ${dimensions} dimensions, L2-normalised: a baseline in closed form, fitted to
unlabelled images. It compares layout and colour of whole pictures, at low resolution. It finds copies, rescaled and recompressed versions
and pictures alike at a glance; it does not know objects, and is not invariant to mirroring, rotation or crops.

- **Data**: ${dataFacts.data}, ${training.images} images, labels unused. Licence of the data: ${dataFacts.licence}
- **Made by**: \`${dataFacts.command}\`
- **Regularisation**: ${isPlain ? 'none, and no scaling of the axes' : `${training.regularisation} x the mean eigenvalue (${training.meanEigenvalue})`}; ${spread}.
`;
}
