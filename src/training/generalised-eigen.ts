/**
 * The leading solutions of M w = lambda V w for symmetric M and positive definite V: V = L L' turns it into the ordinary problem of
 * L^-1 M L^-T. The factorisation is done here, the large products in ONNX Runtime (float64). D: dimensions.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { encodeModel } from '../compile/onnx-writer.js';
import { principalAxes } from './principal-axes.js';

export type GeneralisedEigen = {
  /** Largest first. */
  readonly eigenvalues: Float64Array;
  /** [D, count] row-major: column j solves the equation for eigenvalue j; the columns W have W' V W = I. */
  readonly vectors: Float64Array;
};

/** The `count` largest solutions; m and v are [D, D] row-major, both are left as they are. Throws where v is not positive definite. */
export async function generalisedEigen(options: {
  readonly m: Float64Array;
  readonly v: Float64Array;
  readonly dimensions: number;
  readonly count: number;
  readonly seed: number;
}): Promise<GeneralisedEigen> {
  const { m, v, dimensions, count, seed } = options;
  const inverse = invertedLower(choleskyFactor(v, dimensions), dimensions);
  const matrix = symmetrised(await product(inverse, await product(m, inverse, { transposed: 'right' }), {}), dimensions);
  const { eigenvalues, axes } = await principalAxes({ matrix, dimensions, count, seed });
  return { eigenvalues, vectors: await product(inverse, axes, { transposed: 'left' }) };

  function product(a: Float64Array, b: Float64Array, { transposed }: { readonly transposed?: 'left' | 'right' }): Promise<Float64Array> {
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
  const program = encodeModel({
    opset: 17,
    graph: {
      name: 'product',
      inputs: [
        { name: 'a', type: 'float64', dims: dims.a },
        { name: 'b', type: 'float64', dims: dims.b },
      ],
      outputs: [{ name: 'product', type: 'float64', dims: [rows, columns] }],
      initializers: [],
      nodes: [
        {
          op: 'Gemm',
          inputs: ['a', 'b'],
          outputs: ['product'],
          attributes: { transA: transposed === 'left' ? 1 : 0, transB: transposed === 'right' ? 1 : 0 },
        },
      ],
    },
  });
  const session = await InferenceSession.create(program, { logSeverityLevel: 3 });
  try {
    const outputs = await session.run({ a: new Tensor('float64', a, dims.a), b: new Tensor('float64', b, dims.b) });
    return outputs.product!.data as Float64Array; // The program declares a float64 output.
  } finally {
    await session.release();
  }
}

/** The lower triangular L with L L' = matrix. Row by row, so that every inner loop runs along rows. */
function choleskyFactor(matrix: Float64Array, size: number): Float64Array {
  const lower = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = matrix[row * size + column]!;
      for (let k = 0; k < column; k++) sum -= lower[row * size + k]! * lower[column * size + k]!;
      if (column < row) lower[row * size + column] = sum / lower[column * size + column]!;
      else if (sum > 0) lower[row * size + row] = Math.sqrt(sum);
      else throw new Error(`The matrix is not positive definite at row ${row}.`);
    }
  }
  return lower;
}

/** L^-1, by rows: row i is (e_i - sum over k < i of L_ik row k) / L_ii. */
function invertedLower(lower: Float64Array, size: number): Float64Array {
  const inverse = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    const target = inverse.subarray(row * size, row * size + row + 1);
    for (let k = 0; k < row; k++) {
      const factor = lower[row * size + k]!;
      for (let column = 0; column <= k; column++) target[column] = target[column]! - factor * inverse[k * size + column]!;
    }
    target[row] = 1;
    const pivot = lower[row * size + row]!;
    for (let column = 0; column <= row; column++) target[column] = target[column]! / pivot;
  }
  return inverse;
}

/** Products in floating point leave a trace of asymmetry. */
function symmetrised(matrix: Float64Array, size: number): Float64Array {
  const result = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      result[row * size + column] = (matrix[row * size + column]! + matrix[column * size + row]!) / 2;
    }
  }
  return result;
}
