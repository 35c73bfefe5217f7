/**
 * Where an import's files come from: a folder, a zip or a tar archive, walked in one order so that an import can be resumed. Names are
 * relative, with forward slashes; what is in a file is for the decoder to say, so only names that cannot be pictures are passed over.
 */
import { createReadStream } from 'node:fs';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { type Entry, openPromise } from 'yauzl';

/** One file of an import. `bytes` is its size, where known before reading; `read` rejects with a plain message for the failure list. */
export type ImageFile = { readonly name: string; readonly bytes: number; read(): Promise<Uint8Array> };

/** How much there is to do, for the progress bar; undefined for a tar, which tells only at its end. */
export type ImportSource = { readonly total: number | undefined; readonly files: AsyncIterable<ImageFile> };

const PICTURE_NAME = /\.(jpe?g|jfif|png|webp|gif|avif|tiff?|hei[cf]|bmp)$/i;

/**
 * Opens a folder (walked whole, hidden entries and links left out), a .zip, a .tar or a .tar.gz. Files above `maxFileBytes` are listed but
 * refuse to be read, so that one entry cannot fill the memory. Throws where the path is neither.
 */
export async function openImportSource(path: string, options: { readonly maxFileBytes: number }): Promise<ImportSource> {
  if ((await stat(path)).isDirectory()) {
    const names = await pictureNames(path);
    return { total: names.length, files: folderFiles(path, names, options.maxFileBytes) };
  }
  const start = await firstBytes(path, 262);
  if (start.subarray(0, 2).toString('latin1') === 'PK') return await zipSource(path, options.maxFileBytes);
  const gzipped = start[0] === 0x1f && start[1] === 0x8b;
  if (gzipped || start.subarray(257, 262).toString('latin1') === 'ustar') {
    return { total: undefined, files: tarFiles(path, gzipped, options.maxFileBytes) };
  }
  if (PICTURE_NAME.test(path)) {
    const picture = onDisk(path, posix.basename(path), (await stat(path)).size, options.maxFileBytes);
    return { total: 1, files: Readable.from([picture]) };
  }
  throw new Error(`${path} is neither a folder, a picture, nor a zip or tar archive.`);
}

async function pictureNames(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && PICTURE_NAME.test(entry.name))
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.replace(/\/+$/, '').length + 1)
        .split('\\')
        .join('/'),
    )
    .filter((name) => !name.split('/').some((part) => part.startsWith('.')))
    .sort();
}

async function* folderFiles(folder: string, names: readonly string[], maxFileBytes: number): AsyncGenerator<ImageFile> {
  for (const name of names) {
    const path = join(folder, name);
    yield onDisk(path, name, (await stat(path)).size, maxFileBytes);
  }
}

function onDisk(path: string, name: string, bytes: number, maxFileBytes: number): ImageFile {
  return { name, bytes, read: () => (bytes > maxFileBytes ? Promise.reject(tooLarge(bytes, maxFileBytes)) : readFile(path)) };
}

async function zipSource(path: string, maxFileBytes: number): Promise<ImportSource> {
  // yauzl refuses absolute paths, `..` and sizes that do not agree with the directory.
  const archive = await openPromise(path, { lazyEntries: true, autoClose: false });
  const entries: Entry[] = [];
  for await (const entry of archive.eachEntry()) if (isPicture(entry.fileName)) entries.push(entry);
  async function* files(): AsyncGenerator<ImageFile> {
    try {
      for (const entry of entries) {
        // Read before it is yielded: the archive closes at the end of this loop, when a slower caller may still hold the last file.
        const bytes = await archive
          .openReadStreamPromise(entry)
          .then((stream) => gather(stream, maxFileBytes))
          .catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
        yield {
          name: entry.fileName,
          bytes: entry.uncompressedSize,
          read: async () => (bytes instanceof Error ? Promise.reject(bytes) : bytes),
        };
      }
    } finally {
      archive.close();
    }
  }
  return { total: entries.length, files: files() };
}

/** A tar is read once, front to back, so its files are read as they are yielded and `read` hands out what is there. */
async function* tarFiles(path: string, gzipped: boolean, maxFileBytes: number): AsyncGenerator<ImageFile> {
  const archive = extract();
  const source = createReadStream(path);
  const done = gzipped ? pipeline(source, createGunzip(), archive) : pipeline(source, archive);
  // A fault of the archive ends the loop below with the same error; this keeps it from being reported twice.
  done.catch(() => {});
  for await (const entry of archive) {
    const { name, type, size = 0 } = entry.header;
    if (type !== 'file' || !isPicture(name) || size > maxFileBytes) {
      entry.resume();
      if (type === 'file' && isPicture(name)) yield { name, bytes: size, read: () => Promise.reject(tooLarge(size, maxFileBytes)) };
      continue;
    }
    const bytes = await gather(entry, maxFileBytes);
    yield { name, bytes: size, read: () => Promise.resolve(bytes) };
  }
  await done;
}

function isPicture(name: string): boolean {
  return PICTURE_NAME.test(name) && !name.split('/').some((part) => part.startsWith('.') || part === '__MACOSX');
}

function tooLarge(bytes: number, limit: number): Error {
  return new Error(`File has ${bytes} bytes; the limit is ${limit}.`);
}

async function gather(stream: AsyncIterable<unknown>, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of stream) {
    if (!(part instanceof Uint8Array)) throw new Error('An archive entry gave text instead of bytes. This is a bug.');
    bytes += part.length;
    if (bytes > maxBytes) throw tooLarge(bytes, maxBytes);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

async function firstBytes(path: string, count: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(count), 0, count, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
