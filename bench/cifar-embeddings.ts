/** CIFAR-10 as a saved encoder sees it: real embeddings for the index benchmarks. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCifar10 } from '../src/datasets/cifar.js';
import { openDecoding } from '../src/datasets/decoding.js';
import { pixelDataset } from '../src/datasets/image-dataset.js';
import { openOnnxRuntime } from '../src/encoder/onnx-runtime.js';
import { readSavedEncoder, type SavedEncoder } from '../src/encoder/saved-encoder.js';
import { encodeDataset } from '../src/evaluation/encode-dataset.js';
import type { Pixels } from '../src/images/pixels.js';
import { writeInputTensor } from '../src/images/preprocessing.js';
import { SETTINGS } from '../src/settings.js';

/**
 * Embeddings of a split, in file order, by the saved encoder in `model`; where it takes other than 32 x 32 pixels,
 * through the service's own decoding. Unpacks ../shared/data/cifar10 once into the temporary folder and keeps the
 * embeddings beside it; throws where that is absent.
 */
export async function cifarEmbeddings(
  split: 'train' | 'test',
  count: number,
  model: string = SETTINGS.model.default,
): Promise<Float32Array[]> {
  const folder = join(tmpdir(), 'likeness-cifar10');
  if (!existsSync(join(folder, 'test_batch.bin')))
    execFileSync(process.execPath, ['../shared/data/cifar10/unpack.mjs', folder]);
  const saved = await readSavedEncoder(model);
  const { id, dimensions } = saved.manifest;
  const file = join(folder, `${id}-${split}-${count}.f32`);
  if (!existsSync(file)) {
    // Written aside, so that a run that is stopped leaves no half a file to be read by the next.
    writeFileSync(`${file}.${process.pid}`, new Uint8Array((await encode(folder, { split, count, saved })).buffer));
    renameSync(`${file}.${process.pid}`, file);
  }
  const values = new Float32Array(new Uint8Array(readFileSync(file)).buffer);
  return Array.from({ length: count }, (_, row) => values.subarray(row * dimensions, (row + 1) * dimensions));
}

/** Embeddings of the first `count` images, one after the other: [count, dimensions]. */
async function encode(
  folder: string,
  wanted: { readonly split: 'train' | 'test'; readonly count: number; readonly saved: SavedEncoder },
): Promise<Float32Array> {
  const { split, count, saved } = wanted;
  const images: Pixels[] = [];
  for await (const { pixels } of readCifar10({ folder, split })) {
    images.push(pixels);
    if (images.length === count) break;
  }
  const { name, id, preprocessing, dimensions } = saved.manifest;
  const size = 3 * preprocessing.width * preprocessing.height;
  const runtime = await openOnnxRuntime(saved, { device: 'cpu', threads: 2 });
  const encodeBatch = async (batch: readonly Pixels[]): Promise<Float32Array[]> => {
    const input = new Float32Array(batch.length * size);
    for (const [index, pixels] of batch.entries()) writeInputTensor({ pixels, preprocessing, target: input, index });
    const values = await runtime.run(input, batch.length);
    return batch.map((_, row) => values.slice(row * dimensions, (row + 1) * dimensions));
  };
  const decoding = openDecoding(preprocessing);
  try {
    const { embeddings, unreadable } = await encodeDataset({
      encoder: { name, id, dimensions, preprocessing, encode: encodeBatch },
      dataset: pixelDataset({ name: 'CIFAR-10', images }),
      decode: decoding.decode,
    });
    const [first] = unreadable;
    if (first !== undefined)
      throw new Error(`${unreadable.length} images of CIFAR-10 could not be read: ${first.name}: ${first.reason}`);
    return embeddings.values.slice();
  } finally {
    await decoding.close();
    await runtime.close();
  }
}
