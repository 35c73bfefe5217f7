/**
 * What a stranger's archive holds, entry by entry, under limits. Names are for people only and never become paths; what an entry is, its bytes say. Both passes over an archive
 * (finding and reading) give the same entries in the same order, so that a number names one.
 */
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { type Entry, getFileNameLowLevel, openPromise } from 'yauzl';
import { SearchError } from '../errors.js';

/** Bounds on one archive. */
export type ArchiveLimits = {
  /** Entries of any kind. */
  readonly entriesMax: number;
  /** What all entries together may unpack to, and how many times the archive's own size. */
  readonly expandedBytesMax: number;
  readonly ratioMax: number;
  /** A larger entry is refused alone. */
  readonly fileBytesMax: number;
};

/** One file in an archive. `refusal`: why it is not read. `read` is to be called before the next entry is asked for, or not at all. */
export type ArchiveEntry = { readonly name: string; readonly refusal: SearchError | undefined; read(): Promise<Buffer> };

export type ArchiveKind = 'zip' | 'tar' | 'tar.gz';

/** Below this the ratio says nothing: a few flat pictures are no bomb. */
const RATIO_FREE_BYTES = 64 * 1024 * 1024;
/** A tar's own bytes between two entries: long names and the like, which the reader gathers in memory. */
const TAR_HEADER_BYTES_MAX = 1024 * 1024;
const NAME_CHARACTERS_MAX = 500;
const UNFIT_FOR_NAMES = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const LINK_MODE = 0o120000;

/** Told by the first bytes; undefined where it is none that is read. */
export async function archiveKindOf(path: string): Promise<ArchiveKind | undefined> {
  const start = await firstBytes(path, 262);
  const magic = start.subarray(0, 4).toString('latin1');
  if (magic === 'PK\u0003\u0004' || magic === 'PK\u0005\u0006') return 'zip';
  if (start[0] === 0x1f && start[1] === 0x8b) return 'tar.gz';
  return start.subarray(257, 262).toString('latin1') === 'ustar' ? 'tar' : undefined;
}

/** True for bytes that are an archive themselves; one inside another is not opened. */
export function isArchive(bytes: Buffer): boolean {
  const magic = bytes.subarray(0, 4).toString('latin1');
  return magic === 'PK\u0003\u0004' || magic.startsWith('\u001f\u008b') || bytes.subarray(257, 262).toString('latin1') === 'ustar';
}

/**
 * The files of an archive; folders and litter of file managers are passed over. Throws ARCHIVE_UNSUPPORTED, ARCHIVE_DAMAGED, and ARCHIVE_TOO_LARGE as soon as a limit of
 * the whole is passed. Close it (`return`) where it is not read to its end.
 */
export async function* archiveEntries(path: string, limits: ArchiveLimits): AsyncGenerator<ArchiveEntry, void> {
  const kind = await archiveKindOf(path);
  if (kind === undefined) throw new SearchError('ARCHIVE_UNSUPPORTED', 'The file is no zip, tar or tar.gz.');
  const { size } = await stat(path);
  const expandedBytesMax = Math.min(limits.expandedBytesMax, RATIO_FREE_BYTES + limits.ratioMax * size);
  try {
    if (kind === 'zip') yield* zipEntries(path, { ...limits, expandedBytesMax });
    else yield* tarEntries(path, kind === 'tar.gz', { ...limits, expandedBytesMax });
  } catch (cause) {
    if (cause instanceof SearchError) throw cause;
    throw new SearchError('ARCHIVE_DAMAGED', 'The archive is damaged or cut short.', { cause });
  }
}

async function* zipEntries(path: string, limits: ArchiveLimits): AsyncGenerator<ArchiveEntry, void> {
  // Without decodeStrings nothing is thrown for names with ".." or a leading "/", which are only shown.
  const archive = await openPromise(path, { lazyEntries: true, autoClose: false, decodeStrings: false, validateEntrySizes: true });
  try {
    if (archive.entryCount > limits.entriesMax) throw tooManyEntries(limits);
    let entries = 0;
    let expanded = 0;
    for await (const entry of archive.eachEntry()) {
      entries += 1;
      if (entries > limits.entriesMax) throw tooManyEntries(limits);
      expanded += entry.uncompressedSize;
      if (expanded > limits.expandedBytesMax) throw expandsTooFar(limits);
      const name = shownName(getFileNameLowLevel(entry.generalPurposeBitFlag, entry.fileNameRaw, entry.extraFields, false));
      if (isFolder(entry) || isLitter(name)) continue;
      const refusal = refusalOfZipEntry(entry, limits);
      const read = async (): Promise<Buffer> => {
        const stream = await archive.openReadStreamPromise(entry).catch(damagedEntry);
        return gather(stream, limits.fileBytesMax).catch(damagedEntry);
      };
      yield { name, refusal, read };
    }
  } finally {
    archive.close();
  }
}

/** A name that ends in a slash, or the folder bit of either world. */
function isFolder({ fileNameRaw, externalFileAttributes }: Entry): boolean {
  return fileNameRaw.at(-1) === 0x2f || (externalFileAttributes & 0x10) !== 0;
}

function refusalOfZipEntry(entry: Entry, limits: ArchiveLimits): SearchError | undefined {
  if (((entry.externalFileAttributes >>> 16) & 0o170000) === LINK_MODE) return refused('a link');
  if (entry.isEncrypted()) return refused('encrypted');
  if (!entry.canDecodeFileData()) return refused('packed in a way that is not read');
  return entry.uncompressedSize > limits.fileBytesMax ? fileTooLarge(limits.fileBytesMax) : undefined;
}

async function* tarEntries(path: string, isPacked: boolean, limits: ArchiveLimits): AsyncGenerator<ArchiveEntry, void> {
  const archive = extract();
  const stop = new AbortController();
  let isInEntry = false;
  let expanded = 0;
  let betweenEntries = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      expanded += chunk.length;
      betweenEntries = isInEntry ? 0 : betweenEntries + chunk.length;
      if (expanded > limits.expandedBytesMax) done(expandsTooFar(limits));
      else if (betweenEntries > TAR_HEADER_BYTES_MAX) done(new Error('A tar header does not end.'));
      else done(null, chunk);
    },
  });
  const source = createReadStream(path);
  const { signal } = stop;
  const done = isPacked ? pipeline(source, createGunzip(), counter, archive, { signal }) : pipeline(source, counter, archive, { signal });
  done.catch(() => {}); // the loop below ends with the same error
  let entries = 0;
  try {
    for await (const entry of archive) {
      isInEntry = true;
      entries += 1;
      if (entries > limits.entriesMax) throw tooManyEntries(limits);
      const { type, size = 0 } = entry.header;
      const name = shownName(entry.header.name);
      let isRead = false;
      if (type !== 'directory' && !isLitter(name)) {
        const refusal = type !== 'file' && type !== 'contiguous-file' ? refused('a link or device') : undefined;
        yield {
          name,
          refusal: refusal ?? (size > limits.fileBytesMax ? fileTooLarge(limits.fileBytesMax) : undefined),
          read: () => {
            isRead = true;
            return gather(entry, limits.fileBytesMax);
          },
        };
      }
      if (!isRead) await passOver(entry);
      isInEntry = false;
    }
    await done;
  } finally {
    stop.abort();
  }
}

async function passOver(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _part of stream) {
    // Read to its end, so that it is known when the next header begins.
  }
}

async function gather(stream: AsyncIterable<unknown>, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of stream) {
    if (!(part instanceof Uint8Array)) throw new Error('An archive entry gave text instead of bytes. This is a bug.');
    bytes += part.length;
    if (bytes > maxBytes) throw fileTooLarge(maxBytes);
    parts.push(part);
  }
  return Buffer.concat(parts, bytes);
}

/** A name as it may be shown: forward slashes, no control and direction characters, of bounded length. */
function shownName(raw: string): string {
  const name = raw
    .normalize('NFC')
    .replaceAll('\\', '/')
    .replace(UNFIT_FOR_NAMES, '')
    .replace(/^(\.\/)+/, '');
  return (
    [...name.slice(0, NAME_CHARACTERS_MAX)]
      .filter((character) => character.codePointAt(0)! < 0xd800 || character.codePointAt(0)! > 0xdfff)
      .join('') || '(no name)'
  );
}

function isLitter(name: string): boolean {
  const parts = name.split('/');
  const last = (parts.at(-1) ?? '').toLowerCase();
  return parts.some((part) => /^\.[^.]/.test(part) || part === '__MACOSX') || last === 'thumbs.db' || last === 'desktop.ini';
}

function damagedEntry(cause: unknown): never {
  if (cause instanceof SearchError) throw cause;
  throw new SearchError('ENTRY_REFUSED', 'The entry is damaged in the archive.', { cause });
}

const refused = (what: string): SearchError => new SearchError('ENTRY_REFUSED', `The entry is ${what}.`);
const fileTooLarge = (limit: number): SearchError =>
  new SearchError('UPLOAD_TOO_LARGE', `The file is larger than ${limit} bytes (--max-upload-bytes).`);
const tooManyEntries = ({ entriesMax }: ArchiveLimits): SearchError =>
  new SearchError('ARCHIVE_TOO_LARGE', `The archive has more than ${entriesMax} entries (--import-max-entries).`);
const expandsTooFar = ({ expandedBytesMax, ratioMax }: ArchiveLimits): SearchError =>
  new SearchError(
    'ARCHIVE_TOO_LARGE',
    `The archive unpacks to more than ${expandedBytesMax} bytes (--import-max-expanded-bytes, or ${ratioMax} times its size).`,
  );

async function firstBytes(path: string, count: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(count), 0, count, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
