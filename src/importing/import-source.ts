/** Where a job's pictures come from. Each source gives the same pictures under the same numbers whenever it is walked. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImportError, ImportItem, ImportKind } from '../catalogue/import-records.js';
import { SearchError } from '../errors.js';
import { type ArchiveLimits, archiveEntries, isArchive } from './archive-entries.js';

/** One picture to read. Rejects with what its failure says. */
export type SourcePicture = ImportItem & { read(): Promise<{ readonly bytes: Buffer; release(): void }> };

/** A source of pictures. */
export type ImportSource = {
  /** Pictures are read one after the other, each before the next is asked for; else side by side. */
  readonly isSequential: boolean;
  /** Everything in it, in order; undefined where its pictures were named when the job was made. */
  found?(): AsyncGenerator<{ readonly name: string; readonly error?: ImportError }, void>;
  /** The pictures whose numbers, ascending, are given. */
  pictures(waiting: AsyncIterable<ImportItem>): AsyncGenerator<SourcePicture, void>;
};

/** What sources read from. */
export type SourceParts = {
  readonly archivePath: (id: string) => string;
  readonly limits: ArchiveLimits;
  readonly demoFolder: string;
  readonly fetchUrl: (url: string, signal: AbortSignal) => Promise<{ readonly bytes: Buffer; release(): void }>;
  readonly toError: (error: unknown) => ImportError;
};

const PICTURE_NAME = /\.(jpe?g|png|webp|gif|avif|tiff?)$/i;
const nothing = (): void => {};

/** The source of a job. */
export function openSource(job: { readonly id: string; readonly kind: ImportKind }, parts: SourceParts, signal: AbortSignal): ImportSource {
  if (job.kind === 'archive') return archiveSource(parts.archivePath(job.id), parts);
  return job.kind === 'demo' ? demoSource(parts.demoFolder) : urlSource(parts, signal);
}

function urlSource({ fetchUrl }: SourceParts, signal: AbortSignal): ImportSource {
  return {
    isSequential: false,
    async *pictures(waiting) {
      for await (const item of waiting) yield { ...item, read: () => fetchUrl(item.name, signal) };
    },
  };
}

function archiveSource(path: string, { limits, toError }: SourceParts): ImportSource {
  return {
    isSequential: true,
    async *found() {
      for await (const { name, refusal } of archiveEntries(path, limits)) {
        yield refusal === undefined ? { name } : { name, error: toError(refusal) };
      }
    },
    async *pictures(waiting) {
      const wanted = waiting[Symbol.asyncIterator]();
      let next = await wanted.next();
      let number = -1;
      for await (const entry of archiveEntries(path, limits)) {
        number += 1;
        if (next.done === true) return;
        if (next.value.number !== number) continue;
        yield { ...next.value, read: async () => ({ bytes: refuseNested(await entry.read()), release: nothing }) };
        next = await wanted.next();
      }
    },
  };
}

function refuseNested(bytes: Buffer): Buffer {
  if (isArchive(bytes)) throw new SearchError('ENTRY_REFUSED', 'The entry is an archive itself; archives inside archives are not opened.');
  return bytes;
}

function demoSource(folder: string): ImportSource {
  return {
    isSequential: false,
    async *found() {
      for (const name of await demoNames(folder)) yield { name };
    },
    async *pictures(waiting) {
      const names = new Set(await demoNames(folder));
      for await (const item of waiting) {
        yield {
          ...item,
          read: async () => {
            // Only what the folder holds is read, whatever the job says.
            if (!names.has(item.name)) throw new SearchError('DEMO_MISSING', 'The demo picture is no longer part of this installation.');
            return { bytes: await readFile(join(folder, item.name)), release: nothing };
          },
        };
      }
    },
  };
}

/** Relative names of the demo pictures, sorted. Throws DEMO_MISSING where there is none. */
export async function demoNames(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true }).catch(() => []);
  const names = entries.map((name) => name.split('\\').join('/')).filter((name) => PICTURE_NAME.test(name));
  if (names.length > 0) return names.sort();
  throw new SearchError('DEMO_MISSING', 'This installation holds no demo pictures.');
}
