import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { openPictureSource, type PictureSource } from '../../src/importing/import-source.js';
import type { SkipCounts } from '../../src/picture-files.js';
import { tarOf, zipOf } from './archives.js';

const CONTENTS: Readonly<Record<string, string>> = {
  'a/one.jpg': 'first',
  'a/two.PNG': 'second',
  'three.webp': 'third',
};
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'likeness-files-'));
});
after(() => rm(folder, { recursive: true, force: true }));

test('a folder gives its pictures in one order, without hidden entries, links and other files', async () => {
  const root = join(folder, 'tree');
  for (const [name, text] of Object.entries({
    ...CONTENTS,
    '.hidden/x.jpg': 'no',
    'a/.x.jpg': 'no',
    'notes.txt': 'no',
  })) {
    await mkdir(join(root, name, '..'), { recursive: true });
    await writeFile(join(root, name), text);
  }
  await symlink(join(root, 'notes.txt'), join(root, 'link.jpg'));
  const source = await open(`${root}/`);
  assert.equal(source.total, 3);
  assert.deepEqual(await read(source), CONTENTS);
});

test('zip, tar and tar.gz give the same pictures as the folder', async () => {
  await writeFile(
    join(folder, 'pictures.zip'),
    zipOf(listed({ ...CONTENTS, 'readme.txt': 'no', '__MACOSX/one.jpg': 'no' })),
  );
  for (const name of ['pictures.tar', 'pictures.tgz']) {
    const bytes = await tarOf(listed({ ...CONTENTS, 'readme.txt': 'no' }));
    await writeFile(join(folder, name), name.endsWith('tgz') ? gzipSync(bytes) : bytes);
  }
  for (const name of ['pictures.zip', 'pictures.tar', 'pictures.tgz']) {
    assert.deepEqual(await read(await open(join(folder, name))), CONTENTS, name);
  }
});

test('a file above the limit is listed and refuses to be read, in a folder and in archives', async () => {
  await mkdir(join(folder, 'large'));
  await writeFile(join(folder, 'large', 'big.jpg'), 'x'.repeat(101));
  await writeFile(join(folder, 'large.zip'), zipOf(listed({ 'big.jpg': 'x'.repeat(101) })));
  await writeFile(join(folder, 'large.tar'), await tarOf(listed({ 'big.jpg': 'x'.repeat(101) })));
  for (const name of ['large', 'large.zip', 'large.tar']) {
    const source = await open(join(folder, name));
    for await (const file of source.files())
      await assert.rejects(file.read(), /larger than 100 bytes \(--max-file-bytes\)/, name);
  }
});

test('a path that is neither a folder, an archive nor a picture is refused by name', async () => {
  await writeFile(join(folder, 'notes.txt'), 'words');
  await assert.rejects(open(join(folder, 'notes.txt')), /notes\.txt is neither a folder/);
});

function open(path: string): Promise<PictureSource> {
  const unlimited = { entriesMax: 1e6, expandedBytesMax: 1e9, ratioMax: 1e6 };
  return openPictureSource(path, { ...unlimited, fileBytesMax: 100, fileBytesFlag: '--max-file-bytes' });
}

function listed(contents: Readonly<Record<string, string>>): { readonly name: string; readonly content: string }[] {
  return Object.entries(contents).map(([name, content]) => ({ name, content }));
}

async function read(source: PictureSource): Promise<Record<string, string>> {
  const found: [string, string][] = [];
  for await (const file of source.files()) found.push([file.name, Buffer.from(await file.read()).toString()]);
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

test('a folder gives the same names however its path is written', async () => {
  const cwd = process.cwd();
  const root = join(folder, 'spelled');
  await mkdir(join(root, 'sub'), { recursive: true });
  await writeFile(join(root, 'one.jpg'), 'first');
  await writeFile(join(root, 'sub/two.jpg'), 'second');
  try {
    process.chdir(folder);
    for (const path of ['spelled', './spelled', './spelled/', 'spelled/../spelled', `${folder}//spelled`])
      assert.deepEqual(await read(await open(path)), { 'one.jpg': 'first', 'sub/two.jpg': 'second' }, path);
    process.chdir(root);
    assert.deepEqual(await read(await open('.')), { 'one.jpg': 'first', 'sub/two.jpg': 'second' });
  } finally {
    process.chdir(cwd);
  }
});

test('one entry that cannot be read is one failure, and the others are read', async () => {
  const root = join(folder, 'faulty');
  await mkdir(join(root, 'locked'), { recursive: true });
  await writeFile(join(root, 'good.jpg'), 'good');
  await writeFile(join(root, 'gone.jpg'), 'gone');
  await writeFile(join(root, 'a\\b.jpg'), 'backslash');
  await writeFile(Buffer.concat([Buffer.from(`${root}/caf`), Buffer.from([0xe9]), Buffer.from('.jpg')]), 'latin');
  await chmod(join(root, 'locked'), 0);
  const isRoot = process.getuid?.() === 0; // who may read every folder
  const source = await open(root);
  await rm(join(root, 'gone.jpg'));
  const names: string[] = [];
  const failures: string[] = [];
  for await (const file of source.files()) {
    await file.read().then(
      () => names.push(file.name),
      (error: Error) => failures.push(`${file.name}: ${error.message}`),
    );
  }
  await chmod(join(root, 'locked'), 0o700);
  assert.deepEqual(names.sort(), ['a\\b.jpg', 'good.jpg']);
  assert.equal(failures.length, isRoot ? 2 : 3, failures.join());
  assert.ok(failures.some((line) => /caf.\.jpg: .*not valid UTF-8/.test(line)));
  assert.ok(failures.some((line) => /^gone\.jpg: .*does not exist/.test(line)));
  assert.equal(source.total, isRoot ? 4 : 5);
});

test('what is skipped is counted by reason, in a folder and in an archive', async () => {
  const root = join(folder, 'skipped');
  await mkdir(root, { recursive: true });
  const contents = { 'a.jpg': 'a', '.b.jpg': 'b', 'notes.txt': 'c' };
  for (const [name, text] of Object.entries(contents)) await writeFile(join(root, name), text);
  await symlink(join(root, 'a.jpg'), join(root, 'link.jpg'));
  const skipped: SkipCounts = {};
  for await (const _file of (await open(root)).files(skipped));
  assert.deepEqual(skipped, { hidden: 1, 'not a picture by its name': 1, link: 1 });
  await writeFile(
    join(folder, 'skipped.tar'),
    await tarOf(listed({ './a.jpg': 'a', './sub/b.jpg': 'b', ...contents })),
  );
  const inArchive: SkipCounts = {};
  const names: string[] = [];
  for await (const { name } of (await open(join(folder, 'skipped.tar'))).files(inArchive)) names.push(name);
  assert.deepEqual(names, ['a.jpg', 'sub/b.jpg', 'a.jpg']);
  assert.deepEqual(inArchive, { hidden: 1, 'not a picture by its name': 1 });
});

test('a named pipe is refused and not waited for', { skip: process.platform === 'win32' }, async () => {
  execFileSync('mkfifo', [join(folder, 'pipe.jpg')]);
  await assert.rejects(open(join(folder, 'pipe.jpg')), /neither a file nor a folder/);
});
