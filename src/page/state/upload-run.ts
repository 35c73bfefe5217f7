/** Uploads chosen files one per request, several at a time, and counts them: each ends as added, existing or failed. */
import { type LikenessClient, LikenessError } from '../../client/client.js';

/** A chosen file; `path` is relative to the chosen folder, or the file name. */
export type PickedFile = { readonly path: string; readonly file: File };
/** Invariant: added + existing + waiting + failed = found. Uploads in flight count as waiting. */
export type UploadCounts = {
  readonly found: number;
  readonly added: number;
  readonly existing: number;
  readonly waiting: number;
  readonly failed: number;
};
/** A file that was not stored, with the error. */
type UploadFailure = { readonly picked: PickedFile; readonly error: unknown };
/** State of a run. `stoppedBy` is the error that ended it early: disk full, wrong key, service unreachable. */
export type UploadRun = {
  readonly counts: UploadCounts;
  readonly failures: readonly UploadFailure[];
  readonly isDone: boolean;
  readonly stoppedBy?: unknown;
};

type UploadOptions = {
  readonly client: Pick<LikenessClient, 'index'>;
  readonly files: readonly PickedFile[];
  readonly collection: string;
  readonly replace: boolean;
  readonly signal: AbortSignal;
  readonly onChange: (run: UploadRun) => void;
};

/** Requests in flight: enough to keep the service's decoders busy from one browser. */
const CONCURRENCY = 4;
/** Retries of a request to a busy service, which names the pause, before its file counts as failed. */
const RETRY = { attempts: 12, longestPauseMs: 15_000 };
/** Errors that the next file would meet as well: they stop the run. */
const FATAL_CODES: ReadonlySet<string> = new Set([
  'UNAUTHORISED',
  'FORBIDDEN',
  'DISK_FULL',
  'CATALOGUE_FULL',
  'UNREACHABLE',
  'SHUTTING_DOWN',
]);

/**
 * Uploads the files with their paths as ids and `name` and `folder` as metadata, as `likeness import` does. A bad file
 * does not end the run. Resolves with the final state: every file counted, or stopped early with the rest waiting.
 */
export async function uploadFiles({
  client,
  files,
  collection,
  replace,
  signal,
  onChange,
}: UploadOptions): Promise<UploadRun> {
  const counts = { found: files.length, added: 0, existing: 0, waiting: files.length, failed: 0 };
  const failures: UploadFailure[] = [];
  const queue = [...files];
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const state = (isDone: boolean): UploadRun => ({
    counts: { ...counts },
    failures: [...failures],
    isDone,
    ...(stop.signal.aborted && { stoppedBy: stop.signal.reason }),
  });
  const work = async (): Promise<void> => {
    for (let picked = queue.shift(); picked !== undefined && !either.aborted; picked = queue.shift()) {
      try {
        const { path, file } = picked;
        const cut = path.lastIndexOf('/');
        const metadata = { name: path.slice(cut + 1), ...(cut > 0 && { folder: path.slice(0, cut) }) };
        const { existing } = await client.index(
          [file],
          { id: path, metadata, collection, replace },
          { signal: either, retry: RETRY },
        );
        counts[existing > 0 ? 'existing' : 'added'] += 1;
      } catch (error) {
        if (either.aborted) return;
        if (error instanceof LikenessError && FATAL_CODES.has(error.code)) {
          stop.abort(error);
          return;
        }
        counts.failed += 1;
        failures.push({ picked, error });
      }
      counts.waiting -= 1;
      onChange(state(false));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  const last = state(true);
  onChange(last);
  return last;
}
