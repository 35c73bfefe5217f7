import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import tar from 'tar-stream';
import { CIFAR10_ARCHIVE, downloadCifar10, holdsCifar10 } from '../../src/datasets/cifar-download.js';
import { SearchError } from '../../src/errors.js';
import { temporaryFolder } from '../training/temporary-folder.js';

const NAMES = [1, 2, 3, 4, 5].map((batch) => `data_batch_${batch}.bin`).concat('test_batch.bin');

/** An archive laid out as the official one, with small files, and one that wants to be written elsewhere. */
async function smallArchive(): Promise<Buffer> {
  const pack = tar.pack();
  for (const name of [...NAMES, 'batches.meta.txt', '../../escaped.bin'])
    pack.entry({ name: `cifar-10-batches-bin/${name}` }, `content of ${name}`);
  pack.finalize();
  const parts: Buffer[] = [];
  for await (const part of pack) parts.push(part as Buffer);
  return gzipSync(Buffer.concat(parts));
}

async function served(
  t: TestContext,
  bytes: Buffer,
): Promise<{ url: string; sha256: string; bytes: number; requests: () => number }> {
  let requests = 0;
  const server = createServer((_, response) => {
    requests++;
    response.end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return {
    url: `http://127.0.0.1:${port}/cifar-10-binary.tar.gz`,
    sha256,
    bytes: bytes.length,
    requests: () => requests,
  };
}

test('the archive is fetched once, checked, and only its batches are unpacked', async (t) => {
  const folder = await temporaryFolder(t);
  const archive = await served(t, await smallArchive());
  assert.equal(holdsCifar10(folder), false);
  assert.equal(await downloadCifar10({ folder, archive }), folder);
  assert.deepEqual((await readdir(folder)).sort(), [...NAMES].sort());
  assert.equal(await readFile(`${folder}/data_batch_3.bin`, 'utf8'), 'content of data_batch_3.bin');
  await downloadCifar10({ folder, archive });
  assert.equal(archive.requests(), 1);
});

test('another archive than the official one is refused and leaves nothing', async (t) => {
  const folder = await temporaryFolder(t);
  const archive = await served(t, await smallArchive());
  const official = { ...archive, sha256: CIFAR10_ARCHIVE.sha256 };
  await assert.rejects(downloadCifar10({ folder, archive: official }), /sent [0-9a-f]{64}, not c4a38c50/);
  await assert.rejects(downloadCifar10({ folder, archive: { ...archive, bytes: 10 } }), /more than the 10 bytes/);
  assert.deepEqual(await readdir(folder), []);
});

test('without a network the message says what to do by hand', async (t) => {
  const folder = await temporaryFolder(t);
  const nobody = { url: 'http://127.0.0.1:9/cifar.tar.gz', sha256: '', bytes: 1000 };
  await assert.rejects(
    downloadCifar10({ folder, archive: nobody }),
    (error: unknown) =>
      error instanceof SearchError &&
      error.code === 'INVALID_SETTINGS' &&
      /unpack it, and give the folder/.test(error.message),
  );
  assert.deepEqual(await readdir(folder), []);
});
