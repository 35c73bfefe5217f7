/**
 * The leading eigenvectors of a large symmetric matrix by block subspace iteration: the products run in ONNX Runtime (float64), the small
 * factorisations here. A dense solver would need minutes at 3,072 dimensions where this takes seconds, because few axes are wanted.
 * D: dimensions of the matrix, P: vectors in the block, K: axes wanted.
 */
import { CholeskyDecomposition, EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { encodeModel } from '../compile/onnx-writer.js';

/** Vectors iterated beyond those wanted: convergence goes with (eigenvalue P+1 / eigenvalue K) per step. */
const SPARE_VECTORS = 96;
/** Products with the matrix between two looks at the eigenvalues. */
const STEPS_PER_ROUND = 8;
const ROUNDS_MAX = 60;
/** Relative change of the slowest eigenvalue over a round at which the iteration ends; that of the vectors is about its square root. */
const TOLERANCE = 1e-8;

export type PrincipalAxes = {
  /** Largest first; length K. */
  readonly eigenvalues: Float64Array;
  /** [D, K] row-major: column j is the unit eigenvector of eigenvalue j, its largest component positive. */
  readonly axes: Float64Array;
};

/**
 * The `count` largest eigenvalues and their eigenvectors of a symmetric positive semi-definite matrix ([D, D] row-major). The start is
 * seeded and nothing else is random, so the same matrix gives the same axes. Throws where the iteration does not settle.
 * Source: Rutishauser 1970, simultaneous iteration; orthogonalisation by Cholesky QR.
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
  const session = await InferenceSession.create(productProgram(dimensions, blockSize), { logSeverityLevel: 3 });
  try {
    const product = async (block: Float64Array, mix: Matrix): Promise<Product> => {
      const outputs = await session.run({
        matrix: new Tensor('float64', matrix, [dimensions, dimensions]),
        block: new Tensor('float64', block, [dimensions, blockSize]),
        mix: new Tensor('float64', Float64Array.from(mix.to1DArray()), [blockSize, blockSize]),
      });
      const values = (name: string) => outputs[name]!.data as Float64Array; // The program declares float64 outputs.
      return { mixed: values('mixed'), image: values('image'), gram: square(values('gram')), overlap: square(values('overlap')) };
    };
    const square = (values: Float64Array) => Matrix.from1DArray(blockSize, blockSize, [...values]);

    let { image, gram } = await product(randomBlock(dimensions * blockSize, seed), Matrix.eye(blockSize));
    let previous: readonly number[] | undefined;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      for (let step = 1; step < STEPS_PER_ROUND; step++) ({ image, gram } = await product(image, orthogonaliser(gram)));
      // Rayleigh-Ritz: within the span of an orthonormal block Q, the eigenvectors of Q' A Q are the best.
      const last = await product(image, orthogonaliser(gram)); // mixed = Q, overlap = Q' A Q
      const { eigenvalues, vectors } = symmetricEigen(last.overlap);
      const settled = previous !== undefined && largestChange(previous, eigenvalues, count) < TOLERANCE;
      if (settled) {
        const { mixed } = await product(last.mixed, vectors);
        return { eigenvalues: Float64Array.from(eigenvalues.slice(0, count)), axes: leadingColumns(mixed, blockSize, count) };
      }
      previous = eigenvalues;
      ({ image, gram } = last);
    }
    throw new Error(`The eigenvalues did not settle in ${ROUNDS_MAX * STEPS_PER_ROUND} steps.`);
  } finally {
    await session.release();
  }
}

type Product = { readonly mixed: Float64Array; readonly image: Float64Array; readonly gram: Matrix; readonly overlap: Matrix };

/** mixed = block mix; image = A mixed; gram = image' image; overlap = mixed' image. */
function productProgram(dimensions: number, blockSize: number): Uint8Array {
  const value = (name: string, rows: number, columns: number) => ({ name, type: 'float64', dims: [rows, columns] }) as const;
  return encodeModel({
    opset: 17,
    graph: {
      name: 'subspace-iteration',
      inputs: [value('matrix', dimensions, dimensions), value('block', dimensions, blockSize), value('mix', blockSize, blockSize)],
      outputs: [
        value('mixed', dimensions, blockSize),
        value('image', dimensions, blockSize),
        value('gram', blockSize, blockSize),
        value('overlap', blockSize, blockSize),
      ],
      initializers: [],
      nodes: [
        { op: 'MatMul', inputs: ['block', 'mix'], outputs: ['mixed'] },
        { op: 'MatMul', inputs: ['matrix', 'mixed'], outputs: ['image'] },
        { op: 'Gemm', inputs: ['image', 'image'], outputs: ['gram'], attributes: { transA: 1 } },
        { op: 'Gemm', inputs: ['mixed', 'image'], outputs: ['overlap'], attributes: { transA: 1 } },
      ],
    },
  });
}

/** R such that (image R)' (image R) = I, given gram = image' image: the inverse transpose of its Cholesky factor. */
function orthogonaliser(gram: Matrix): Matrix {
  const size = gram.rows;
  // Scaled to a unit diagonal first: columns that have turned into eigenvectors differ in length by their eigenvalues.
  const scale = gram.diagonal().map((value) => 1 / Math.sqrt(Math.max(value, Number.MIN_VALUE)));
  const scaled = new Matrix(size, size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      const value = gram.get(i, j) * scale[i]! * scale[j]!;
      scaled.set(i, j, value).set(j, i, value); // Symmetric to the last bit, as the factorisation demands.
    }
  }
  // A matrix of lower rank than the block leaves directions of pure rounding error; the ridge keeps them finite, and they rank last.
  for (let i = 0; i < size; i++) scaled.set(i, i, scaled.get(i, i) + 1e-13);
  const lower = new CholeskyDecomposition(scaled).lowerTriangularMatrix;
  const inverse = inverseOfLower(lower);
  const result = new Matrix(size, size);
  for (let i = 0; i < size; i++) for (let j = i; j < size; j++) result.set(i, j, inverse.get(j, i) * scale[i]!);
  return result;
}

function inverseOfLower(lower: Matrix): Matrix {
  const size = lower.rows;
  const inverse = new Matrix(size, size);
  for (let column = 0; column < size; column++) {
    inverse.set(column, column, 1 / lower.get(column, column));
    for (let row = column + 1; row < size; row++) {
      let sum = 0;
      for (let k = column; k < row; k++) sum += lower.get(row, k) * inverse.get(k, column);
      inverse.set(row, column, -sum / lower.get(row, row));
    }
  }
  return inverse;
}

/** Eigenvalues largest first, and the eigenvectors as columns in the same order. */
function symmetricEigen(matrix: Matrix): { readonly eigenvalues: readonly number[]; readonly vectors: Matrix } {
  const symmetric = Matrix.add(matrix, matrix.transpose()).mul(0.5);
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true });
  const order = realEigenvalues.map((_, index) => index).sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!);
  const all = order.map((_, index) => index);
  return {
    eigenvalues: order.map((index) => realEigenvalues[index]!),
    vectors: eigenvectorMatrix.subMatrix(0, matrix.rows - 1, 0, matrix.rows - 1).selection(all, order),
  };
}

/** Largest change of a leading eigenvalue, relative to it or, among those that are next to nothing, to a millionth of the largest. */
function largestChange(before: readonly number[], after: readonly number[], count: number): number {
  const floor = 1e-6 * after[0]!;
  return Math.max(...after.slice(0, count).map((value, index) => Math.abs(value - before[index]!) / Math.max(value, floor)));
}

/** The first `count` columns, each turned so that its largest component is positive: an eigenvector's sign is arbitrary. */
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

/** Uniform in -1..1 from mulberry32 (Tommy Ettinger, public domain): any start that spans the space will do. */
function randomBlock(length: number, seed: number): Float64Array {
  let state = seed >>> 0;
  return Float64Array.from({ length }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 31 - 1;
  });
}
