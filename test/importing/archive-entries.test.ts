/**
 * Archives as strangers make them: every one is read, refused by entry, or refused whole; none writes, follows a link
 * or grows without end.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type ArchiveLimits, archiveEntries, archiveKindOf } from '../../src/importing/archive-entries.js';
import { tarOf, zipOf } from './archives.js';

const LIMITS: ArchiveLimits = {
  entriesMax: 100,
  expandedBytesMax: 1e9,
  ratioMax: 200,
  fileBytesMax: 10_000,
  fileBytesFlag: '--max-upload-bytes',
};
type Read = { readonly name: string; readonly content?: string; readonly code?: string };

test('a zip, a tar and a tar.gz give the same files in the same order, as often as they are walked', async (context) => {
  const files = [
    { name: 'a.jpg', content: 'a' },
    { name: 'folder/b c.png', content: Buffer.alloc(9000, 'b') },
    { name: 'ü/漢字.webp', content: '' },
  ];
  const tar = await tarOf(files);
  for (const [kind, bytes] of [
    ['zip', zipOf(files)],
    ['zip', zipOf(files, { isPacked: true })],
    ['tar', tar],
    ['tar.gz', gzipSync(tar)],
  ] as const) {
    const path = await onDisk(context, bytes);
    assert.equal(await archiveKindOf(path), kind);
    for (let turn = 0; turn < 2; turn++) {
      assert.deepEqual(
        await readAll(path),
        files.map(({ name, content }) => ({ name, content: content.toString() })),
        kind,
      );
    }
  }
});

test('some entries are read and others are passed over', async (context) => {
  const files = [1, 2, 3, 4].map((number) => ({ name: `${number}.jpg`, content: Buffer.alloc(5000, String(number)) }));
  for (const bytes of [zipOf(files), await tarOf(files)]) {
    const path = await onDisk(context, bytes);
    const contents: string[] = [];
    let number = 0;
    for await (const entry of archiveEntries(path, LIMITS))
      if (number++ % 2 === 1) contents.push((await entry.read()).toString('latin1', 0, 1));
    assert.deepEqual(contents, ['2', '4']);
    for await (const entry of archiveEntries(path, LIMITS)) {
      assert.equal(entry.name, '1.jpg');
      break; // and walking can be given up
    }
  }
});

test('names are shown and never used: paths, controls, other systems and no name at all', async (context) => {
  const names = [
    '../../etc/passwd',
    '/etc/shadow',
    '..\\..\\boot.jpg',
    'C:\\x.jpg',
    'a\u0000b\u202e\u001b[31m.jpg',
    `${'x'.repeat(2000)}.jpg`,
    '\u200b',
  ];
  const path = await onDisk(context, zipOf(names.map((name) => ({ name, content: 'x' }))));
  const read = await readAll(path);
  assert.equal(read.length, names.length);
  assert.ok(read.every(({ content }) => content === 'x'));
  assert.ok(read.every(({ name }) => !/[\p{Cc}\p{Cf}\\]/u.test(name) && name.length <= 500 && name.length > 0));
});

test('folders and litter are no pictures; links, devices, encrypted and large entries are refused alone', async (context) => {
  const tar = await tarOf([
    { name: 'folder/', type: 'directory' },
    { name: '.DS_Store', content: 'x' },
    { name: '__MACOSX/._a.jpg', content: 'x' },
    { name: 'Thumbs.db', content: 'x' },
    { name: 'link.jpg', type: 'symlink', linkname: '/etc/passwd' },
    { name: 'hard.jpg', type: 'link', linkname: 'a.jpg' },
    { name: 'null', type: 'character-device' },
    { name: 'pipe', type: 'fifo' },
    { name: 'large.jpg', content: Buffer.alloc(10_001) },
    { name: 'a.jpg', content: 'a' },
  ]);
  assert.deepEqual(await readAll(await onDisk(context, tar)), [
    ...['link.jpg', 'hard.jpg', 'null', 'pipe'].map((name) => ({ name, code: 'ENTRY_REFUSED' })),
    { name: 'large.jpg', code: 'UPLOAD_TOO_LARGE' },
    { name: 'a.jpg', content: 'a' },
  ]);
  const zip = zipOf([
    { name: 'folder/', content: '' },
    { name: 'link.jpg', content: '/etc/passwd', mode: 0o120777 },
    { name: 'locked.jpg', content: 'x'.repeat(13), claimedBytes: 1, flags: 1 },
    { name: 'odd.jpg', content: 'x', method: 14 },
    { name: 'large.jpg', content: Buffer.alloc(10_001) },
    { name: 'a.jpg', content: 'a' },
  ]);
  assert.deepEqual(await readAll(await onDisk(context, zip)), [
    ...['link.jpg', 'locked.jpg', 'odd.jpg'].map((name) => ({ name, code: 'ENTRY_REFUSED' })),
    { name: 'large.jpg', code: 'UPLOAD_TOO_LARGE' },
    { name: 'a.jpg', content: 'a' },
  ]);
});

test('names of a zip without the flag of UTF-8 are UTF-8 where they are valid, and a second byte is not a separator', async (context) => {
  const name = (nameBytes: Buffer, system = 3) => ({ name: '', nameBytes, system, content: 'x' });
  const zip = zipOf([
    name(Buffer.from('Фото.jpg')),
    name(Buffer.from([0x83, 0x5c, 0x95, 0x5c, 0x2e, 0x6a, 0x70, 0x67]), 0), // Shift-JIS, made on Windows
    name(Buffer.from([0x83, 0x5c, 0x95, 0x5c, 0x2e, 0x6a, 0x70, 0x67]), 3),
    name(Buffer.from('folder\\a.jpg'), 0),
    name(Buffer.from([0x4d, 0x81, 0x2e, 0x6a, 0x70, 0x67])), // CP437
  ]);
  const names = (await readAll(await onDisk(context, zip))).map((entry) => entry.name);
  assert.equal(names.length, 5);
  assert.deepEqual([names[0], names[3], names[4]], ['Фото.jpg', 'folder/a.jpg', 'Mü.jpg']);
});

test('a zip whose end record counts too few entries is read whole', async (context) => {
  const files = [1, 2, 3].map((number) => ({ name: `${number}.jpg`, content: String(number) }));
  for (const claimedEntries of [0, 1, 2])
    assert.equal((await readAll(await onDisk(context, zipOf(files, { claimedEntries })))).length, 3);
  await refusedWhole(await onDisk(context, zipOf(files, { claimedEntries: 4 })), LIMITS, 'ARCHIVE_DAMAGED');
});

test('an archive has no more entries than its size can hold as pictures', async (context) => {
  const files = Array.from({ length: 3000 }, (_, number) => ({ name: `${number}.jpg`, content: '' }));
  const path = await onDisk(context, gzipSync(await tarOf(files)));
  await refusedWhole(path, { ...LIMITS, entriesMax: 100_000 }, 'ARCHIVE_TOO_LARGE');
});

test('a zip entry that lies of its size, or is damaged, is refused alone', async (context) => {
  const zip = zipOf([
    { name: 'liar.jpg', content: Buffer.alloc(20_000), isPacked: true, claimedBytes: 10 },
    { name: 'crc.jpg', content: 'x', claimedCrc: 1 },
    { name: 'a.jpg', content: 'a' },
  ]);
  const read = await readAll(await onDisk(context, zip));
  assert.deepEqual([read[0]?.code, read[2]?.content], ['ENTRY_REFUSED', 'a']);
});

test('what unpacks too far is refused whole, before it has', async (context) => {
  const zeros = Buffer.alloc(120e6);
  const bombs = [
    gzipSync(await tarOf([{ name: 'zeros.jpg', content: zeros }])),
    zipOf([{ name: 'zeros.jpg', content: zeros, isPacked: true }]),
  ];
  for (const bomb of bombs) await refusedWhole(await onDisk(context, bomb), LIMITS, 'ARCHIVE_TOO_LARGE');
  const overlapping = zipOf(
    Array.from({ length: 90 }, (_, number) => ({
      name: `${number}.jpg`,
      content: 'x',
      claimedBytes: 4e9,
      isPacked: true,
      sharesFirst: true,
    })),
  );
  await refusedWhole(await onDisk(context, overlapping), LIMITS, 'ARCHIVE_TOO_LARGE');
  const many = Array.from({ length: 101 }, (_, number) => ({ name: `${number}.jpg`, content: 'x' }));
  await refusedWhole(await onDisk(context, zipOf(many)), LIMITS, 'ARCHIVE_TOO_LARGE');
  await refusedWhole(await onDisk(context, await tarOf(many)), LIMITS, 'ARCHIVE_TOO_LARGE');
  const large = [1, 2, 3].map((number) => ({ name: `${number}.jpg`, content: Buffer.alloc(3e6, 'a photograph') }));
  assert.deepEqual(
    (await readAll(await onDisk(context, await tarOf(large)))).map(({ code }) => code),
    Array(3).fill('UPLOAD_TOO_LARGE'),
    'and what is just large is not',
  );
  await refusedWhole(
    await onDisk(context, await tarOf(many.slice(0, 9))),
    { ...LIMITS, expandedBytesMax: 4000 },
    'ARCHIVE_TOO_LARGE',
  );
});

test('a tar header that claims gigabytes of a name is refused before they are gathered', async (context) => {
  const header = (await tarOf([{ name: 'x'.repeat(150), content: 'x' }])).subarray(0, 512);
  const path = await onDisk(context, Buffer.concat([longName(header, 3e7), Buffer.alloc(4e7)]));
  const before = process.memoryUsage().arrayBuffers;
  await refusedWhole(path, LIMITS, 'ARCHIVE_DAMAGED');
  assert.ok(process.memoryUsage().arrayBuffers - before < 20e6);
});

test('what is cut short or is no archive is refused whole', async (context) => {
  const files = [1, 2, 3].map((number) => ({ name: `${number}.jpg`, content: Buffer.alloc(3000, String(number)) }));
  const tar = await tarOf(files);
  for (const cut of [
    tar.subarray(0, 4000),
    gzipSync(tar).subarray(0, 60),
    zipOf(files).subarray(0, 4000),
    Buffer.concat([gzipSync(tar).subarray(0, 40), Buffer.alloc(500)]),
  ]) {
    await refusedWhole(await onDisk(context, cut), LIMITS, 'ARCHIVE_DAMAGED');
  }
  for (const other of [
    Buffer.alloc(0),
    Buffer.from('%PDF-1.7'),
    Buffer.alloc(1000),
    Buffer.from('Rar!\u001a\u0007\u0000'),
    Buffer.from('7z\u00bc\u00af', 'latin1'),
  ]) {
    await refusedWhole(await onDisk(context, other), LIMITS, 'ARCHIVE_UNSUPPORTED');
  }
});

async function readAll(path: string): Promise<Read[]> {
  const read: Read[] = [];
  for await (const { name, refusal, read: content } of archiveEntries(path, LIMITS)) {
    if (refusal !== undefined) read.push({ name, code: refusal.code });
    else
      read.push(
        await content().then(
          (bytes) => ({ name, content: bytes.toString() }),
          ({ code }: { code: string }) => ({ name, code }),
        ),
      );
  }
  return read;
}

async function refusedWhole(path: string, limits: ArchiveLimits, code: string): Promise<void> {
  await assert.rejects(
    async () => {
      for await (const _entry of archiveEntries(path, limits)) {
        // only walked, as a job does to find its pictures
      }
    },
    { code },
  );
}

async function onDisk(context: TestContext, bytes: Buffer): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-archive-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'archive');
  await writeFile(path, bytes);
  return path;
}

/** A GNU long-name header that claims so many bytes. */
function longName(header: Buffer, bytes: number): Buffer {
  const changed = Buffer.from(header);
  changed.write('././@LongLink\0', 0, 'latin1');
  changed.write(`${bytes.toString(8).padStart(11, '0')} `, 124, 'latin1');
  changed.write('L', 156, 'latin1');
  changed.fill(' ', 148, 156);
  const sum = changed.reduce((total, byte) => total + byte, 0);
  changed.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return changed;
}
