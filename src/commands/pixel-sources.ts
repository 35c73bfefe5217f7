import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createDecoderPool } from '../images/decoder-pool.js';
import { openFolderDataset } from '../images/folder-dataset.js';
import type { ImageDataset } from '../images/image-dataset.js';
import type { Pixels } from '../images/pixels.js';
import type { Preprocessing } from '../images/preprocessing.js';
import { readCifar10 } from '../training/cifar.js';

/** Pictures to learn from, at an encoder's input size, always in the same order; the facts that the model card states of them. */
export type PixelSource = {
  readonly images: AsyncIterable<Pixels>;
  readonly description: string;
  /** Names and reasons of files that could not be read, known once the images have been read. */
  readonly skipped: readonly string[];
  close(): Promise<void>;
};

const DECODED_AHEAD = 32;

/**
 * Opens a folder of pictures, or the folder of CIFAR-10's binary batches (its training split). A picture that cannot be read is skipped and
 * listed, as one bad file among thousands must not end a training.
 */
export async function openPixelSource(folder: string, preprocessing: Preprocessing): Promise<PixelSource> {
  if (existsSync(join(folder, 'data_batch_1.bin'))) {
    return {
      images: cifarPixels(folder),
      description: 'CIFAR-10, training split (Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images)',
      skipped: [],
      close: async () => {},
    };
  }
  const pool = createDecoderPool({ preprocessing });
  const skipped: string[] = [];
  const decode = async (bytes: Uint8Array): Promise<Pixels> => (await pool.decode(bytes, { thumbnail: false })).image.pixels;
  const dataset = await openFolderDataset({ folder, decode, classes: 'ignore' });
  return {
    images: datasetPixels(dataset, skipped),
    description: `pictures of the folder ${dataset.name}`,
    skipped,
    close: () => pool.close(),
  };
}

async function* cifarPixels(folder: string): AsyncGenerator<Pixels> {
  for await (const { pixels } of readCifar10({ folder, split: 'train' })) yield pixels;
}

async function* datasetPixels(dataset: ImageDataset, skipped: string[]): AsyncGenerator<Pixels> {
  const decode = (index: number): Promise<Pixels | undefined> =>
    dataset.pixels(index).catch((error: unknown) => {
      skipped.push(`${dataset.imageName(index)}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    });
  const ahead: Promise<Pixels | undefined>[] = [];
  for (let index = 0; index < dataset.count; index++) {
    ahead.push(decode(index));
    if (ahead.length < DECODED_AHEAD) continue;
    const pixels = await ahead.shift();
    if (pixels !== undefined) yield pixels;
  }
  for (const waiting of ahead) {
    const pixels = await waiting;
    if (pixels !== undefined) yield pixels;
  }
}
