/** A dataset through an encoder: images in, one matrix of embeddings out, whatever it is that encodes. */

import type { EncoderDescription } from '../encoder/encoder.js';
import { SearchError } from '../errors.js';
import { type ImageDataset, subset } from '../images/image-dataset.js';
import type { Pixels } from '../images/pixels.js';
import type { Preprocessing } from '../images/preprocessing.js';
import type { EmbeddingMatrix } from './embedding-matrix.js';

/**
 * What an evaluation needs of an encoder. `encode`: pixels of exactly the preprocessing's size to one vector of `dimensions` each, in
 * order; not necessarily of unit norm. device, runtime: where it ran, for people.
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

/** Bytes of an image file to pixels of the encoder's size, by its preprocessing: the service's own decoding. Rejects with a SearchError. */
export type DecodeForEncoder = (bytes: Uint8Array) => Promise<Pixels>;

/** The images that could be read, their embeddings row by row, and the time the encoder alone took. */
export type EncodedDataset = {
  readonly dataset: ImageDataset;
  readonly embeddings: EmbeddingMatrix;
  readonly unreadable: number;
  readonly encodeMs: number;
};

const BATCH_SIZE = 64;

/**
 * Encodes every image that can be read; those that cannot (a SearchError of the decoder, or a file that cannot be opened) are counted and left out. An error of the encoder
 * itself rejects. `onProgress` hears how many images are done.
 */
export async function encodeDataset(options: {
  readonly encoder: EvaluatedEncoder;
  readonly dataset: ImageDataset;
  readonly decode: DecodeForEncoder;
  readonly onProgress?: (done: number) => void;
}): Promise<EncodedDataset> {
  const { encoder, dataset, onProgress } = options;
  const values = new Float32Array(dataset.count * encoder.dimensions);
  const readable: number[] = [];
  let encodeMs = 0;
  for (let first = 0; first < dataset.count; first += BATCH_SIZE) {
    const batch: Pixels[] = [];
    const start = readable.length;
    for (let index = first; index < Math.min(dataset.count, first + BATCH_SIZE); index++) {
      const pixels = await readPixels(options, index);
      if (!pixels) continue;
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
    unreadable: dataset.count - readable.length,
    encodeMs,
  };
}

/** One batch through the encoder, with its answer checked: as many vectors as images, each of the stated length. */
export async function encodeBatch(encoder: EvaluatedEncoder, batch: readonly Pixels[]): Promise<readonly Float32Array[]> {
  const embeddings = await encoder.encode(batch);
  const isSound = embeddings.length === batch.length && embeddings.every((each) => each.length === encoder.dimensions);
  if (!isSound) throw new Error(`${encoder.name} answered ${batch.length} images with vectors of another number or length. This is a bug.`);
  return embeddings;
}

/** Pixels that have the encoder's size already (CIFAR-10 at 32) are taken as they are; all else goes the way of a file. */
async function readPixels(
  options: { readonly encoder: EvaluatedEncoder; readonly dataset: ImageDataset; readonly decode: DecodeForEncoder },
  index: number,
): Promise<Pixels | undefined> {
  const { encoder, dataset, decode } = options;
  const { width, height } = encoder.preprocessing;
  try {
    const pixels = await dataset.pixels(index);
    return pixels.width === width && pixels.height === height ? pixels : await decode(await dataset.bytes(index));
  } catch (error) {
    const isOfTheFile = error instanceof SearchError || (error instanceof Error && 'syscall' in error);
    if (isOfTheFile) return undefined; // counted by the caller
    throw error;
  }
}
