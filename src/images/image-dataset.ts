/** Many images by number, with labels where they have them: what training and evaluation read, whatever the files behind it look like. */
import sharp from 'sharp';
import type { Pixels } from './pixels.js';

/**
 * count images, 0..count-1, always in the same order. labels: class of each image as an index into `classes`, both undefined where the
 * images have no classes.
 */
export interface ImageDataset {
  readonly name: string;
  readonly count: number;
  readonly classes: readonly string[] | undefined;
  readonly labels: Int32Array | undefined;
  /** What people call the image: a path relative to the folder, or a number. */
  imageName(index: number): string;
  /** The image as a file: the original bytes, or a PNG of the pixels where there never was a file. Rejects where it cannot be read. */
  bytes(index: number): Promise<Uint8Array>;
  /** The image decoded. Rejects with a SearchError where it cannot be. */
  pixels(index: number): Promise<Pixels>;
}

/** A dataset of images that are in memory already, such as CIFAR-10 or an IDX file. Labels: one per image, or undefined. */
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
    pixels: async (index) => images[index]!,
  };
}

/** The part of a dataset with the given numbers, in that order; its images are the same, renumbered from 0. */
export function subset(dataset: ImageDataset, indices: ArrayLike<number>): ImageDataset {
  const { name, classes, labels } = dataset;
  return {
    name,
    count: indices.length,
    classes,
    labels: labels && Int32Array.from(indices, (index) => labels[index]!),
    imageName: (index) => dataset.imageName(indices[index]!),
    bytes: (index) => dataset.bytes(indices[index]!),
    pixels: (index) => dataset.pixels(indices[index]!),
  };
}

function encodePng({ width, height, rgb }: Pixels): Promise<Uint8Array> {
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 3 })
    .toBuffer();
}
