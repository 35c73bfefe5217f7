/**
 * The leading solutions of M w = lambda V w for symmetric M and positive definite V: V = L L' turns it into the
 * ordinary problem of L^-1 M L^-T. The factorisation is done here, the large products in ONNX Runtime (float64).
 * D: dimensions.
 */
import { Tensor } from 'onnxruntime-node';
import { openGraph } from '../../compile/graph-session.js';
import { choleskyFactor, invertedLower } from './cholesky.js';
import { principalAxes } from './principal-axes.js';

export type GeneralisedEigen = {
  /** Largest first. */
  readonly eigenvalues: Float64Array;
  /** [D, count] row-major: column j solves the equation for eigenvalue j; the columns W have W' V W = I. */
  readonly vectors: Float64Array;
};

/**
 * The `count` largest solutions; m and v are [D, D] row-major and not changed. Throws where v is not positive definite.
 */
export async function generalisedEigen(options: {
  readonly m: Float64Array;
  readonly v: Float64Array;
  readonly dimensions: number;
  readonly count: number;
  readonly seed: number;
}): Promise<GeneralisedEigen> {
  const { m, v, dimensions, count, seed } = options;
  const inverse = invertedLower(choleskyFactor(v, dimensions), dimensions);
  const matrix = symmetrised(
    await product(inverse, await product(m, inverse, { transposed: 'right' }), {}),
    dimensions,
  );
  const { eigenvalues, axes } = await principalAxes({ matrix, dimensions, count, seed });
  return { eigenvalues, vectors: await product(inverse, axes, { transposed: 'left' }) };

  function product(
    a: Float64Array,
    b: Float64Array,
    { transposed }: { readonly transposed?: 'left' | 'right' },
  ): Promise<Float64Array> {
    return multiply({ a, b, inner: dimensions, transposed });
  }
}

/** a b, a' b or a b', where `inner` is the dimension summed over. */
async function multiply(options: {
  readonly a: Float64Array;
  readonly b: Float64Array;
  readonly inner: number;
  readonly transposed: 'left' | 'right' | undefined;
}): Promise<Float64Array> {
  const { a, b, inner, transposed } = options;
  const [rows, columns] = [a.length / inner, b.length / inner];
  const dims = {
    a: transposed === 'left' ? [inner, rows] : [rows, inner],
    b: transposed === 'right' ? [columns, inner] : [inner, columns],
  };
  const session = await openGraph({
    name: 'product',
    inputs: [
      { name: 'a', type: 'float64', dims: dims.a },
      { name: 'b', type: 'float64', dims: dims.b },
    ],
    outputs: [{ name: 'product', type: 'float64', dims: [rows, columns] }],
    nodes: [
      {
        op: 'Gemm',
        inputs: ['a', 'b'],
        outputs: ['product'],
        attributes: { transA: transposed === 'left' ? 1 : 0, transB: transposed === 'right' ? 1 : 0 },
      },
    ],
  });
  try {
    const outputs = await session.run({ a: new Tensor('float64', a, dims.a), b: new Tensor('float64', b, dims.b) });
    return outputs.product!.data as Float64Array; // The program declares a float64 output.
  } finally {
    await session.release();
  }
}

/** Removes the asymmetry of rounding errors. */
function symmetrised(matrix: Float64Array, size: number): Float64Array {
  const result = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      result[row * size + column] = (matrix[row * size + column]! + matrix[column * size + row]!) / 2;
    }
  }
  return result;
}
