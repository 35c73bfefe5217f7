/** Data of probes, which measure what a classifier could read from frozen embeddings. */
import { type EmbeddingMatrix, meanRow, subtractRow } from '../embedding-matrix.js';

/** Embeddings and labels 0..C-1 for training and for testing. */
export type ProbeData = {
  readonly train: EmbeddingMatrix;
  readonly trainLabels: Int32Array;
  readonly test: EmbeddingMatrix;
  readonly testLabels: Int32Array;
  readonly seed: number;
};

/** A probe's test accuracy, 0..1, and its settings in words. */
export type ProbeResult = { readonly name: string; readonly accuracy: number; readonly detail: string };

/**
 * Train and test with every dimension of the training rows at mean 0 and standard deviation 1; a constant dimension
 * becomes 0.
 */
export function standardised(data: ProbeData): { readonly train: EmbeddingMatrix; readonly test: EmbeddingMatrix } {
  const mean = meanRow(data.train);
  const train = subtractRow(data.train, mean);
  const test = subtractRow(data.test, mean);
  const { dimensions } = train;
  const gain = new Float64Array(dimensions);
  for (let i = 0; i < train.values.length; i++) gain[i % dimensions] = gain[i % dimensions]! + train.values[i]! ** 2;
  for (let i = 0; i < dimensions; i++) gain[i] = gain[i]! > 0 ? Math.sqrt(train.rows / gain[i]!) : 0;
  for (const { values } of [train, test])
    for (let i = 0; i < values.length; i++) values[i] = values[i]! * gain[i % dimensions]!;
  return { train, test };
}

/** Number of classes: the highest label plus one. */
export function classCount(data: ProbeData): number {
  const highest = (labels: Int32Array): number => labels.reduce((most, label) => Math.max(most, label), -1);
  return 1 + Math.max(highest(data.trainLabels), highest(data.testLabels));
}

/** One row of zeros with a single 1 per label. [labels, classes]. */
export function oneHot(labels: ArrayLike<number>, classes: number): Float32Array {
  const rows = new Float32Array(labels.length * classes);
  for (let i = 0; i < labels.length; i++) rows[i * classes + labels[i]!] = 1;
  return rows;
}

/** Share of rows of `scores` [labels, classes] whose largest entry (the first of equals) is the label. */
export function accuracyOfScores(scores: Float32Array, labels: ArrayLike<number>, classes: number): number {
  let right = 0;
  for (let i = 0; i < labels.length; i++) {
    let best = 0;
    for (let c = 1; c < classes; c++) if (scores[i * classes + c]! > scores[i * classes + best]!) best = c;
    if (best === labels[i]) right++;
  }
  return right / labels.length;
}
