/** Encodes a dataset into one matrix of embeddings. */

import { createHash } from 'node:crypto';
import type { Decode } from '../datasets/decoding.js';
import { type ImageDataset, readPixels, subset } from '../datasets/image-dataset.js';
import type { EncoderDescription } from '../encoder/encoder.js';
import type { Pixels } from '../images/pixels.js';
import { type Preprocessing, writeInputTensor } from '../images/preprocessing.js';
import type { EmbeddingMatrix } from './embedding-matrix.js';

/**
 * The encoder of an evaluation. `encode`: pixels of the preprocessing's size to one vector of `dimensions` each, in
 * order, not necessarily of unit norm. device, runtime: for display.
 */
export type EvaluatedEncoder = {
  readonly name: string;
  readonly id: string;
  readonly dimensions: number;
  readonly preprocessing: Preprocessing;
  readonly device?: EncoderDescription['device'];
  readonly runtime?: string;
  encode(batch: readonly Pixels[]): Promise<readonly Float32Array[]>;
};

/**
 * The images that could be read, their embeddings row by row, those that could not and why, and the time the encoder
 * alone took.
 */
export type EncodedDataset = {
  readonly dataset: ImageDataset;
  readonly embeddings: EmbeddingMatrix;
  readonly unreadable: readonly { readonly name: string; readonly reason: string }[];
  readonly encodeMs: number;
};

const BATCH_SIZE = 64;

/**
 * Encodes every image that can be read; the others are listed and left out. An error of the encoder itself rejects.
 * `onProgress`: how many images are done.
 */
export async function encodeDataset(options: {
  readonly encoder: EvaluatedEncoder;
  readonly dataset: ImageDataset;
  readonly decode: Decode;
  readonly onProgress?: (done: number) => void;
}): Promise<EncodedDataset> {
  const { encoder, dataset, decode, onProgress } = options;
  const values = new Float32Array(dataset.count * encoder.dimensions);
  const readable: number[] = [];
  const unreadable: { name: string; reason: string }[] = [];
  let encodeMs = 0;
  for (let first = 0; first < dataset.count; first += BATCH_SIZE) {
    const batch: Pixels[] = [];
    const start = readable.length;
    for (let index = first; index < Math.min(dataset.count, first + BATCH_SIZE); index++) {
      const pixels = await readPixels(dataset, index, { ...encoder.preprocessing, decode });
      if (pixels instanceof Error) {
        unreadable.push({ name: dataset.imageName(index), reason: pixels.message });
        continue;
      }
      batch.push(pixels);
      readable.push(index);
    }
    const before = performance.now();
    const embeddings = batch.length > 0 ? await encodeBatch(encoder, batch) : [];
    encodeMs += performance.now() - before;
    for (const [place, embedding] of embeddings.entries()) values.set(embedding, (start + place) * encoder.dimensions);
    onProgress?.(Math.min(dataset.count, first + BATCH_SIZE));
  }
  const { dimensions } = encoder;
  return {
    dataset: readable.length === dataset.count ? dataset : subset(dataset, readable),
    embeddings: { rows: readable.length, dimensions, values: values.subarray(0, readable.length * dimensions) },
    unreadable,
    encodeMs,
  };
}

/** Encodes a batch and checks that it gives one vector of the stated length per image. */
export async function encodeBatch(
  encoder: EvaluatedEncoder,
  batch: readonly Pixels[],
): Promise<readonly Float32Array[]> {
  const embeddings = await encoder.encode(batch);
  const isSound = embeddings.length === batch.length && embeddings.every((each) => each.length === encoder.dimensions);
  if (!isSound)
    throw new Error(
      `${encoder.name} answered ${batch.length} images with vectors of another number or length. This is a bug.`,
    );
  return embeddings;
}

/**
 * The encoder without training: the pixels at side x side minus the image's mean, so that cosine compares patterns and
 * not brightness. The lower bound for every encoder.
 */
export function rawPixelEncoder(options: {
  readonly side: number;
  readonly fit?: Preprocessing['fit'];
}): EvaluatedEncoder {
  const { side, fit = 'cover' } = options;
  const preprocessing: Preprocessing = {
    width: side,
    height: side,
    fit,
    mean: [0, 0, 0],
    scale: [1, 1, 1],
    layout: 'NHWC',
  };
  return {
    name: `raw-pixels-${side}`,
    id: createHash('sha256')
      .update(`raw pixels ${JSON.stringify(preprocessing)}`)
      .digest('hex'),
    dimensions: side * side * 3,
    preprocessing,
    encode: async (batch) => batch.map((pixels) => centred(pixels, preprocessing)),
  };
}

function centred(pixels: Pixels, preprocessing: Preprocessing): Float32Array {
  const values = new Float32Array(preprocessing.width * preprocessing.height * 3);
  writeInputTensor({ pixels, preprocessing, target: values, index: 0 });
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.map((value) => value - mean);
}
