import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { openDataSource } from '../../src/datasets/data-sources.js';
import { readIdxDataset } from '../../src/datasets/idx-dataset.js';
import { SearchError } from '../../src/errors.js';

function idx(shape: readonly number[], values: readonly number[], type = 8): Buffer {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header[2] = type;
  header[3] = shape.length;
  shape.forEach((length, dimension) => {
    header.writeUInt32BE(length, 4 + 4 * dimension);
  });
  return Buffer.concat([header, Buffer.from(values)]);
}

async function file(context: TestContext, bytes: Uint8Array): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-idx-'));
  context.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'file-ubyte');
  await writeFile(path, bytes);
  return path;
}

const GREY = idx([2, 1, 3], [1, 2, 3, 4, 5, 6]);

test('grey images become three equal channels, plain or gzipped, with their labels', async (context) => {
  const labelsFile = await file(context, gzipSync(idx([2], [1, 0])));
  for (const bytes of [GREY, gzipSync(GREY)]) {
    const dataset = await readIdxDataset({
      imagesFile: await file(context, bytes),
      labelsFile,
      classes: ['shirt', 'shoe'],
    });
    assert.deepEqual(dataset.heldPixels(1)!, {
      width: 3,
      height: 1,
      rgb: Uint8Array.of(4, 4, 4, 5, 5, 5, 6, 6, 6),
    });
    assert.deepEqual([dataset.count, [...dataset.labels!], dataset.classes], [2, [1, 0], ['shirt', 'shoe']]);
    const png = await sharp(await dataset.bytes(1))
      .removeAlpha()
      .toColourspace('srgb')
      .raw()
      .toBuffer();
    assert.deepEqual([...png], [4, 4, 4, 5, 5, 5, 6, 6, 6], 'as a file it is the same picture');
  }
});

test('colour images are kept, and labels without names are named by their numbers', async (context) => {
  const imagesFile = await file(context, idx([1, 1, 1, 3], [7, 8, 9]));
  const dataset = await readIdxDataset({ imagesFile, labelsFile: await file(context, idx([1], [2])) });
  assert.deepEqual([...dataset.heldPixels(0)!.rgb], [7, 8, 9]);
  assert.deepEqual(dataset.classes, ['0', '1', '2']);
  assert.equal((await readIdxDataset({ imagesFile })).labels, undefined);
});

test('what is no such file is refused by name and reason', async (context) => {
  const faults: readonly (readonly [Uint8Array, RegExp])[] = [
    [Buffer.from('GIF89a'), /no IDX file/],
    [Buffer.alloc(0), /no IDX file/],
    [idx([2, 1, 3], [1], 13), /type 13/],
    [idx([2, 1, 3], [1, 2, 3]), /holds 3 values, not the 6/],
    [GREY.subarray(0, 10), /ends within its header/],
    [idx([4], [1, 2, 3, 4]), /shape \[4\]/],
    [idx([1, 1, 1, 2], [1, 2]), /shape/],
    [gzipSync(GREY).subarray(0, 20), /cannot be unpacked/],
  ];
  for (const [bytes, reason] of faults) {
    const imagesFile = await file(context, bytes);
    await assert.rejects(readIdxDataset({ imagesFile }), (error) => {
      assert.ok(
        error instanceof SearchError && error.code === 'INVALID_SETTINGS' && error.message.includes(imagesFile),
      );
      assert.match(error.message, reason);
      return true;
    });
  }
  const imagesFile = await file(context, GREY);
  const labels = async (bytes: Uint8Array) =>
    readIdxDataset({ imagesFile, labelsFile: await file(context, bytes), classes: ['only'] });
  await assert.rejects(labels(idx([3], [0, 0, 0])), /one label per image/);
  await assert.rejects(labels(idx([2], [0, 1])), /label 1, but only 1 classes/);
});

test('--data takes a folder or an images file in the IDX format', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-idx-'));
  context.after(() => rm(folder, { recursive: true }));
  const write = (name: string, shape: readonly number[], values: readonly number[]) =>
    writeFile(join(folder, name), gzipSync(idx(shape, values)));
  await write('train-images-idx3-ubyte.gz', [3, 1, 2], [1, 2, 3, 4, 5, 6]);
  await write('train-labels-idx1-ubyte.gz', [3], [0, 1, 1]);
  await write('t10k-images-idx3-ubyte.gz', [1, 1, 2], [7, 8]);
  const open = (data: string) => openDataSource({ data, cache: folder, heldOut: 0 });
  const whole = await open(folder);
  assert.deepEqual([whole.database.count, [...whole.database.labels!], whole.queries?.count], [3, [0, 1, 1], 1]);
  const single = await open(join(folder, 'train-images-idx3-ubyte.gz'));
  assert.deepEqual([single.database.count, single.queries], [3, undefined]);
  assert.deepEqual(single.database.heldPixels(1)!.rgb, Uint8Array.of(3, 3, 3, 4, 4, 4));
});
