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

/** Names of the labels 0..9. */
export const CIFAR10_CLASSES = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
] as const;

/** An image of 32x32 with its class as an index into {@link CIFAR10_CLASSES}. */
export type LabelledPixels = { readonly pixels: Pixels; readonly label: number };

/**
 * Reads a split of CIFAR-10's binary version in file order, one file at a time: 50,000 training or 10,000 test images.
 * A record is a label byte and the planes of red, green and blue. INVALID_SETTINGS names a file that is missing or
 * malformed. Source: Krizhevsky 2009.
 */
export async function* readCifar10(options: {
  readonly folder: string;
  readonly split: 'train' | 'test';
}): AsyncGenerator<LabelledPixels, void> {
  for (const name of FILES[options.split]) {
    const bytes = await readBatch(join(options.folder, name));
    for (let at = 0; at < bytes.length; at += RECORD_BYTES) {
      yield {
        label: bytes[at]!,
        pixels: { width: SIDE, height: SIDE, rgb: interleave(bytes.subarray(at + 1, at + RECORD_BYTES)) },
      };
    }
  }
}

async function readBatch(path: string): Promise<Uint8Array> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new SearchError(
      'INVALID_SETTINGS',
      `Cannot read ${path}. Give the folder of CIFAR-10's binary version (*.bin).`,
      { cause },
    );
  });
  if (bytes.length === 0 || bytes.length % RECORD_BYTES !== 0) {
    throw new SearchError(
      'INVALID_SETTINGS',
      `${path} has ${bytes.length} bytes: no whole number of CIFAR-10 records of ${RECORD_BYTES}.`,
    );
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
