/** The work of one job, from where it stands to its end: find the pictures, store those that wait. A stop at any moment is gone on from later. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ImportChange, ImportError, ImportItem, ImportLedger, ImportRecord } from '../catalogue/import-records.js';
import { SearchError } from '../errors.js';
import { openSource, type SourceParts, type SourcePicture } from './import-source.js';
import type { Places } from './places.js';

/** A picture of a job on its way into the catalogue. */
export type ImportedPicture = {
  readonly job: Pick<ImportRecord, 'id' | 'collection' | 'kind'>;
  readonly item: ImportItem;
  readonly bytes: Buffer;
  readonly signal: AbortSignal;
};

/** What a run needs of the service around it. */
export type RunParts = SourceParts & {
  readonly ledger: ImportLedger;
  /** Pictures on their way at once, of all jobs together. */
  readonly places: Places;
  /** Stores a picture and settles it as added, in one transaction; answers exists where it was there. Rejects with SearchErrors. */
  readonly addPicture: (picture: ImportedPicture) => Promise<'added' | 'exists'>;
  /** Waits a moment while requests are busy: they go first. */
  readonly giveWay: (signal: AbortSignal) => Promise<void>;
  readonly onChange: (id: string, record?: ImportRecord) => void;
  readonly onSettled: (outcome: 'added' | 'existing' | 'failed') => void;
};

/** Told what a running job waits for, or that it goes on. */
export type OnWaiting = (reason: ImportError | null) => void;

const FOUND_AT_ONCE = 500;
const WAITING_AT_ONCE = 200;
/** Trouble that passes: the job waits, however long it takes. */
const WAITS: readonly string[] = ['OVERLOADED', 'DISK_FULL'];
/** Trouble that may be the machine's or this picture's own: how often it is tried. */
const ATTEMPTS: { readonly [code: string]: number } = { DECODER_FAILED: 3, ENCODER_FAILED: 3, DEADLINE_EXCEEDED: 3, DECODE_TIMEOUT: 2 };
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5000;

/** Resolves when the job has ended and that is written down; rejects with the signal's reason where it was stopped, the job as it stands. */
export async function runImport(
  job: ImportRecord,
  parts: RunParts,
  options: { readonly signal: AbortSignal; readonly onWaiting: OnWaiting },
): Promise<void> {
  const { signal, onWaiting } = options;
  const { ledger, onChange, toError } = parts;

  const change = async (wanted: ImportChange): Promise<ImportRecord> => {
    for (let attempt = 1; ; attempt++) {
      try {
        const record = await ledger.changeImport(wanted);
        if (record === undefined) throw new Error(`Job ${job.id} was forgotten while it ran. This is a bug.`);
        onChange(job.id, record);
        return record;
      } catch (error) {
        await waitOut(error, attempt);
      }
    }
  };

  /** Rethrows what does not pass by itself. */
  const waitOut = async (error: unknown, attempt: number): Promise<void> => {
    signal.throwIfAborted();
    if (!(error instanceof SearchError) || !WAITS.includes(error.code)) throw error;
    onWaiting(toError(error));
    await pause(attempt, signal);
    onWaiting(null);
  };

  const source = openSource(job, parts, signal);

  const find = async (): Promise<void> => {
    if (source.found === undefined) throw new Error(`Job ${job.id} was made without its pictures. This is a bug.`);
    await change({ kind: 'relist', id: job.id });
    let items: { readonly name: string; readonly error?: ImportError }[] = [];
    for await (const item of source.found()) {
      signal.throwIfAborted();
      if (items.push(item) < FOUND_AT_ONCE) continue;
      await change({ kind: 'found', id: job.id, items });
      items = [];
    }
    if (items.length > 0) await change({ kind: 'found', id: job.id, items });
    await change({ kind: 'listed', id: job.id });
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
        if (WAITS.includes(code)) await waitOut(error, attempt);
        else if (attempt < (ATTEMPTS[code] ?? 1)) await pause(attempt, signal);
        else return await settle(picture, toError(error));
      }
    }
  };

  const work = async (): Promise<void> => {
    const tasks = new Set<Promise<void>>();
    let failure: { readonly error: unknown } | undefined;
    try {
      for await (const picture of source.pictures(waiting())) {
        const free = await parts.places.take(signal);
        await parts.giveWay(signal);
        const reading = picture.read();
        // Waited for where the source can give only one at a time; what it rejects with is the picture's failure.
        if (source.isSequential) await reading.catch(() => {});
        const task = store(picture, reading)
          .catch((error: unknown) => {
            failure ??= { error };
          })
          .finally(() => {
            free();
            tasks.delete(task);
          });
        tasks.add(task);
        if (failure !== undefined) break;
      }
    } finally {
      await Promise.all(tasks);
    }
    if (failure !== undefined) throw failure.error;
  };

  try {
    if (!job.isListed) await find();
    await work();
  } catch (error) {
    signal.throwIfAborted();
    await change({ kind: 'finish', id: job.id, status: 'failed', error: toError(error) });
    return;
  }
  signal.throwIfAborted();
  const last = await ledger.readImports({ kind: 'one', id: job.id });
  const isWhole = (last?.counts.waiting ?? 0) === 0;
  // A source that gives less than it did when its pictures were found has changed in between.
  const gone = new SearchError('IMPORT_SOURCE_GONE', 'The source no longer holds this picture.');
  await change({ kind: 'finish', id: job.id, status: isWhole ? 'done' : 'failed', ...(!isWhole && { error: toError(gone) }) });
}

async function pause(attempt: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1)), undefined, { signal }).catch(() => signal.throwIfAborted());
}
