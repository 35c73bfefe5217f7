/** Numbered images, with labels where they have them: the input of training and evaluation. */
import sharp from 'sharp';
import { SearchError } from '../errors.js';
import type { Pixels } from '../images/pixels.js';
import type { Decode } from './decoding.js';

/**
 * Images 0..count-1 in a fixed order. labels: index of each image's class in `classes`; both undefined without classes.
 */
export interface ImageDataset {
  readonly name: string;
  readonly count: number;
  readonly classes: readonly string[] | undefined;
  readonly labels: Int32Array | undefined;
  /** Name for display: a path relative to the folder, or a number. */
  imageName(index: number): string;
  /** The image as a file: the original bytes, or a PNG of pixels in memory. Rejects where it cannot be read. */
  bytes(index: number): Promise<Uint8Array>;
  /** The image's pixels where they are in memory already. */
  heldPixels(index: number): Pixels | undefined;
}

/** A dataset of images in memory, such as CIFAR-10 or an IDX file. */
export function pixelDataset(options: {
  readonly name: string;
  readonly images: readonly Pixels[];
  readonly labels?: ArrayLike<number> | undefined;
  readonly classes?: readonly string[] | undefined;
}): ImageDataset {
  const { name, images, classes } = options;
  const labels = options.labels && Int32Array.from(options.labels);
  if (labels && labels.length !== images.length)
    throw new Error(`${name}: ${images.length} images, ${labels.length} labels. This is a bug.`);
  return {
    name,
    count: images.length,
    classes,
    labels,
    imageName: (index) => String(index),
    bytes: (index) => encodePng(images[index]!),
    heldPixels: (index) => images[index]!,
  };
}

/** The images of the given numbers, in that order, renumbered from 0. */
export function subset(dataset: ImageDataset, indices: ArrayLike<number>): ImageDataset {
  const { name, classes, labels } = dataset;
  return {
    name,
    count: indices.length,
    classes,
    labels: labels && Int32Array.from(indices, (index) => labels[index]!),
    imageName: (index) => dataset.imageName(indices[index]!),
    bytes: (index) => dataset.bytes(indices[index]!),
    heldPixels: (index) => dataset.heldPixels(indices[index]!),
  };
}

/** How often an image is tried whose decoder died or got no processor time, as on a busy machine. */
const ATTEMPTS = 3;

/**
 * Image `index` at width x height, or why it cannot be read. Pixels held at that size are taken as they are; anything
 * else is decoded from its file. Rejects with faults that are not the image's, such as decoders that cannot start.
 */
export async function readPixels(
  dataset: ImageDataset,
  index: number,
  options: { readonly width: number; readonly height: number; readonly decode: Decode },
): Promise<Pixels | Error> {
  const held = dataset.heldPixels(index);
  if (held?.width === options.width && held.height === options.height) return held;
  for (let attempt = 1; ; attempt++) {
    try {
      return await options.decode(await dataset.bytes(index));
    } catch (error) {
      if (error instanceof SearchError && error.code === 'DECODER_FAILED' && attempt < ATTEMPTS) continue;
      if (isFaultOfImage(error)) return error;
      throw error;
    }
  }
}

/** Whether an error is the fault of one image or of its file: the others can still be read. */
export function isFaultOfImage(error: unknown): error is Error {
  if (error instanceof SearchError) return error.httpStatus < 500 || error.code === 'DECODER_FAILED';
  return error instanceof Error && 'syscall' in error;
}

function encodePng({ width, height, rgb }: Pixels): Promise<Uint8Array> {
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 3 })
    .toBuffer();
}
