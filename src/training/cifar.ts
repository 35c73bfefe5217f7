import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SearchError } from '../errors.js';
import type { Pixels } from '../images/pixels.js';

const SIDE = 32;
const AREA = SIDE * SIDE;
const RECORD_BYTES = 1 + 3 * AREA;
const FILES = {
  train: ['data_batch_1.bin', 'data_batch_2.bin', 'data_batch_3.bin', 'data_batch_4.bin', 'data_batch_5.bin'],
  test: ['test_batch.bin'],
} as const;

/** The names that labels 0..9 stand for. */
export const CIFAR10_CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'] as const;

/** An image of 32x32 with its class, 0..9 in the order of {@link CIFAR10_CLASSES}. Training ignores the class; scores need it. */
export type LabelledPixels = { readonly pixels: Pixels; readonly label: number };

/**
 * Reads CIFAR-10's official binary batches (data_batch_1.bin ... data_batch_5.bin, test_batch.bin) in file order: 50,000 images of the
 * training split or 10,000 of the test split; one file is held at a time. Each record is one label byte and the red, green and blue
 * planes; they leave here as interleaved Pixels. INVALID_SETTINGS names a file that is missing or no such batch. Source: Krizhevsky 2009.
 */
export async function* readCifar10(options: {
  readonly folder: string;
  readonly split: 'train' | 'test';
}): AsyncGenerator<LabelledPixels, void> {
  for (const name of FILES[options.split]) {
    const bytes = await readBatch(join(options.folder, name));
    for (let at = 0; at < bytes.length; at += RECORD_BYTES) {
      yield { label: bytes[at]!, pixels: { width: SIDE, height: SIDE, rgb: interleave(bytes.subarray(at + 1, at + RECORD_BYTES)) } };
    }
  }
}

async function readBatch(path: string): Promise<Uint8Array> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new SearchError('INVALID_SETTINGS', `Cannot read ${path}. Give the folder of CIFAR-10's binary version (*.bin).`, { cause });
  });
  if (bytes.length === 0 || bytes.length % RECORD_BYTES !== 0) {
    throw new SearchError('INVALID_SETTINGS', `${path} has ${bytes.length} bytes: no whole number of CIFAR-10 records of ${RECORD_BYTES}.`);
  }
  return bytes;
}

function interleave(planes: Uint8Array): Uint8Array {
  const rgb = new Uint8Array(3 * AREA);
  for (let channel = 0; channel < 3; channel++) {
    for (let place = 0; place < AREA; place++) rgb[3 * place + channel] = planes[channel * AREA + place]!;
  }
  return rgb;
}
