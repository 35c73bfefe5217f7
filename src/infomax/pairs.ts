/**
 * Pairs of codes and images. Drawn once, outside the program, so that both engines and every estimator use the same.
 */
import * as tf from '@tensorflow/tfjs-core';
import { type Random, shuffledIndices } from '../seeded-random.js';

/**
 * How false pairs are made. shuffle: the article's, a random permutation, which leaves about one image a batch its own
 * false pair. derangement: a permutation that moves every image. all: every other image of the batch.
 */
export type NegativesSpec =
  | { readonly draw: 'shuffle' | 'derangement'; readonly count: number }
  | { readonly draw: 'all' };

/** False pairs of a batch of B: row k lists the images paired with code k. */
export type Negatives = tf.Tensor2D | 'all';

/** Number of false pairs of each true one. */
export function negativeCount(spec: NegativesSpec, batchSize: number): number {
  return spec.draw === 'all' ? batchSize - 1 : spec.count;
}

/** Draws the false pairs of a batch, [B, count] row-major; empty for `all`. */
export function drawNegatives(spec: NegativesSpec, batchSize: number, random: Random): Int32Array {
  if (spec.draw === 'all') return new Int32Array(0);
  if (spec.draw === 'derangement' && batchSize < 2) throw new Error('A batch of one image has no false pairs.');
  const columns = Array.from({ length: spec.count }, () =>
    spec.draw === 'shuffle' ? shuffledIndices(batchSize, random) : derangement(batchSize, random),
  );
  return Int32Array.from(
    { length: batchSize * spec.count },
    (_, index) => columns[index % spec.count]![Math.floor(index / spec.count)]!,
  );
}

/**
 * A permutation that leaves no element in place, all equally likely: permutations are drawn until one is (2.7 draws
 * on average).
 */
export function derangement(length: number, random: Random): Uint32Array {
  if (length < 2) throw new Error('Fewer than two elements have no derangement.');
  for (;;) {
    const order = shuffledIndices(length, random);
    if (order.every((element, index) => element !== index)) return order;
  }
}

/**
 * Rows off the diagonal: x [B, B, ...rest] to [B, B - 1, ...rest], row k without its k-th element (from the one after
 * it, around).
 */
export function offDiagonal(x: tf.Tensor): tf.Tensor {
  const [size = 1, , ...rest] = x.shape;
  // In the flat matrix the diagonal recurs every size + 1 elements: drop the first, fold by size + 1, and it is the
  // last column.
  const flat = tf.slice(tf.reshape(x, [size * size, ...rest]), [1], [size * size - 1]);
  const folded = tf.slice(tf.reshape(flat, [size - 1, size + 1, ...rest]), [0, 0], [size - 1, size]);
  return tf.reshape(folded, [size, size - 1, ...rest]);
}
