import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type PackedDataset, packDataset } from '../../src/datasets/packed-dataset.js';
import { TEXTURE_SIDE, textures } from './textures.js';

/** A new folder that is removed after the test. */
export async function temporaryFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-training-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Textures, packed into a folder, closed after the test. */
export async function packedTextures(
  context: TestContext,
  options: { folder: string; count: number; seed?: number },
): Promise<PackedDataset> {
  const { folder, count, seed = 7 } = options;
  const packed = await packDataset({
    dataset: textures(count, seed),
    source: `textures ${count} ${seed}`,
    preprocessing: { width: TEXTURE_SIDE, height: TEXTURE_SIDE, fit: 'cover' },
    decode: () => Promise.reject(new Error('Textures have the size already.')),
    folder,
  });
  context.after(() => packed.close());
  return packed;
}
