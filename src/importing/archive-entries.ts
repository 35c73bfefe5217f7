/**
 * The entries of an untrusted archive (zip, tar, tar.gz), one by one, within limits. Names are only shown and never
 * become paths; the decoder tells from the bytes whether an entry is a picture. Every pass over an archive gives the
 * same entries in the same order, so that a number identifies an entry.
 */
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { type Entry, getFileNameLowLevel, openPromise, type ZipFile } from 'yauzl';
import { SearchError } from '../errors.js';
import { countSkipped, type SkipCounts, skipReasonOf } from '../picture-files.js';

/** Limits of one archive. */
export type ArchiveLimits = {
  /** Entries of any kind. */
  readonly entriesMax: number;
  /** Unpacked bytes of all entries together: at most this, and at most `ratioMax` times the size of the archive. */
  readonly expandedBytesMax: number;
  readonly ratioMax: number;
  /** A larger file is refused; the others are read. */
  readonly fileBytesMax: number;
  /** The flag that sets `fileBytesMax`, for the message. */
  readonly fileBytesFlag: '--max-upload-bytes' | '--max-file-bytes';
};

/**
 * One file of an archive. `refusal`: why it cannot be read; `read` then rejects with it. Call `read` before the next
 * entry is requested, or not at all.
 */
type ArchiveEntry = {
  readonly name: string;
  readonly refusal: SearchError | undefined;
  read(): Promise<Buffer>;
};

type ArchiveKind = 'zip' | 'tar' | 'tar.gz';

/** Below this size the ratio is not checked: it says nothing about a few flat pictures. */
const RATIO_FREE_BYTES = 64 * 1024 * 1024;
/** Header bytes between two entries of a tar, such as long names, which the reader keeps in memory. */
const TAR_HEADER_BYTES_MAX = 1024 * 1024;
/**
 * Entries that an archive of any size may have, and the packed bytes that each further one takes at least: a picture
 * takes more. Bounds the list of failures.
 */
const FREE_ENTRIES = 1000;
const ENTRY_BYTES_MIN = 64;
const NAME_CHARACTERS_MAX = 500;
const UNFIT_FOR_NAMES = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const LINK_MODE = 0o120000;
const UTF8_FLAG = 0x800;
const UNICODE_PATH_FIELD = 0x7075;
/** FAT, NTFS and VFAT, by the upper byte of "version made by". */
const DOS_SYSTEMS: readonly number[] = [0, 10, 14];
const BACKSLASH = 0x5c;
const SLASH = 0x2f;

const MAGIC_BYTES = 262;

/** The kind of the archive at `path`, by its first bytes; undefined for any other file. */
export async function archiveKindOf(path: string): Promise<ArchiveKind | undefined> {
  return archiveKind(await bytesAt(path, 0, MAGIC_BYTES));
}

async function bytesAt(path: string, position: number, count: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(count), 0, count, position);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function archiveKind(bytes: Buffer): ArchiveKind | undefined {
  const text = bytes.toString('latin1', 0, MAGIC_BYTES);
  if (text.startsWith('PK\u0003\u0004') || text.startsWith('PK\u0005\u0006')) return 'zip';
  if (text.startsWith('\u001f\u008b')) return 'tar.gz';
  return text.startsWith('ustar', 257) ? 'tar' : undefined;
}

/**
 * The files of an archive, without folders and without the entries that {@link skipReasonOf} names, which are counted
 * in `skipped`. Throws ARCHIVE_UNSUPPORTED, ARCHIVE_DAMAGED, and ARCHIVE_TOO_LARGE as soon as a limit of the whole
 * archive is exceeded. Call `return` on it where it is not read to its end.
 */
export async function* archiveEntries(
  path: string,
  limits: ArchiveLimits,
  skipped: SkipCounts = {},
): AsyncGenerator<ArchiveEntry, void> {
  const kind = await archiveKindOf(path);
  if (kind === undefined) throw notAnArchive();
  const { size } = await stat(path);
  const expandedBytesMax = Math.min(limits.expandedBytesMax, RATIO_FREE_BYTES + limits.ratioMax * size);
  const entriesMax = Math.min(limits.entriesMax, FREE_ENTRIES + Math.ceil(size / ENTRY_BYTES_MIN));
  const bounded = { ...limits, expandedBytesMax, entriesMax };
  try {
    const entries = kind === 'zip' ? zipEntries(path, bounded) : tarEntries(path, kind === 'tar.gz', bounded);
    for await (const entry of entries) {
      const reason = skipReasonOf(entry.name);
      if (reason === undefined) yield entry;
      else countSkipped(skipped, reason);
    }
  } catch (cause) {
    if (cause instanceof SearchError) throw cause;
    throw new SearchError('ARCHIVE_DAMAGED', 'The archive is damaged or cut short.', { cause });
  }
}

async function* zipEntries(path: string, limits: ArchiveLimits): AsyncGenerator<ArchiveEntry, void> {
  // With decodeStrings yauzl would refuse the whole archive for one name with ".." or a leading "/".
  const archive = await openPromise(path, {
    lazyEntries: true,
    autoClose: false,
    decodeStrings: false,
    validateEntrySizes: true,
  });
  try {
    if (archive.entryCount > limits.entriesMax) throw tooManyEntries(limits);
    let entries = 0;
    let expanded = 0;
    await countOnward(archive, path);
    for await (const entry of archive.eachEntry()) {
      entries += 1;
      if (archive.entryCount === entries) await countOnward(archive, path);
      if (entries > limits.entriesMax) throw tooManyEntries(limits);
      expanded += entry.uncompressedSize;
      if (expanded > limits.expandedBytesMax) throw expandsTooFar(limits);
      if (isFolder(entry)) continue;
      const name = shownName(nameOfZipEntry(entry));
      const refusal = refusalOfZipEntry(entry, limits);
      const read = async (): Promise<Buffer> => {
        if (refusal !== undefined) throw refusal;
        const stream = await archive.openReadStreamPromise(entry).catch(damagedEntry);
        return readAll(stream, limits).catch(damagedEntry);
      };
      yield { name, refusal, read };
    }
  } finally {
    archive.close();
  }
}

/** Extends the number of entries where the directory goes on after it: some programs write the number modulo 65,536. */
async function countOnward(archive: ZipFile, path: string): Promise<void> {
  const at = archive.readEntryCursor as unknown as number; // typed as a boolean by mistake
  const start = await bytesAt(path, at, 4);
  if (archive.entryCount === archive.entriesRead && start.toString('latin1') === 'PK\u0001\u0002')
    archive.entryCount += 1;
}

/** By a name that ends in a slash, or by the folder bit of DOS. */
function isFolder({ fileNameRaw, externalFileAttributes }: Entry): boolean {
  return fileNameRaw.at(-1) === 0x2f || (externalFileAttributes & 0x10) !== 0;
}

/**
 * The name of an entry with forward slashes. Without the flag of UTF-8, bytes that are valid UTF-8 are UTF-8 (macOS
 * omits the flag), others CP437. A backslash separates folders only where the archive was made on FAT or NTFS, and not
 * as the second byte of a character (Shift-JIS, GBK, Big5).
 */
function nameOfZipEntry({ generalPurposeBitFlag, fileNameRaw, extraFields, versionMadeBy }: Entry): string {
  const hasUtf8Name = (generalPurposeBitFlag & UTF8_FLAG) !== 0 || isUtf8(fileNameRaw);
  const bytes = Buffer.from(fileNameRaw);
  if (DOS_SYSTEMS.includes(versionMadeBy >> 8)) {
    for (const [index, byte] of fileNameRaw.entries())
      if (byte === BACKSLASH && (hasUtf8Name || (fileNameRaw[index - 1] ?? 0) < 0x81)) bytes[index] = SLASH;
  }
  // The extra field of Info-ZIP has a checksum of the original bytes.
  const unicodePath = extraFields.some(({ id }) => id === UNICODE_PATH_FIELD);
  return getFileNameLowLevel(hasUtf8Name ? UTF8_FLAG : 0, unicodePath ? fileNameRaw : bytes, extraFields, true);
}

function refusalOfZipEntry(entry: Entry, limits: ArchiveLimits): SearchError | undefined {
  if (((entry.externalFileAttributes >>> 16) & 0o170000) === LINK_MODE) return refused('a link');
  if (entry.isEncrypted()) return refused('encrypted');
  if (!entry.canDecodeFileData()) return refused('packed in a way that is not read');
  return entry.uncompressedSize > limits.fileBytesMax ? fileTooLarge(limits) : undefined;
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
  const done = isPacked
    ? pipeline(source, createGunzip(), counter, archive, { signal })
    : pipeline(source, counter, archive, { signal });
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
      if (type !== 'directory') {
        let refusal: SearchError | undefined;
        if (type !== 'file' && type !== 'contiguous-file') refusal = refused('a link or device');
        else if (size > limits.fileBytesMax) refusal = fileTooLarge(limits);
        const read = async (): Promise<Buffer> => {
          if (refusal !== undefined) throw refusal;
          isRead = true;
          return readAll(entry, limits);
        };
        yield { name, refusal, read };
      }
      if (!isRead) await drain(entry);
      isInEntry = false;
    }
    await done;
  } finally {
    stop.abort();
  }
}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _part of stream) {
    // The end of an entry is the start of the next header.
  }
}

/** The bytes of an entry. Throws ENTRY_REFUSED for an archive inside the archive: it is not opened. */
async function readAll(stream: AsyncIterable<unknown>, limits: ArchiveLimits): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of stream) {
    if (!(part instanceof Uint8Array)) throw new Error('An archive entry gave text instead of bytes. This is a bug.');
    size += part.length;
    if (size > limits.fileBytesMax) throw fileTooLarge(limits);
    parts.push(part);
  }
  const bytes = Buffer.concat(parts, size);
  if (archiveKind(bytes) !== undefined) throw refused('an archive itself; archives inside archives are not opened');
  return bytes;
}

/**
 * A name that is safe to show: forward slashes, no control or direction characters, at most {@link NAME_CHARACTERS_MAX}
 * characters.
 */
function shownName(raw: string): string {
  const name = raw
    .normalize('NFC')
    .replaceAll('\\', '_')
    .replace(UNFIT_FOR_NAMES, '')
    .replace(/^(\.?\/)+/, '');
  return (
    [...name.slice(0, NAME_CHARACTERS_MAX)]
      .filter((character) => character.codePointAt(0)! < 0xd800 || character.codePointAt(0)! > 0xdfff)
      .join('') || '(no name)'
  );
}

function damagedEntry(cause: unknown): never {
  if (cause instanceof SearchError) throw cause;
  throw new SearchError('ENTRY_REFUSED', 'The entry is damaged in the archive.', { cause });
}

const refused = (what: string): SearchError => new SearchError('ENTRY_REFUSED', `The entry is ${what}.`);

/** The error of a file that is not an archive. */
export const notAnArchive = (): SearchError =>
  new SearchError('ARCHIVE_UNSUPPORTED', 'The file is not a zip, tar or tar.gz.');

/** The error of a file above `fileBytesMax`. */
export const fileTooLarge = ({ fileBytesMax, fileBytesFlag }: ArchiveLimits): SearchError =>
  new SearchError('UPLOAD_TOO_LARGE', `The file is larger than ${fileBytesMax} bytes (${fileBytesFlag}).`);

const tooManyEntries = ({ entriesMax }: ArchiveLimits): SearchError =>
  new SearchError(
    'ARCHIVE_TOO_LARGE',
    `The archive has more than ${entriesMax} entries (--import-max-entries, or ${FREE_ENTRIES} and one for each ${ENTRY_BYTES_MIN} bytes of its size).`,
  );

const expandsTooFar = ({ expandedBytesMax, ratioMax }: ArchiveLimits): SearchError =>
  new SearchError(
    'ARCHIVE_TOO_LARGE',
    `The archive unpacks to more than ${expandedBytesMax} bytes (--import-max-expanded-bytes, or ${ratioMax} times its size).`,
  );
