/** CIFAR-10 as a saved encoder sees it: real embeddings for the index benchmarks. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openOnnxRuntime } from '../src/encoder/onnx-runtime.js';
import { readSavedEncoder } from '../src/encoder/saved-encoder.js';
import { writeInputTensor } from '../src/images/preprocessing.js';
import { readCifar10 } from '../src/training/cifar.js';

const BATCH = 500;

/**
 * Embeddings of a split, in file order, by the saved encoder in `model`. Unpacks ../shared/data/cifar10 once into the temporary folder; throws
 * where that is absent.
 */
export async function cifarEmbeddings(split: 'train' | 'test', count: number, model = 'models/whitening-cifar10'): Promise<Float32Array[]> {
  const folder = join(tmpdir(), 'likeness-cifar10');
  if (!existsSync(join(folder, 'test_batch.bin'))) execFileSync(process.execPath, ['../shared/data/cifar10/unpack.mjs', folder]);
  const encoder = await readSavedEncoder(model);
  const { preprocessing, dimensions } = encoder.manifest;
  const runtime = await openOnnxRuntime(encoder, { device: 'cpu', threads: 2 });
  const embeddings: Float32Array[] = [];
  const batch = new Float32Array(BATCH * 3 * preprocessing.width * preprocessing.height);
  let filled = 0;
  const flush = async (): Promise<void> => {
    const values = await runtime.run(batch.slice(0, (batch.length / BATCH) * filled), filled);
    for (let image = 0; image < filled; image++) embeddings.push(values.slice(image * dimensions, (image + 1) * dimensions));
    filled = 0;
  };
  for await (const { pixels } of readCifar10({ folder, split })) {
    writeInputTensor({ pixels, preprocessing, target: batch, index: filled });
    filled++;
    if (filled === BATCH || embeddings.length + filled === count) await flush();
    if (embeddings.length === count) break;
  }
  await runtime.close();
  return embeddings;
}
