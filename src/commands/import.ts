import { writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { SingleBar } from 'cli-progress';
import { LikenessError } from '../client/client.js';
import { SearchError, systemErrorMessage } from '../errors.js';
import { forEachFile } from '../importing/for-each-file.js';
import { openPictureSource, type SourceFile } from '../importing/import-source.js';
import { createPermits } from '../importing/permits.js';
import type { SkipCounts } from '../picture-files.js';
import { readTextFile } from './read-file.js';
import { openService, type ServiceFlags } from './service.js';

/** Flags of `likeness import`. */
type ImportFlags = ServiceFlags & {
  readonly concurrency: number;
  readonly replace: boolean;
  readonly ids: 'path' | 'hash';
  readonly metadata?: string;
  readonly failures: string;
  readonly maxFileBytes: number;
};

/** The files so far; those in progress are not counted. */
type ImportCounts = { added: number; replaced: number; updated: number; existing: number; failed: number };

/** Why a file is not stored. */
type ImportFailure = { readonly file: string; readonly code: string; readonly message: string };

const REPORT_EVERY_MS = 5000;
const RETRY = { attempts: 8, longestPauseMs: 15_000, whenUnreachable: true };

/**
 * Imports a folder or archive, shows the progress (a bar on a terminal, otherwise a line now and then), and writes
 * every failure with its reason to a file. An import is resumed by running it again: stored files are recognised
 * without being decoded. Returns the exit code: 0 all files stored, 2 some files failed, 130 stopped by Ctrl-C. Throws
 * where no file can be stored: no picture is found, the service is unreachable, the key is refused, or the archive
 * is damaged.
 */
export async function runImport(path: string, flags: ImportFlags): Promise<number> {
  const { concurrency, replace, ids, collection, maxFileBytes } = flags;
  const source = await openPictureSource(path, {
    entriesMax: Number.MAX_SAFE_INTEGER,
    expandedBytesMax: Number.MAX_SAFE_INTEGER,
    ratioMax: Number.MAX_SAFE_INTEGER,
    fileBytesMax: maxFileBytes,
    fileBytesFlag: '--max-file-bytes',
  });
  const metadata = flags.metadata === undefined ? undefined : await readMetadata(flags.metadata);
  const { client, close } = await openService(flags, RETRY);
  const stop = new AbortController();
  const { signal } = stop;
  let isInterrupted = false;
  const onInterrupt = (): void => {
    isInterrupted = true;
    stop.abort();
  };
  process.once('SIGINT', onInterrupt);
  const display = createDisplay(source.total);
  const failures = createFailureList(flags.failures);
  const counts: ImportCounts = { added: 0, replaced: 0, updated: 0, existing: 0, failed: 0 };
  const skipped: SkipCounts = {};
  let unchanged = 0;

  const importFile = async ({ name }: SourceFile, reading: Promise<Buffer>): Promise<void> => {
    try {
      const picture = new File([(await reading) as Uint8Array<ArrayBuffer>], name); // a Buffer has no SharedArrayBuffer
      const options = {
        ...{ collection, replace, metadata: { folder: posix.dirname(name), ...metadata?.of(name) } },
        ...(ids === 'path' && { id: name }),
      };
      const { images } = await client.index([picture], options, { signal });
      const [stored] = images;
      if (stored === undefined || 'error' in stored) throw new Error('POST /index returned no image. This is a bug.');
      const { status } = stored;
      counts[status === 'exists' ? 'existing' : status === 'updated' ? 'replaced' : status] += 1;
      if (status === 'exists' && !replace && metadata?.of(name) !== undefined) unchanged += 1;
    } catch (error) {
      if (signal.aborted || !isErrorOfOneFile(error)) {
        stop.abort(error); // The requests in progress end too.
        throw error;
      }
      counts.failed += 1;
      const code = error instanceof LikenessError || error instanceof SearchError ? error.code : 'UNREADABLE_FILE';
      failures.add({ file: name, code, message: error instanceof Error ? error.message : String(error) });
    }
    display.update(counts);
  };

  try {
    await client.live('/livez', { signal, retry: { attempts: 1 } }); // fails at once where no service runs
    const permits = createPermits(concurrency);
    const { isSequential } = source;
    await forEachFile({ files: source.files(skipped), isSequential, permits, signal, work: importFile });
    display.close(counts);
    const skippedText = describeSkipped(skipped);
    if (doneOf(counts) === 0)
      throw new Error(`${path} holds no picture${skippedText === '' ? '' : `; ${skippedText}`}.`);
    metadata?.reportUnused();
    if (unchanged > 0)
      console.error(
        `The metadata of ${unchanged} files that were already stored are unchanged; --replace changes them.`,
      );
    if (counts.failed > 0)
      console.error(`${counts.failed} files are not stored; the reasons are in ${failures.place()}.`);
    if (skippedText !== '') console.error(skippedText);
    return counts.failed > 0 ? 2 : 0;
  } catch (error) {
    if (!isInterrupted) throw error;
    display.close(counts);
    console.error('Stopped. Run the same command again to go on: stored files are skipped.');
    return 130;
  } finally {
    stop.abort();
    display.close();
    process.removeListener('SIGINT', onInterrupt);
    await close();
  }
}

/** Such as "3 skipped: 2 hidden, 1 link"; empty where nothing was skipped. */
function describeSkipped(skipped: SkipCounts): string {
  const counts = Object.entries(skipped);
  if (counts.length === 0) return '';
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  return `${total} skipped: ${counts.map(([reason, count]) => `${count} ${reason}`).join(', ')}`;
}

function doneOf({ added, replaced, updated, existing, failed }: ImportCounts): number {
  return added + replaced + updated + existing + failed;
}

/** False where every further file would fail as well: the service is unreachable, or the key is refused. */
function isErrorOfOneFile(error: unknown): boolean {
  return !(error instanceof LikenessError && [0, 401, 403, 404].includes(error.httpStatus));
}

/** Shows the counts while an import runs, and the final ones when it is closed with them. */
function createDisplay(total: number | undefined): {
  readonly update: (counts: ImportCounts) => void;
  readonly close: (counts?: ImportCounts) => void;
} {
  const startedAt = performance.now();
  const line = (counts: ImportCounts, isFinal = false): string => {
    const done = doneOf(counts);
    const perSecond = done / ((performance.now() - startedAt) / 1000);
    const left = total === undefined || isFinal ? '' : `, ${Math.ceil((total - done) / perSecond)} s left`;
    const { added, replaced, updated, existing, failed } = counts;
    const updatedText = updated === 0 ? '' : `${updated} with new metadata, `;
    return `${done}${total === undefined ? '' : `/${total}`} files: ${added} added, ${replaced} replaced, ${updatedText}${existing} already stored, ${failed} failed (${perSecond.toFixed(0)}/s${left})`;
  };
  const bar =
    process.stderr.isTTY && total !== undefined
      ? new SingleBar({ format: '{bar} {text}', hideCursor: true, barsize: 24 })
      : undefined;
  bar?.start(total ?? 0, 0, { text: '' });
  let reportedAt = startedAt;
  let isClosed = false;
  return {
    update: (counts) => {
      bar?.update(doneOf(counts), { text: line(counts) });
      if (bar !== undefined || performance.now() - reportedAt < REPORT_EVERY_MS) return;
      reportedAt = performance.now();
      console.error(line(counts));
    },
    close: (counts) => {
      if (isClosed) return;
      isClosed = true;
      bar?.stop();
      if (counts !== undefined) console.log(line(counts, true));
    },
  };
}

/**
 * One JSON line for each failure, in a file that is created with the first one, or on standard error where it cannot
 * be written.
 */
function createFailureList(path: string): {
  readonly add: (failure: ImportFailure) => void;
  readonly place: () => string;
} {
  let isFirst = true;
  let isWritable = true;
  return {
    add: (failure) => {
      const line = JSON.stringify(failure);
      try {
        if (isWritable) writeFileSync(path, `${line}\n`, { flag: isFirst ? 'w' : 'a' });
      } catch (error) {
        isWritable = false;
        const reason = systemErrorMessage(error) ?? String(error);
        console.error(
          `The list of failures cannot be written (choose another with --failures): ${reason} Failures follow here.`,
        );
      }
      if (!isWritable) console.error(line);
      isFirst = false;
    },
    place: () => (isWritable ? path : 'the lines above'),
  };
}

/** The metadata of files. */
type FileMetadata = {
  /** The metadata of a file by its relative name, whichever Unicode normal form either has. */
  readonly of: (file: string) => object | undefined;
  /** Tells on standard error which rows matched no file. */
  readonly reportUnused: () => void;
};

/**
 * Reads JSON lines with the relative name of a file as `file`; the other keys are its metadata. Throws with file
 * and line.
 */
async function readMetadata(path: string): Promise<FileMetadata> {
  const rows = new Map<string, object>();
  for (const [index, line] of (await readTextFile(path)).split('\n').entries()) {
    if (line.trim() === '') continue;
    const where = `${path}, line ${index + 1}`;
    let row: unknown;
    try {
      row = JSON.parse(line);
    } catch (cause) {
      throw new Error(`${where} is not valid JSON: ${String((cause as Error).message)}`, { cause });
    }
    if (typeof row !== 'object' || row === null || !('file' in row) || typeof row.file !== 'string')
      throw new Error(`${where}: each line is a JSON object with "file", the relative name.`);
    const { file, ...metadata } = row;
    rows.set(file.normalize('NFC'), metadata);
  }
  const unused = new Set(rows.keys());
  return {
    of: (file) => {
      unused.delete(file.normalize('NFC'));
      return rows.get(file.normalize('NFC'));
    },
    reportUnused: () => {
      if (unused.size > 0) console.error(`${unused.size} rows of ${path} match no file, such as "${[...unused][0]}".`);
    },
  };
}
