import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import sharp from 'sharp';
import { SearchError } from '../../src/errors.js';
import { openFolderDataset } from '../../src/images/folder-dataset.js';
import { subset } from '../../src/images/image-dataset.js';
import type { Pixels } from '../../src/images/pixels.js';

const decode = async (bytes: Uint8Array): Promise<Pixels> => {
  const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
};

const dot = (red: number): Promise<Uint8Array> =>
  sharp(Uint8Array.of(red, 0, 0), { raw: { width: 1, height: 1, channels: 3 } })
    .png()
    .toBuffer();

async function folderOf(context: TestContext, files: Readonly<Record<string, Uint8Array | string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-folder-'));
  context.after(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

test('pictures are listed by path, classes are the first folders, and each is read when asked for', async (context) => {
  const folder = await folderOf(context, {
    'dog/b.PNG': await dot(2),
    'cat/deep/a.png': await dot(1),
    'cat/notes.txt': 'no picture',
    'dog/.hidden.png': await dot(9),
    '.trash/c.png': await dot(9),
    'dog/broken.jpg': 'not a JPEG',
  });
  await symlink(join(folder, 'dog'), join(folder, 'loop'));
  const dataset = await openFolderDataset({ folder, decode });
  assert.deepEqual([0, 1, 2].map(dataset.imageName), ['cat/deep/a.png', 'dog/b.PNG', 'dog/broken.jpg']);
  assert.equal(dataset.count, 3);
  assert.deepEqual(dataset.classes, ['cat', 'dog']);
  assert.deepEqual([...dataset.labels!], [0, 1, 1]);
  assert.deepEqual([...(await dataset.pixels(1)).rgb], [2, 0, 0]);
  assert.deepEqual(await decode(await dataset.bytes(0)), await dataset.pixels(0));
  await assert.rejects(dataset.pixels(2));
  const part = subset(dataset, [1, 0]);
  assert.deepEqual([part.imageName(0), ...part.labels!], ['dog/b.PNG', 1, 0]);
  const plain = await openFolderDataset({ folder, decode, classes: 'ignore' });
  assert.deepEqual([plain.count, plain.labels, plain.classes], [3, undefined, undefined]);
});

test('a picture beside the folders, or a single folder, means no classes', async (context) => {
  const loose = await folderOf(context, { 'a.png': await dot(1), 'cat/b.png': await dot(2), 'dog/c.png': await dot(3) });
  assert.equal((await openFolderDataset({ folder: loose, decode })).labels, undefined);
  const single = await folderOf(context, { 'cat/a.png': await dot(1), 'cat/b.png': await dot(2) });
  assert.equal((await openFolderDataset({ folder: single, decode })).labels, undefined);
});

test('a folder without pictures, or none at all, is refused with its name', async (context) => {
  const empty = await folderOf(context, { 'readme.txt': 'nothing to see' });
  for (const folder of [empty, join(empty, 'missing')]) {
    const isRefused = (error: unknown) =>
      error instanceof SearchError && error.code === 'INVALID_SETTINGS' && error.message.includes(folder);
    await assert.rejects(openFolderDataset({ folder, decode }), isRefused);
  }
});
