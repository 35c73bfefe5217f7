/** Sends chosen files to the service one by one, some at a time, and keeps the books: each file ends as added, existing or failed. */
import { type LikenessClient, LikenessError } from '../../client/client.js';

/** A file that a person chose, with the path it goes by: that below the chosen folder, or its name. */
export type PickedFile = { readonly path: string; readonly file: File };
/** The books. added + existing + waiting + failed = found, at every moment; what is under way is still waiting. */
export type UploadCounts = {
  readonly found: number;
  readonly added: number;
  readonly existing: number;
  readonly waiting: number;
  readonly failed: number;
};
/** A file that was not stored, and what the service or the page said of it. */
export type UploadFailure = { readonly picked: PickedFile; readonly error: unknown };
/** A run as it stands. `stoppedBy` is what ended it before its last file: the disk is full, the key is wrong, the service is gone. */
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

/** Requests under way at once: enough to keep the service's decoders busy from one browser. */
const AT_ONCE = 4;
/** A busy service says when to come again; the run waits for it so often before a file counts as failed. */
const PATIENCE = { attempts: 12, longestPauseMs: 15_000 };
/** What the next file would meet as well: the run stops, and its files wait. */
const STOPPING: ReadonlySet<string> = new Set(['UNAUTHORISED', 'FORBIDDEN', 'DISK_FULL', 'CATALOGUE_FULL', 'UNREACHABLE', 'SHUTTING_DOWN']);

/**
 * Uploads the files under their paths as ids, as `likeness import` does, with `name` and `folder` in their metadata. A bad file never ends
 * the run. Resolves with the last state, all files booked, or stopped with the rest waiting.
 */
export async function uploadFiles({ client, files, collection, replace, signal, onChange }: UploadOptions): Promise<UploadRun> {
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
        const { existing } = await client.index([file], { id: path, metadata, collection, replace }, { signal: either, retry: PATIENCE });
        counts[existing > 0 ? 'existing' : 'added'] += 1;
      } catch (error) {
        if (either.aborted) return;
        if (error instanceof LikenessError && STOPPING.has(error.code)) {
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
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const last = state(true);
  onChange(last);
  return last;
}
