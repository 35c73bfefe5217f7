import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { type ImportSource, openImportSource } from '../../src/importing/image-files.js';

const CONTENTS: Readonly<Record<string, string>> = { 'a/one.jpg': 'first', 'a/two.PNG': 'second', 'three.webp': 'third' };
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'likeness-files-'));
});
after(() => rm(folder, { recursive: true, force: true }));

test('a folder gives its pictures in one order, without hidden entries, links and other files', async () => {
  const root = join(folder, 'tree');
  for (const [name, text] of Object.entries({ ...CONTENTS, '.hidden/x.jpg': 'no', 'a/.x.jpg': 'no', 'notes.txt': 'no' })) {
    await mkdir(join(root, name, '..'), { recursive: true });
    await writeFile(join(root, name), text);
  }
  await symlink(join(root, 'notes.txt'), join(root, 'link.jpg'));
  const source = await openImportSource(`${root}/`, { maxFileBytes: 100 });
  assert.equal(source.total, 3);
  assert.deepEqual(await read(source), CONTENTS);
});

test('zip, tar and tar.gz give the same pictures as the folder', async () => {
  await writeFile(join(folder, 'pictures.zip'), zip({ ...CONTENTS, 'readme.txt': 'no', '__MACOSX/one.jpg': 'no' }));
  for (const name of ['pictures.tar', 'pictures.tgz']) {
    const archive = pack();
    for (const [file, text] of Object.entries({ ...CONTENTS, 'readme.txt': 'no' })) archive.entry({ name: file }, text);
    archive.finalize();
    const bytes = await buffer(archive);
    await writeFile(join(folder, name), name.endsWith('tgz') ? gzipSync(bytes) : bytes);
  }
  for (const name of ['pictures.zip', 'pictures.tar', 'pictures.tgz']) {
    assert.deepEqual(await read(await openImportSource(join(folder, name), { maxFileBytes: 100 })), CONTENTS, name);
  }
});

test('a file above the limit is listed and refuses to be read, in a folder and in archives', async () => {
  await mkdir(join(folder, 'large'));
  await writeFile(join(folder, 'large', 'big.jpg'), 'x'.repeat(101));
  await writeFile(join(folder, 'large.zip'), zip({ 'big.jpg': 'x'.repeat(101) }));
  const archive = pack();
  archive.entry({ name: 'big.jpg' }, 'x'.repeat(101));
  archive.finalize();
  await writeFile(join(folder, 'large.tar'), await buffer(archive));
  for (const name of ['large', 'large.zip', 'large.tar']) {
    const source = await openImportSource(join(folder, name), { maxFileBytes: 100 });
    for await (const file of source.files) await assert.rejects(file.read(), /the limit is 100/, name);
  }
});

test('a zip entry that leaves its folder is refused', async () => {
  await writeFile(join(folder, 'evil.zip'), zip({ '../evil.jpg': 'no' }));
  await assert.rejects(openImportSource(join(folder, 'evil.zip'), { maxFileBytes: 100 }), /invalid relative path/);
});

test('a zip entry that unpacks to more than it declares is refused', async () => {
  const bytes = zip({ 'bomb.jpg': 'x'.repeat(90) });
  // Both headers declare 10 bytes where 90 come out.
  for (const signature of [0x04034b50, 0x02014b50]) {
    const at = bytes.indexOf(Buffer.from(Uint32Array.of(signature).buffer));
    bytes.writeUInt32LE(10, at + (signature === 0x04034b50 ? 22 : 24));
  }
  await writeFile(join(folder, 'bomb.zip'), bytes);
  const source = await openImportSource(join(folder, 'bomb.zip'), { maxFileBytes: 100 });
  for await (const file of source.files) await assert.rejects(file.read());
});

test('what is neither folder nor archive nor picture is refused by name', async () => {
  await writeFile(join(folder, 'notes.txt'), 'words');
  await assert.rejects(openImportSource(join(folder, 'notes.txt'), { maxFileBytes: 100 }), /notes\.txt is neither a folder/);
});

async function read(source: ImportSource): Promise<Record<string, string>> {
  const found: [string, string][] = [];
  for await (const file of source.files) found.push([file.name, Buffer.from(await file.read()).toString()]);
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The smallest zip writer: deflated entries, no CRC check by the reader. */
function zip(files: Readonly<Record<string, string>>): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const packed = deflateRawSync(text);
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(8, 4);
    shared.writeUInt32LE(packed.length, 14);
    shared.writeUInt32LE(text.length, 18);
    shared.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), shared, Buffer.from(name), packed]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), shared, place, Buffer.from(name)]));
    locals.push(local);
    offset += local.length;
  }
  const end = Buffer.alloc(18);
  end.writeUInt16LE(directory.length, 4);
  end.writeUInt16LE(directory.length, 6);
  end.writeUInt32LE(Buffer.concat(directory).length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, ...directory, Buffer.from('PK\x05\x06', 'latin1'), end]);
}
