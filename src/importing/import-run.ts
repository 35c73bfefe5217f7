/**
 * Runs one import job to its end: lists the pictures of its source, then stores those that wait. A job that is stopped
 * at any moment can be run again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  ImportChange,
  ImportError,
  ImportItem,
  ImportLedger,
  ImportRecord,
} from '../catalogue/imports/import-records.js';
import { SearchError } from '../errors.js';
import type { SkipCounts } from '../picture-files.js';
import { forEachFile } from './for-each-file.js';
import { openJobSource, type SourceParts, type SourcePicture } from './import-source.js';
import type { Permits } from './permits.js';

/** A picture of a job, to be stored. */
export type ImportedPicture = {
  readonly job: Pick<ImportRecord, 'id' | 'collection' | 'kind'>;
  readonly item: ImportItem;
  readonly bytes: Buffer;
  readonly signal: AbortSignal;
};

/** What a run needs of the service around it. */
export type RunParts = SourceParts & {
  readonly ledger: ImportLedger;
  /** Bounds the pictures in progress, of all jobs together. */
  readonly permits: Permits;
  /**
   * Stores a picture and counts it as added in one transaction; resolves with `exists` where it was stored before.
   * Rejects with SearchErrors.
   */
  readonly addPicture: (picture: ImportedPicture) => Promise<'added' | 'exists'>;
  /** Waits a moment while requests are in progress: they have priority. */
  readonly yieldToRequests: (signal: AbortSignal) => Promise<void>;
  /** Charges one picture to the quota of a caller; returns 0, or the seconds until the quota allows it. */
  readonly charge: (caller: string) => number;
  readonly onChange: (id: string) => void;
  readonly onSettled: (outcome: 'added' | 'existing' | 'failed') => void;
};

/** Called with the reason when a running job waits, and with null when it goes on. */
type OnWaiting = (reason: ImportError | null) => void;

const LISTED_AT_ONCE = 500;
const WAITING_AT_ONCE = 200;
/** Errors that pass without help: the job waits as long as they last. */
const WAITED_FOR: readonly string[] = ['OVERLOADED', 'DISK_FULL'];
/** Errors that may come from the machine or from the picture: how often it is tried. */
const ATTEMPTS: { readonly [code: string]: number } = {
  DECODER_FAILED: 3,
  ENCODER_FAILED: 3,
  DEADLINE_EXCEEDED: 3,
  DECODE_TIMEOUT: 2,
};
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5000;

/**
 * Resolves when the job has ended and its end is stored. Rejects with the reason of the signal where it is stopped: the
 * job keeps its state.
 */
export async function runImport(
  job: ImportRecord,
  parts: RunParts,
  options: { readonly caller: string; readonly signal: AbortSignal; readonly onWaiting: OnWaiting },
): Promise<void> {
  const { caller, signal, onWaiting } = options;
  const { ledger, onChange, toError } = parts;

  const change = async (wanted: ImportChange): Promise<ImportRecord> => {
    for (let attempt = 1; ; attempt++) {
      try {
        const record = await ledger.changeImport(wanted);
        if (record === undefined) throw new Error(`Job ${job.id} was forgotten while it ran. This is a bug.`);
        onChange(job.id);
        return record;
      } catch (error) {
        await waitOut(error, attempt);
      }
    }
  };

  /** Pauses after an error that passes without help; rethrows all others. */
  const waitOut = async (error: unknown, attempt: number): Promise<void> => {
    signal.throwIfAborted();
    if (!(error instanceof SearchError) || !WAITED_FOR.includes(error.code)) throw error;
    onWaiting(toError(error));
    await pause(attempt, signal);
    onWaiting(null);
  };

  const source = openJobSource(job, parts, signal);

  const list = async (): Promise<void> => {
    if (source.list === undefined) throw new Error(`Job ${job.id} was made without its pictures. This is a bug.`);
    await change({ kind: 'relist', id: job.id });
    let items: { readonly name: string; readonly error?: ImportError }[] = [];
    const skipped: SkipCounts = {};
    for await (const item of source.list(skipped)) {
      signal.throwIfAborted();
      if (items.push(item) < LISTED_AT_ONCE) continue;
      await change({ kind: 'found', id: job.id, items });
      items = [];
    }
    if (items.length > 0) await change({ kind: 'found', id: job.id, items });
    await change({ kind: 'listed', id: job.id, skipped });
  };

  async function* waiting(): AsyncGenerator<ImportItem, void> {
    for (let after = -1; ; ) {
      signal.throwIfAborted();
      const items = await ledger.readImports({ kind: 'waiting', id: job.id, after, limit: WAITING_AT_ONCE });
      yield* items;
      const last = items.at(-1);
      if (last === undefined) return;
      after = last.number;
    }
  }

  const settle = async (item: ImportItem, error?: ImportError): Promise<void> => {
    const { number } = item;
    await change(
      error === undefined
        ? { kind: 'settle', id: job.id, number, state: 'existing' }
        : { kind: 'settle', id: job.id, number, state: 'failed', error },
    );
    parts.onSettled(error === undefined ? 'existing' : 'failed');
  };

  const store = async (picture: SourcePicture, reading: ReturnType<SourcePicture['read']>): Promise<void> => {
    const { number, name } = picture;
    for (let attempt = 1; ; attempt++) {
      try {
        const { bytes, release } = await (attempt === 1 || source.isSequential ? reading : picture.read());
        try {
          const status = await parts.addPicture({ job, item: { number, name }, bytes, signal });
          if (status === 'exists') return await settle(picture);
          parts.onSettled('added');
          return onChange(job.id);
        } finally {
          release();
        }
      } catch (error) {
        signal.throwIfAborted();
        const { code } = toError(error);
        if (WAITED_FOR.includes(code)) await waitOut(error, attempt);
        else if (attempt < (ATTEMPTS[code] ?? 1)) await pause(attempt, signal);
        else return await settle(picture, toError(error));
      }
    }
  };

  const before = async (): Promise<void> => {
    for (let seconds = parts.charge(caller); seconds > 0; seconds = parts.charge(caller)) {
      onWaiting(
        toError(new SearchError('RATE_LIMITED', 'The import waits for the quota of its caller (--rate-limit).')),
      );
      await sleep(seconds * 1000, undefined, { signal });
      onWaiting(null);
    }
    await parts.yieldToRequests(signal);
  };

  try {
    if (!job.isListed) await list();
    const { permits } = parts;
    const { isSequential } = source;
    const files = source.pictures(waiting());
    await forEachFile({ files, isSequential, permits, caller, signal, before, work: store });
  } catch (error) {
    signal.throwIfAborted();
    await change({ kind: 'finish', id: job.id, status: 'failed', error: toError(error) });
    return;
  }
  signal.throwIfAborted();
  const last = await ledger.readImports({ kind: 'one', id: job.id });
  const isWhole = (last?.counts.waiting ?? 0) === 0;
  // A source that has fewer pictures than it listed has changed in between.
  const gone = new SearchError('IMPORT_SOURCE_GONE', 'The source no longer holds this picture.');
  await change({
    kind: 'finish',
    id: job.id,
    status: isWhole ? 'done' : 'failed',
    ...(!isWhole && { error: toError(gone) }),
  });
}

async function pause(attempt: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1)), undefined, { signal }).catch(() =>
    signal.throwIfAborted(),
  );
}
