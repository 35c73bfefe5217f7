import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import tar from 'tar-stream';
import { SearchError } from '../errors.js';

/**
 * CIFAR-10's official binary version: 170,052,171 bytes. Source: Krizhevsky 2009,
 * https://www.cs.toronto.edu/~kriz/cifar.html.
 */
export const CIFAR10_ARCHIVE = {
  url: 'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz',
  sha256: 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
  bytes: 170_052_171,
} as const;

const BATCH_NAME = /^(data_batch_[1-5]|test_batch)\.bin$/;
const BATCHES = [
  'data_batch_1.bin',
  'data_batch_2.bin',
  'data_batch_3.bin',
  'data_batch_4.bin',
  'data_batch_5.bin',
  'test_batch.bin',
];

/** Whether a folder holds CIFAR-10's six binary batches. */
export function holdsCifar10(folder: string): boolean {
  return BATCHES.every((name) => existsSync(join(folder, name)));
}

/**
 * Downloads CIFAR-10's batches into `folder` unless they are there, checks the archive's SHA-256 and unpacks it.
 * Returns the folder. INVALID_SETTINGS gives the steps by hand where the download fails or the archive is another one.
 */
export async function downloadCifar10(options: {
  readonly folder: string;
  readonly archive?: { readonly url: string; readonly sha256: string; readonly bytes: number };
  readonly onProgress?: (bytes: number, total: number) => void;
}): Promise<string> {
  const { folder, archive = CIFAR10_ARCHIVE, onProgress } = options;
  if (holdsCifar10(folder)) return folder;
  await mkdir(folder, { recursive: true });
  const file = join(folder, `cifar-10-binary.${process.pid}.partial`);
  try {
    const sha256 = await download(archive, file, onProgress);
    if (sha256 !== archive.sha256) {
      const what = `What ${archive.url} sent has the SHA-256 ${sha256}, not ${archive.sha256}`;
      throw new SearchError(
        'INVALID_SETTINGS',
        `${what}: it is not the official archive, or was damaged on its way. Try again.`,
      );
    }
    await unpack(file, folder);
  } finally {
    await rm(file, { force: true });
  }
  if (!holdsCifar10(folder))
    throw new SearchError('INVALID_SETTINGS', `${archive.url} lacks some of ${BATCHES.join(', ')}.`);
  return folder;
}

type Archive = { readonly url: string; readonly bytes: number };

async function download(
  archive: Archive,
  file: string,
  onProgress: ((bytes: number, total: number) => void) | undefined,
): Promise<string> {
  const hash = createHash('sha256');
  let received = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      received += chunk.length;
      hash.update(chunk);
      onProgress?.(received, archive.bytes);
      done(
        received > archive.bytes ? new Error(`more than the ${archive.bytes} bytes of the official archive`) : null,
        chunk,
      );
    },
  });
  try {
    const response = await fetch(archive.url);
    if (!response.ok || response.body === null)
      throw new Error(`the answer is ${response.status} ${response.statusText}`);
    // fetch returns the stream type that Readable.fromWeb takes; only their declarations differ
    await pipeline(
      Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]),
      counted,
      createWriteStream(file),
    );
  } catch (cause) {
    const reason =
      cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : String(cause);
    const byHand = 'Fetch it on a machine with a network, unpack it, and give the folder of its *.bin files as --data.';
    throw new SearchError(
      'INVALID_SETTINGS',
      `CIFAR-10 cannot be downloaded from ${archive.url}: ${reason}. ${byHand}`,
      { cause },
    );
  }
  return hash.digest('hex');
}

/** Extracts the batches by their base names. */
async function unpack(archive: string, folder: string): Promise<void> {
  const extract = tar.extract();
  const unpacked = (async () => {
    for await (const entry of extract) {
      const name = basename(entry.header.name);
      if (entry.header.type !== 'file' || !BATCH_NAME.test(name)) {
        entry.resume();
        continue;
      }
      const aside = join(folder, `${name}.${process.pid}.partial`);
      await pipeline(entry, createWriteStream(aside));
      await rename(aside, join(folder, name));
    }
  })();
  await Promise.all([pipeline(createReadStream(archive), createGunzip(), extract), unpacked]);
}
