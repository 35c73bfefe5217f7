import { createWriteStream, type WriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { SingleBar } from 'cli-progress';
import { openImportSource } from '../importing/image-files.js';
import { type ImportFailure, type ImportProgress, importImages } from '../importing/import-images.js';
import { openService, type ServiceFlags } from './service.js';

/** Flags of `likeness import`. */
export type ImportFlags = ServiceFlags & {
  readonly concurrency: number;
  readonly replace: boolean;
  readonly ids: 'path' | 'hash';
  readonly metadata?: string;
  readonly failures: string;
  readonly maxFileBytes: number;
};

const REPORT_EVERY_MS = 5000;

/**
 * Imports a folder or archive, draws a progress bar (a line now and then where the output is no terminal), and writes every failure with
 * its reason. Returns the exit code: 0 all stored, 2 some files failed. Ctrl-C stops after the files on their way; run it again to go on.
 */
export async function runImport(path: string, flags: ImportFlags): Promise<number> {
  const source = await openImportSource(path, { maxFileBytes: flags.maxFileBytes });
  const given = flags.metadata === undefined ? new Map<string, Record<string, unknown>>() : await readMetadata(flags.metadata);
  const service = await openService(flags);
  const stop = new AbortController();
  const onInterrupt = (): void => stop.abort(new Error('Interrupted; run the same command again to go on.'));
  process.once('SIGINT', onInterrupt);
  const display = createDisplay(source.total);
  const failures = createFailureList(flags.failures);
  try {
    const account = await importImages({
      source,
      service: service.address,
      concurrency: flags.concurrency,
      replace: flags.replace,
      ids: flags.ids,
      metadataOf: (file) => ({ folder: posix.dirname(file), ...given.get(file) }),
      onProgress: display.update,
      onFailure: failures.add,
      signal: stop.signal,
    });
    display.close(account);
    if (account.failed > 0) console.error(`${account.failed} files are not stored; ${flags.failures} says why.`);
    return account.failed > 0 ? 2 : 0;
  } finally {
    display.close();
    process.removeListener('SIGINT', onInterrupt);
    await failures.close();
    await service.close();
  }
}

type Display = { readonly update: (progress: ImportProgress) => void; readonly close: (account?: ImportProgress) => void };

function createDisplay(total: number | undefined): Display {
  const startedAt = performance.now();
  const line = (progress: ImportProgress): string => {
    const done = progress.added + progress.replaced + progress.existing + progress.failed;
    const perSecond = done / ((performance.now() - startedAt) / 1000);
    const left = total === undefined ? '' : `, ${Math.ceil((total - done) / perSecond)} s left`;
    const { added, replaced, existing, failed } = progress;
    return `${done}${total === undefined ? '' : `/${total}`} files: ${added} added, ${replaced} replaced, ${existing} there already, ${failed} failed (${perSecond.toFixed(0)}/s${left})`;
  };
  const bar =
    process.stderr.isTTY && total !== undefined ? new SingleBar({ format: '{bar} {text}', hideCursor: true, barsize: 24 }) : undefined;
  bar?.start(total ?? 0, 0, { text: '' });
  let reportedAt = startedAt;
  let isClosed = false;
  return {
    update: (progress) => {
      bar?.update(progress.added + progress.replaced + progress.existing + progress.failed, { text: line(progress) });
      if (bar !== undefined || performance.now() - reportedAt < REPORT_EVERY_MS) return;
      reportedAt = performance.now();
      console.error(line(progress));
    },
    close: (account) => {
      if (isClosed) return;
      isClosed = true;
      bar?.stop();
      if (account !== undefined) console.log(line(account).replace(/, \S+ s left/, ''));
    },
  };
}

/** JSON lines, one a failure; the file is made with the first one, so that a clean import leaves nothing behind. */
function createFailureList(path: string): { readonly add: (failure: ImportFailure) => void; readonly close: () => Promise<void> } {
  let stream: WriteStream | undefined;
  return {
    add: (failure) => {
      stream ??= createWriteStream(path);
      stream.write(`${JSON.stringify(failure)}\n`);
    },
    close: () => new Promise((resolve) => (stream === undefined ? resolve() : stream.end(resolve))),
  };
}

/** JSON lines with a `file` each (its relative name); all other keys are its metadata. */
async function readMetadata(path: string): Promise<Map<string, Record<string, unknown>>> {
  const rows = (await readFile(path, 'utf8')).split('\n').filter((line) => line.trim() !== '');
  return new Map(
    rows.map((line, index) => {
      const row: unknown = JSON.parse(line);
      if (typeof row !== 'object' || row === null || !('file' in row) || typeof row.file !== 'string') {
        throw new Error(`${path}, line ${index + 1}: each line is a JSON object with "file", the relative name.`);
      }
      const { file, ...metadata } = row;
      return [file, metadata];
    }),
  );
}
