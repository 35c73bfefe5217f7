/**
 * Mean and covariance of streamed rows: the products X'X of a block of rows run in ONNX Runtime (float32) and are
 * summed in float64. D: length of a row.
 */
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { openGraph, type SmallGraph } from '../../compile/graph-session.js';

/** Rows per product, enough that summing [D, D] values is negligible. */
const BLOCK_ROWS = 2048;

/** mean: [D]; covariance: [D, D] row-major, symmetric, of the population (divided by `count`). */
export type Moments = { readonly count: number; readonly mean: Float64Array; readonly covariance: Float64Array };

/** Sums rows of one length. The caller closes it. */
export class SecondMoments {
  readonly #length: number;
  readonly #session: InferenceSession;
  readonly #block: Float32Array;
  readonly #sums: Float64Array;
  readonly #products: Float64Array;
  #filled = 0;
  #count = 0;

  private constructor(length: number, session: InferenceSession) {
    this.#length = length;
    this.#session = session;
    this.#block = new Float32Array(BLOCK_ROWS * length);
    this.#sums = new Float64Array(length);
    this.#products = new Float64Array(length * length);
  }

  static async open(length: number): Promise<SecondMoments> {
    return new SecondMoments(length, await openGraph(productGraph(length)));
  }

  /** Adds rows, concatenated in one array, which is copied. */
  async add(rows: Float32Array): Promise<void> {
    if (rows.length % this.#length !== 0)
      throw new Error(`${rows.length} values are no rows of ${this.#length}. This is a bug.`);
    for (let at = 0; at < rows.length; ) {
      const taken = Math.min(rows.length - at, (BLOCK_ROWS - this.#filled) * this.#length);
      this.#block.set(rows.subarray(at, at + taken), this.#filled * this.#length);
      this.#filled += taken / this.#length;
      at += taken;
      if (this.#filled === BLOCK_ROWS) await this.#flush();
    }
  }

  /** The moments of all rows added so far; there must be at least one. */
  async moments(): Promise<Moments> {
    await this.#flush();
    const [length, count, products] = [this.#length, this.#count, this.#products];
    if (count === 0) throw new Error('Moments of no rows. This is a bug.');
    const mean = this.#sums.map((sum) => sum / count);
    const covariance = new Float64Array(length * length);
    for (let row = 0; row < length; row++) {
      for (let column = 0; column <= row; column++) {
        const product = (products[row * length + column]! + products[column * length + row]!) / (2 * count);
        const value = product - mean[row]! * mean[column]!;
        covariance[row * length + column] = value;
        covariance[column * length + row] = value;
      }
    }
    return { count, mean, covariance };
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  async #flush(): Promise<void> {
    const [filled, length, block, sums] = [this.#filled, this.#length, this.#block, this.#sums];
    if (filled === 0) return;
    for (let row = 0; row < filled; row++)
      for (let at = 0; at < length; at++) sums[at] = sums[at]! + block[row * length + at]!;
    const outputs = await this.#session.run({
      block: new Tensor('float32', block.subarray(0, filled * length), [filled, length]),
    });
    const products = outputs.products!.data as Float32Array; // The program declares a float32 output.
    for (let at = 0; at < products.length; at++) this.#products[at] = this.#products[at]! + products[at]!;
    this.#count += filled;
    this.#filled = 0;
  }
}

/** products = block' block. */
function productGraph(length: number): SmallGraph {
  return {
    name: 'second-moments',
    inputs: [{ name: 'block', type: 'float32', dims: ['rows', length] }],
    outputs: [{ name: 'products', type: 'float32', dims: [length, length] }],
    nodes: [{ op: 'Gemm', inputs: ['block', 'block'], outputs: ['products'], attributes: { transA: 1 } }],
  };
}
