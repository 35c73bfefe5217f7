import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import tar from 'tar-stream';
import { SearchError } from '../errors.js';
import { downloadFile, reasonOf } from '../fetching/download.js';

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
  const { url, sha256: digest, bytes } = archive;
  const file = join(folder, 'cifar-10-binary.tar.gz');
  try {
    const download = { url, bytes, algorithm: 'sha256', digest } as const;
    await downloadFile({ download, target: file, ...(onProgress !== undefined && { onProgress }) });
  } catch (cause) {
    const byHand = 'Fetch it on a machine with a network, unpack it, and give the folder of its *.bin files as --data.';
    const message = `CIFAR-10's archive: ${url} ${reasonOf(cause)}. Run it again to go on. ${byHand}`;
    throw new SearchError('INVALID_SETTINGS', message, { cause });
  }
  try {
    await unpack(file, folder);
  } finally {
    await rm(file, { force: true });
  }
  if (!holdsCifar10(folder))
    throw new SearchError('INVALID_SETTINGS', `${archive.url} lacks some of ${BATCHES.join(', ')}.`);
  return folder;
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
