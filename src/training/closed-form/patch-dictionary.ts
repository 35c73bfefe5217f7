/**
 * Whitening of patches and a dictionary of random whitened patches, both closed under mirroring: the mirror image of a
 * patch activates the mirror images of its atoms, equally. That symmetry is what makes the encoder invariant to
 * mirroring without encoding a picture twice. Source of the recipe: Chen et al. 2022 (Minimalistic Unsupervised
 * Learning with the Sparse Manifold Transform), section 4. n = 3 p p: values of a patch, K: atoms.
 */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { SearchError } from '../../errors.js';
import { seededRandom, shuffledIndices } from '../../seeded-random.js';
import { mirroredPatches, type PatchSample } from './patch-sample.js';
import { SecondMoments } from './second-moments.js';

/** whitening: [n, n], for patches with channel means. atoms: [K, n], unit rows of whitened patches. */
export type PatchDictionary = {
  readonly patch: number;
  readonly whitening: Float32Array;
  readonly atoms: Float32Array;
};

/**
 * Whitens by (C + regularisation I)^-1/2, C the covariance of patches and their mirror images, and takes K/2 random
 * patches and their mirror images as atoms: atom K/2 + i is the mirror image of atom i. INVALID_SETTINGS where the
 * images do not have as many patches.
 */
export async function buildPatchDictionary(options: {
  readonly sample: PatchSample;
  readonly patch: number;
  readonly atoms: number;
  readonly regularisation: number;
  readonly seed: number;
}): Promise<PatchDictionary> {
  const { sample, patch, atoms, regularisation, seed } = options;
  const half = atoms / 2;
  if (sample.patches < half) {
    const remedy = 'Give more images or fewer atoms';
    throw new SearchError(
      'INVALID_SETTINGS',
      `${atoms} atoms need ${half} patches that are not flat; the images gave ${sample.patches}. ${remedy}.`,
    );
  }
  const size = 3 * patch * patch;
  const whitening = await symmetricWhitening(sample.values, patch, regularisation);
  const chosen = shuffledIndices(sample.patches, seededRandom(seed)).subarray(0, half);
  const rows = new Float32Array(half * size);
  for (const [at, index] of chosen.entries()) {
    rows.set(unitProduct(whitening, sample.values.subarray(index * size, (index + 1) * size)), at * size);
  }
  const both = new Float32Array(atoms * size);
  both.set(rows);
  // Whitening commutes with mirroring.
  both.set(mirroredPatches(rows, patch), rows.length);
  return { patch, whitening, atoms: both };
}

/**
 * [n, n]: (C + r I)^-1/2 after removal of channel means. Symmetric (ZCA) because no other square root commutes
 * with mirroring.
 */
async function symmetricWhitening(values: Float32Array, patch: number, regularisation: number): Promise<Float32Array> {
  const size = 3 * patch * patch;
  const moments = await SecondMoments.open(size);
  try {
    await moments.add(values);
    await moments.add(mirroredPatches(values, patch));
    const { covariance } = await moments.moments();
    const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(
      Matrix.from1DArray(size, size, [...covariance]),
      {
        assumeSymmetric: true,
      },
    );
    const scaled = eigenvectorMatrix.clone();
    realEigenvalues.forEach((value, column) => {
      scaled.mulColumn(column, 1 / Math.sqrt(Math.max(value, 0) + regularisation));
    });
    const root = scaled.mmul(eigenvectorMatrix.transpose());
    return Float32Array.from(root.mmul(channelCentring(patch)).to1DArray());
  } finally {
    await moments.close();
  }
}

/** [n, n]: subtracts from each value the mean of its channel. */
function channelCentring(patch: number): Matrix {
  const area = patch * patch;
  const centring = Matrix.eye(3 * area);
  for (let row = 0; row < 3 * area; row++) {
    const first = Math.floor(row / area) * area;
    for (let column = first; column < first + area; column++)
      centring.set(row, column, centring.get(row, column) - 1 / area);
  }
  return centring;
}

function unitProduct(matrix: Float32Array, vector: Float32Array): Float32Array {
  const size = vector.length;
  const product = Float64Array.from({ length: size }, (_, row) => {
    let sum = 0;
    for (let at = 0; at < size; at++) sum += matrix[row * size + at]! * vector[at]!;
    return sum;
  });
  const norm = Math.hypot(...product);
  return Float32Array.from(product, (value) => value / norm);
}
