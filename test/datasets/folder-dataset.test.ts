import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import sharp from 'sharp';
import { openDataSource } from '../../src/datasets/data-sources.js';
import { openFolderDataset } from '../../src/datasets/folder-dataset.js';
import { readPixels, subset } from '../../src/datasets/image-dataset.js';
import { SearchError } from '../../src/errors.js';

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
  const dataset = await openFolderDataset(folder);
  assert.deepEqual([0, 1, 2].map(dataset.imageName), ['cat/deep/a.png', 'dog/b.PNG', 'dog/broken.jpg']);
  assert.equal(dataset.count, 3);
  assert.deepEqual(dataset.classes, ['cat', 'dog']);
  assert.deepEqual([...dataset.labels!], [0, 1, 1]);
  assert.deepEqual(Buffer.from(await dataset.bytes(1)), Buffer.from(await dot(2)));
  const part = subset(dataset, [1, 0]);
  assert.deepEqual([part.imageName(0), ...part.labels!], ['dog/b.PNG', 1, 0]);
});

test('an entry that cannot be read is listed with its reason, and the others keep their classes', async (context) => {
  const folder = await folderOf(context, { 'cat/a.png': await dot(1), 'dog/b.png': await dot(2) });
  await writeFile(
    Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.from([0xe9]), Buffer.from('.png')]),
    await dot(3),
  );
  const source = await openDataSource({ data: folder, cache: folder, heldOut: 0 });
  const { classes, count, labels } = source.database;
  assert.deepEqual([classes, count, [...labels!].slice(0, 2)], [['cat', 'dog'], 3, [0, 1]]);
  const read = await readPixels(source.database, 2, {
    width: 1,
    height: 1,
    decode: () => assert.fail('It is decoded.'),
  });
  assert.match(String(read), /not valid UTF-8/);
});

test('a picture beside the folders, or a single folder, means no classes', async (context) => {
  const loose = await folderOf(context, {
    'a.png': await dot(1),
    'cat/b.png': await dot(2),
    'dog/c.png': await dot(3),
  });
  assert.equal((await openFolderDataset(loose)).labels, undefined);
  const single = await folderOf(context, { 'cat/a.png': await dot(1), 'cat/b.png': await dot(2) });
  assert.equal((await openFolderDataset(single)).labels, undefined);
});

test('a folder without pictures, or none at all, is refused with its name', async (context) => {
  const empty = await folderOf(context, { 'readme.txt': 'nothing to see' });
  for (const folder of [empty, join(empty, 'missing')]) {
    const isRefused = (error: unknown) =>
      error instanceof SearchError && error.code === 'INVALID_SETTINGS' && error.message.includes(folder);
    await assert.rejects(openFolderDataset(folder), isRefused);
  }
});
