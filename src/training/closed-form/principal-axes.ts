/**
 * The leading eigenvectors of a large symmetric matrix by block subspace iteration: the products run in ONNX Runtime
 * (float64), the small factorisations here. A dense solver would need minutes at 3,072 dimensions where this takes
 * seconds, because few axes are wanted. D: dimensions of the matrix, P: vectors in the block, K: axes wanted.
 */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { Tensor } from 'onnxruntime-node';
import { openGraph, type SmallGraph } from '../../compile/graph-session.js';
import { seededRandom } from '../../seeded-random.js';
import { choleskyFactor, invertedLower } from './cholesky.js';

/** Vectors iterated beyond those wanted: convergence goes with (eigenvalue P+1 / eigenvalue K) per step. */
const SPARE_VECTORS = 96;
/** Products with the matrix between two checks of the eigenvalues. */
const STEPS_PER_ROUND = 8;
const ROUNDS_MAX = 60;
/**
 * Relative change of the slowest eigenvalue over a round that ends the iteration; that of the vectors is about its
 * root.
 */
const TOLERANCE = 1e-8;

export type PrincipalAxes = {
  /** Largest first; length K. */
  readonly eigenvalues: Float64Array;
  /** [D, K] row-major: column j is the unit eigenvector of eigenvalue j, its largest component positive. */
  readonly axes: Float64Array;
};

/**
 * The `count` largest eigenvalues and their eigenvectors of a symmetric positive semi-definite matrix ([D, D]
 * row-major). The start is seeded and nothing else is random, so the same matrix gives the same axes. Throws where the
 * iteration does not settle. Source: Rutishauser 1970, simultaneous iteration; orthogonalisation by Cholesky QR.
 */
export async function principalAxes(options: {
  readonly matrix: Float64Array;
  readonly dimensions: number;
  readonly count: number;
  readonly seed: number;
}): Promise<PrincipalAxes> {
  const { matrix, dimensions, count, seed } = options;
  const blockSize = Math.min(dimensions, count + SPARE_VECTORS);
  if (count > dimensions) throw new Error(`${count} axes are wanted of a matrix of ${dimensions} dimensions.`);
  const session = await openGraph(productGraph(dimensions, blockSize));
  try {
    const product = async (block: Float64Array, mix: Float64Array): Promise<Product> => {
      const outputs = await session.run({
        matrix: new Tensor('float64', matrix, [dimensions, dimensions]),
        block: new Tensor('float64', block, [dimensions, blockSize]),
        mix: new Tensor('float64', mix, [blockSize, blockSize]),
      });
      const values = (name: string) => outputs[name]!.data as Float64Array; // The program declares float64 outputs.
      return {
        mixed: values('mixed'),
        image: values('image'),
        gram: values('gram'),
        overlap: values('overlap'),
      };
    };

    let { image, gram } = await product(
      randomBlock(dimensions * blockSize, seed),
      Float64Array.from(Matrix.eye(blockSize).to1DArray()),
    );
    let previous: readonly number[] | undefined;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      for (let step = 1; step < STEPS_PER_ROUND; step++)
        ({ image, gram } = await product(image, orthogonaliser(gram, blockSize)));
      // Rayleigh-Ritz: within the span of an orthonormal block Q, the eigenvectors of Q' A Q are the best.
      const last = await product(image, orthogonaliser(gram, blockSize)); // mixed = Q, overlap = Q' A Q
      const { eigenvalues, vectors } = symmetricEigen(last.overlap, blockSize);
      const settled = previous !== undefined && largestChange(previous, eigenvalues, count) < TOLERANCE;
      if (settled) {
        const { mixed } = await product(last.mixed, vectors);
        return {
          eigenvalues: Float64Array.from(eigenvalues.slice(0, count)),
          axes: leadingColumns(mixed, blockSize, count),
        };
      }
      previous = eigenvalues;
      ({ image, gram } = last);
    }
    throw new Error(`The eigenvalues did not settle in ${ROUNDS_MAX * STEPS_PER_ROUND} steps.`);
  } finally {
    await session.release();
  }
}

type Product = {
  readonly mixed: Float64Array;
  readonly image: Float64Array;
  readonly gram: Float64Array;
  readonly overlap: Float64Array;
};

/** mixed = block mix; image = A mixed; gram = image' image; overlap = mixed' image. */
function productGraph(dimensions: number, blockSize: number): SmallGraph {
  const value = (name: string, rows: number, columns: number) =>
    ({ name, type: 'float64', dims: [rows, columns] }) as const;
  return {
    name: 'subspace-iteration',
    inputs: [
      value('matrix', dimensions, dimensions),
      value('block', dimensions, blockSize),
      value('mix', blockSize, blockSize),
    ],
    outputs: [
      value('mixed', dimensions, blockSize),
      value('image', dimensions, blockSize),
      value('gram', blockSize, blockSize),
      value('overlap', blockSize, blockSize),
    ],
    nodes: [
      { op: 'MatMul', inputs: ['block', 'mix'], outputs: ['mixed'] },
      { op: 'MatMul', inputs: ['matrix', 'mixed'], outputs: ['image'] },
      { op: 'Gemm', inputs: ['image', 'image'], outputs: ['gram'], attributes: { transA: 1 } },
      { op: 'Gemm', inputs: ['mixed', 'image'], outputs: ['overlap'], attributes: { transA: 1 } },
    ],
  };
}

/** R such that (image R)' (image R) = I, given gram = image' image: the inverse transpose of its Cholesky factor. */
function orthogonaliser(gram: Float64Array, size: number): Float64Array {
  // Scaled to a unit diagonal first: columns that have turned into eigenvectors differ in length by their eigenvalues.
  const scale = Float64Array.from(
    { length: size },
    (_, i) => 1 / Math.sqrt(Math.max(gram[i * size + i]!, Number.MIN_VALUE)),
  );
  const scaled = gram.map((value, at) => value * scale[Math.floor(at / size)]! * scale[at % size]!);
  // A matrix of lower rank than the block leaves directions of pure rounding error; the ridge keeps them finite, and
  // they rank last.
  for (let i = 0; i < size; i++) scaled[i * size + i] = scaled[i * size + i]! + 1e-13;
  const inverse = invertedLower(choleskyFactor(scaled, size), size);
  const result = new Float64Array(size * size);
  for (let i = 0; i < size; i++)
    for (let j = i; j < size; j++) result[i * size + j] = inverse[j * size + i]! * scale[i]!;
  return result;
}

/** Eigenvalues largest first, and the eigenvectors as columns in the same order. */
function symmetricEigen(
  values: Float64Array,
  size: number,
): { readonly eigenvalues: readonly number[]; readonly vectors: Float64Array } {
  const matrix = Matrix.from1DArray(size, size, values);
  const symmetric = Matrix.add(matrix, matrix.transpose()).mul(0.5);
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true });
  const order = realEigenvalues.map((_, index) => index).sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!);
  return {
    eigenvalues: order.map((index) => realEigenvalues[index]!),
    vectors: Float64Array.from({ length: size * size }, (_, at) =>
      eigenvectorMatrix.get(Math.floor(at / size), order[at % size]!),
    ),
  };
}

/** Largest relative change of a leading eigenvalue; negligible ones are compared with a millionth of the largest. */
function largestChange(before: readonly number[], after: readonly number[], count: number): number {
  const floor = 1e-6 * after[0]!;
  return Math.max(
    ...after.slice(0, count).map((value, index) => Math.abs(value - before[index]!) / Math.max(value, floor)),
  );
}

/**
 * The first `count` columns, each turned so that its largest component is positive: an eigenvector's sign is arbitrary.
 */
function leadingColumns(block: Float64Array, blockSize: number, count: number): Float64Array {
  const rows = block.length / blockSize;
  const columns = new Float64Array(rows * count);
  for (let column = 0; column < count; column++) {
    let largest = 0;
    for (let row = 0; row < rows; row++) {
      const value = block[row * blockSize + column]!;
      if (Math.abs(value) > Math.abs(largest)) largest = value;
    }
    const sign = largest < 0 ? -1 : 1;
    for (let row = 0; row < rows; row++) columns[row * count + column] = sign * block[row * blockSize + column]!;
  }
  return columns;
}

/** Uniform in -1..1: any start that spans the space is sufficient. */
function randomBlock(length: number, seed: number): Float64Array {
  const random = seededRandom(seed);
  return Float64Array.from({ length }, () => 2 * random() - 1);
}
