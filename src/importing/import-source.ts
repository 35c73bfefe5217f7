/**
 * Where the files of an import come from: a folder, one picture, an archive, or URLs. Names are relative, with forward
 * slashes. A source gives the same files in the same order each time it is read, so that a number identifies a file of
 * a job after a restart.
 */
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { ImportError, ImportItem, ImportKind } from '../catalogue/imports/import-records.js';
import { SearchError, systemErrorMessage } from '../errors.js';
import { isPictureName, listPictureFiles, type PictureListing, type SkipCounts } from '../picture-files.js';
import { type ArchiveLimits, archiveEntries, archiveKindOf, fileTooLarge } from './archive-entries.js';

/** One file. `refusal`: why it cannot be read, where that is known without reading; `read` then rejects with it. */
export type SourceFile = { readonly name: string; readonly refusal?: SearchError | undefined; read(): Promise<Buffer> };

/** The files of a folder or archive. */
export type FileSource = {
  /** Each file is read before the next is requested, or not at all; otherwise files are read concurrently. */
  readonly isSequential: boolean;
  /** The files; `skipped` counts those that are not read. */
  files(skipped?: SkipCounts): AsyncGenerator<SourceFile, void>;
};

/**
 * A picture of a job. `read` rejects with the error of this picture; call `release` when its bytes are no
 * longer needed.
 */
export type SourcePicture = ImportItem & { read(): Promise<{ readonly bytes: Buffer; release(): void }> };

/** The pictures of a job. */
export type JobSource = Pick<FileSource, 'isSequential'> & {
  /** All pictures in order; undefined where the job was made with its list. */
  list?(skipped: SkipCounts): AsyncGenerator<{ readonly name: string; readonly error?: ImportError }, void>;
  /** The given pictures; `waiting` is in ascending order of the numbers. */
  pictures(waiting: AsyncIterable<ImportItem>): AsyncGenerator<SourcePicture, void>;
};

/** What the sources of jobs read from. */
export type SourceParts = {
  readonly archivePath: (id: string) => string;
  readonly limits: ArchiveLimits;
  readonly demoFolder: string;
  readonly fetchUrl: (url: string, signal: AbortSignal) => Promise<{ readonly bytes: Buffer; release(): void }>;
  readonly toError: (error: unknown) => ImportError;
};

/** The source of a job. */
export function openJobSource(
  job: { readonly id: string; readonly kind: ImportKind },
  parts: SourceParts,
  signal: AbortSignal,
): JobSource {
  const { archivePath, limits, demoFolder, fetchUrl, toError } = parts;
  if (job.kind === 'archive') return numbered(archiveSource(archivePath(job.id), limits), toError);
  if (job.kind === 'demo') return numbered(demoSource(demoFolder, limits), toError);
  return {
    isSequential: false,
    async *pictures(waiting) {
      for await (const item of waiting) yield { ...item, read: () => fetchUrl(item.name, signal) };
    },
  };
}

function numbered(source: FileSource, toError: SourceParts['toError']): JobSource {
  return {
    isSequential: source.isSequential,
    async *list(skipped) {
      for await (const { name, refusal } of source.files(skipped))
        yield refusal === undefined ? { name } : { name, error: toError(refusal) };
    },
    async *pictures(waiting) {
      const wanted = waiting[Symbol.asyncIterator]();
      let next = await wanted.next();
      let number = -1;
      for await (const file of source.files()) {
        number += 1;
        if (next.done === true) return;
        if (next.value.number !== number) continue;
        // The files of an installation may differ from those that the job listed.
        if (next.value.name !== file.name) return;
        yield { ...next.value, read: async () => ({ bytes: await file.read(), release: () => {} }) };
        next = await wanted.next();
      }
    },
  };
}

/** The demo pictures. Throws DEMO_MISSING where there are none. */
export function demoSource(folder: string, limits: ArchiveLimits): FileSource {
  return {
    isSequential: false,
    async *files() {
      const { names } = await listPictureFiles(folder).catch(() => ({ names: [] }));
      if (names.length === 0) throw new SearchError('DEMO_MISSING', 'This installation holds no demo pictures.');
      for (const name of names) yield fileOnDisk(join(folder, name), name, limits);
    },
  };
}

function archiveSource(path: string, limits: ArchiveLimits): FileSource {
  return { isSequential: true, files: (skipped) => archiveEntries(path, limits, skipped) };
}

/**
 * The pictures at a path on this machine; `total` is undefined for a tar, whose number of entries is known only at
 * its end.
 */
export type PictureSource = FileSource & { readonly total: number | undefined };

/** Opens a folder with its subfolders, an archive, or one picture. Throws where the path is none of these. */
export async function openPictureSource(path: string, limits: ArchiveLimits): Promise<PictureSource> {
  const facts = await stat(path);
  if (facts.isDirectory()) {
    const listing = await listPictureFiles(path);
    const total = listing.names.length + listing.faults.length;
    return { isSequential: false, total, files: (skipped) => filesIn(path, listing, limits, skipped) };
  }
  if (!facts.isFile()) throw new Error(`${path} is neither a file nor a folder.`);
  const kind = await archiveKindOf(path);
  if (kind !== undefined) {
    const source = archiveSource(path, limits);
    return { ...source, total: kind === 'zip' ? await countOf(source) : undefined };
  }
  if (!isPictureName(path)) throw new Error(`${path} is neither a folder, a picture, nor a zip or tar archive.`);
  const file = fileOnDisk(path, basename(path), limits);
  return {
    isSequential: false,
    total: 1,
    async *files() {
      yield file;
    },
  };
}

async function* filesIn(
  folder: string,
  listing: PictureListing,
  limits: ArchiveLimits,
  skipped: SkipCounts = {},
): AsyncGenerator<SourceFile, void> {
  Object.assign(skipped, listing.skipped);
  for (const name of listing.names) yield fileOnDisk(join(folder, name), name, limits);
  for (const { name, message } of listing.faults) yield { name, read: () => Promise.reject(new Error(message)) };
}

function fileOnDisk(path: string, name: string, limits: ArchiveLimits): SourceFile {
  const read = async (): Promise<Buffer> => {
    try {
      if ((await stat(path)).size > limits.fileBytesMax) throw fileTooLarge(limits);
      return await readFile(path);
    } catch (error) {
      const message = systemErrorMessage(error);
      throw message === undefined ? error : new Error(message, { cause: error });
    }
  };
  return { name, read };
}

async function countOf(source: FileSource): Promise<number> {
  let count = 0;
  for await (const _file of source.files()) count += 1;
  return count;
}
