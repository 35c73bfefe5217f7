import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ImageDataset } from '../../src/datasets/image-dataset.js';
import { type PackedDataset, packDataset } from '../../src/datasets/packed-dataset.js';
import { SearchError } from '../../src/errors.js';
import { temporaryFolder } from '../training/temporary-folder.js';
import { TEXTURE_SIDE as SIDE, textures } from '../training/textures.js';

const preprocessing = { width: SIDE, height: SIDE, fit: 'cover' } as const;
/** "Files" of this test hold nothing but the pixels. */
const decode = async (rgb: Uint8Array) => ({ width: SIDE, height: SIDE, rgb });

/** Textures of which some cannot be read; counts how often pixels are asked for. */
function faulty(unreadable: readonly number[], error: () => Error): { dataset: ImageDataset; reads: () => number } {
  const whole = textures(20, 5);
  let reads = 0;
  const bytes = async (index: number) => {
    reads++;
    if (unreadable.includes(index)) throw error();
    return whole.heldPixels(index)!.rgb;
  };
  return { dataset: { ...whole, heldPixels: () => undefined, bytes }, reads: () => reads };
}

const unreadable = () => new SearchError('UNREADABLE_IMAGE', 'It is damaged.');

function rgb(packed: PackedDataset, index: number): Uint8Array {
  const pixels = new Uint8Array(SIDE * SIDE * 3);
  packed.copyImage(index, pixels, 0);
  return pixels;
}

test('what cannot be read is skipped and listed, the rest keeps order, name and label', async (t) => {
  const folder = await temporaryFolder(t);
  const { dataset } = faulty([3, 4], unreadable);
  const packed = await packDataset({ dataset, source: 'a', preprocessing, decode, folder });
  t.after(() => packed.close());
  assert.equal(packed.count, 18);
  assert.deepEqual(packed.skipped, [
    { name: '3', reason: 'It is damaged.' },
    { name: '4', reason: 'It is damaged.' },
  ]);
  assert.equal(packed.names[3], '5');
  assert.equal(packed.labels?.[3], 5);
  assert.deepEqual(rgb(packed, 3), textures(20, 5).heldPixels(5)!.rgb);
  assert.throws(() => packed.copyImage(18, new Uint8Array(9999), 0), /no image 18/);
});

test('a packed dataset is opened again without decoding, unless source, size or bytes differ', async (t) => {
  const folder = await temporaryFolder(t);
  const { dataset, reads } = faulty([], unreadable);
  const pack = async (source: string): Promise<string> => {
    const packed = await packDataset({ dataset, source, preprocessing, decode, folder });
    packed.close();
    return packed.fingerprint;
  };
  const first = await pack('a');
  assert.equal(reads(), 20);
  assert.equal(await pack('a'), first);
  assert.equal(reads(), 20);
  await pack('b');
  assert.equal(reads(), 40);

  for (const name of (await readdir(folder)).filter((each) => each.endsWith('.pixels'))) {
    const bytes = await readFile(join(folder, name));
    bytes[100] = bytes[100]! ^ 255;
    await writeFile(join(folder, name), bytes);
  }
  assert.equal(await pack('a'), first);
  assert.equal(reads(), 60);
});

test('a fault of ours is no fault of the image', async (t) => {
  const folder = await temporaryFolder(t);
  const { dataset } = faulty([2], () => new SearchError('SHUTTING_DOWN', 'The decoders are gone.'));
  await assert.rejects(packDataset({ dataset, source: 'a', preprocessing, decode, folder }), /decoders are gone/);
  assert.deepEqual(await readdir(folder), []);
});

test('an image whose decoder got no processor time is tried again, and is left out where that does not help', async (t) => {
  const folder = await temporaryFolder(t);
  for (const [failures, skipped] of [
    [2, []],
    [3, [{ name: '2', reason: 'It got no processor time.' }]],
  ] as const) {
    let left = failures as number;
    const { dataset } = faulty([], unreadable);
    const starved = async (bytes: Uint8Array) => {
      if (Buffer.compare(bytes, textures(20, 5).heldPixels(2)!.rgb) === 0 && left-- > 0)
        throw new SearchError('DECODER_FAILED', 'It got no processor time.');
      return decode(bytes);
    };
    const packed = await packDataset({ dataset, source: String(failures), preprocessing, decode: starved, folder });
    packed.close();
    assert.deepEqual(packed.skipped, skipped);
  }
});

test('a dataset of which nothing can be read is refused with an example', async (t) => {
  const folder = await temporaryFolder(t);
  const { dataset } = faulty(
    Array.from({ length: 20 }, (_, index) => index),
    unreadable,
  );
  await assert.rejects(
    packDataset({ dataset, source: 'a', preprocessing, decode, folder }),
    (error: unknown) =>
      error instanceof SearchError && error.code === 'INVALID_SETTINGS' && /0: It is damaged/.test(error.message),
  );
});
