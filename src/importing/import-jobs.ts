/**
 * The import jobs of a service: created, run concurrently, watched, cancelled, retried, and resumed after a restart.
 */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ImportError, ImportFailure, ImportKind, ImportRecord } from '../catalogue/imports/import-records.js';
import { SearchError } from '../errors.js';
import { archiveKindOf, notAnArchive } from './archive-entries.js';
import type { ArchiveSpool } from './archive-spool.js';
import { type RunParts, runImport } from './import-run.js';
import { demoSource } from './import-source.js';
import { fairShare } from './permits.js';

/** A job as clients see it: `error` of a running job is what it waits for. */
export type ImportJob = ImportRecord;

/** What the jobs need of the service. */
type ImportJobsParts = Omit<RunParts, 'archivePath' | 'onChange'> & {
  readonly spool: ArchiveSpool;
  /** Running jobs; more are refused with OVERLOADED. */
  readonly jobsMax: number;
  readonly now: () => number;
  /** Called with errors that no caller waits for. */
  readonly onFailure: (error: unknown) => void;
};

type Run = {
  readonly collection: string;
  readonly caller: string;
  readonly stop: AbortController;
  /** Resolves when nothing of the run is left, whatever happened. */
  readonly ended: Promise<void>;
  waitsFor: ImportError | null;
  /** Increases with every change of the job. */
  version: number;
};

/** Where the pictures of a job are stored, and who created it. */
export type ImportTarget = { readonly collection: string; readonly caller: string };

/** Caller of the jobs that a restart resumes. */
const RESUMED = 'resumed';
const LISTENERS_MAX = 100;
const LONGEST_PAUSE_MS = 5000;
const CHECK_EVERY_MS = 250;
/** Interval of chunks that keep the connection open in proxies. */
const HEARTBEAT_MS = 15_000;
/** Ended jobs that are kept; older ones, and those that ended more than a week ago, are removed. */
const KEPT_JOBS = 100;
const KEPT_MS = 7 * 24 * 3_600_000;

/**
 * The jobs of one catalogue. Call {@link resume} once when the catalogue is open, and {@link close} before it
 * is closed.
 */
export class ImportJobs {
  readonly #parts: ImportJobsParts;
  /**
   * Jobs at work, and those being prepared, such as one whose archive is arriving: a job is in it before the first
   * wait, so that it never runs twice.
   */
  readonly #runs = new Map<string, Run>();
  readonly #listeners = new Map<string, number>();
  readonly #listenersStop = new AbortController();
  #isClosed = false;

  constructor(parts: ImportJobsParts) {
    this.#parts = parts;
  }

  get running(): number {
    return this.#runs.size;
  }

  /** Running jobs of the collections that `includes` accepts. */
  runningIn(includes: (collection: string) => boolean): number {
    return [...this.#runs.values()].filter(({ collection }) => includes(collection)).length;
  }

  /** Open streams of {@link follow}. */
  get listeners(): number {
    return sum(this.#listeners.values());
  }

  /** Resumes the jobs that ran when the service ended. Removes archives and jobs that are no longer needed. */
  async resume(): Promise<void> {
    const { ledger, spool } = this.#parts;
    const jobs = await ledger.readImports({ kind: 'all' });
    const known = new Map(jobs.map((job) => [job.id, job]));
    await spool.sweep((id) => known.get(id)?.kind === 'archive' && known.get(id)?.status !== 'cancelled');
    for (const job of jobs.toReversed()) {
      if (job.status !== 'running') continue;
      // The response to a list of URLs is sent when all of it is stored: nobody was promised half of one.
      if (job.kind === 'urls' && !job.isListed) await ledger.changeImport({ kind: 'forget', id: job.id });
      else void this.#run(job, RESUMED, async () => job).catch(this.#parts.onFailure);
    }
    await this.#removeOld();
  }

  /** Starts a job of these URLs. Each is checked when its turn comes; one that fails does not stop the others. */
  async importUrls({ collection, caller }: ImportTarget, urls: readonly string[]): Promise<ImportJob> {
    const { ledger } = this.#parts;
    return this.#run({ id: randomUUID(), collection }, caller, async ({ id }) => {
      await this.#create(id, { collection, source: 'urls', name: `${urls.length} URLs` });
      for (let at = 0; at < urls.length; at += 500) {
        const items = urls.slice(at, at + 500).map((name) => ({ name }));
        await ledger.changeImport({ kind: 'found', id, items });
      }
      return ledger.changeImport({ kind: 'listed', id });
    });
  }

  /**
   * Starts a job of an archive, which is on disk when this resolves. Rejects with ARCHIVE_UNSUPPORTED,
   * UPLOAD_TOO_LARGE, DISK_FULL, or as the body does.
   */
  async importArchive(
    { collection, caller }: ImportTarget,
    archive: { readonly name: string; readonly body: AsyncIterable<unknown> },
  ): Promise<ImportJob> {
    const { spool } = this.#parts;
    return this.#run({ id: randomUUID(), collection }, caller, async ({ id }, signal) => {
      await spool.receive(id, archive.body, signal);
      try {
        if ((await archiveKindOf(spool.pathOf(id))) === undefined) throw notAnArchive();
        return await this.#create(id, { collection, source: 'archive', name: archive.name });
      } catch (error) {
        await spool.remove(id);
        throw error;
      }
    });
  }

  /** Starts a job of the demo pictures. Rejects with DEMO_MISSING where there are none. */
  async importDemo({ collection, caller }: ImportTarget): Promise<ImportJob> {
    const { demoFolder, limits } = this.#parts;
    await demoSource(demoFolder, limits).files().next();
    return this.#run({ id: randomUUID(), collection }, caller, ({ id }) =>
      this.#create(id, { collection, source: 'demo', name: 'demo pictures' }),
    );
  }

  /** All jobs, the newest first. */
  async list(): Promise<readonly ImportJob[]> {
    return (await this.#parts.ledger.readImports({ kind: 'all' })).map((job) => this.#withWaitReason(job));
  }

  /** Rejects with NOT_FOUND. */
  async get(id: string): Promise<ImportJob> {
    return this.#withWaitReason(found(await this.#parts.ledger.readImports({ kind: 'one', id })));
  }

  /** Failures whose number is greater than `after`. */
  failures(id: string, page: { readonly after: number; readonly limit: number }): Promise<readonly ImportFailure[]> {
    return this.#parts.ledger.readImports({ kind: 'failures', id, ...page });
  }

  /**
   * Retries what failed and continues with what waits. Rejects with IMPORT_RUNNING, or IMPORT_SOURCE_GONE where the
   * archive is no longer kept.
   */
  async retry(id: string, caller: string): Promise<ImportJob> {
    const { ledger, spool } = this.#parts;
    const running = (): SearchError => new SearchError('IMPORT_RUNNING', 'The import is running.');
    const { collection } = await this.get(id);
    if (this.#runs.has(id)) throw running();
    return this.#run({ id, collection }, caller, async () => {
      const job = await this.get(id);
      if (job.status === 'running') throw running();
      if (job.kind === 'archive' && !(await spool.has(id))) throw archiveGone();
      return ledger.changeImport({ kind: 'retry', id });
    });
  }

  /**
   * Cancels a running job; the pictures it stored remain. Removes a job that has ended. Resolves with the job in its
   * last state.
   */
  async cancel(id: string): Promise<ImportJob> {
    const { ledger, spool } = this.#parts;
    const run = this.#runs.get(id);
    if (run === undefined) {
      const job = await this.get(id);
      if (job.status !== 'running') {
        await ledger.changeImport({ kind: 'forget', id });
        await spool.remove(id);
        return job;
      }
    }
    run?.stop.abort(new SearchError('IMPORT_RUNNING', 'The import is being cancelled.'));
    await run?.ended;
    // A job that ended meanwhile keeps its status.
    const job = found(await ledger.changeImport({ kind: 'finish', id, status: 'cancelled' }));
    if (job.status === 'cancelled') await spool.remove(id);
    return job;
  }

  /**
   * A stream of what `toChunk` makes of the job now and after every change, until it ends or {@link endListeners} is
   * called; of undefined after 15 s without a change. A slow reader gets the newest state, without a queue of older
   * ones. Throws OVERLOADED where too many clients, or those of the caller, follow jobs already.
   */
  follow(job: ImportJob, caller: string, toChunk: (job: ImportJob | undefined) => string): Readable {
    const own = this.#listeners.get(caller) ?? 0;
    const callers = this.#listeners.size + (own === 0 ? 1 : 0);
    const isFull = this.listeners >= LISTENERS_MAX || own >= fairShare(LISTENERS_MAX, callers);
    if (this.#listenersStop.signal.aborted || isFull)
      throw new SearchError('OVERLOADED', 'Too many clients already follow imports.', { retryAfterSeconds: 5 });
    this.#listeners.set(caller, own + 1);
    return Readable.from(this.#changes(job, toChunk)).once('close', () => {
      const left = (this.#listeners.get(caller) ?? 1) - 1;
      if (left === 0) this.#listeners.delete(caller);
      else this.#listeners.set(caller, left);
    });
  }

  async *#changes(job: ImportJob, toChunk: (job: ImportJob | undefined) => string): AsyncGenerator<string, void> {
    const { id } = job;
    const { signal } = this.#listenersStop;
    let version = this.#runs.get(id)?.version;
    let { status } = job;
    yield toChunk(job);
    for (let quietMs = 0; status === 'running' && !signal.aborted; ) {
      await sleep(CHECK_EVERY_MS, undefined, { signal }).catch(() => {}); // then the loop ends
      const newest = this.#runs.get(id)?.version;
      quietMs += CHECK_EVERY_MS;
      if (newest !== undefined && newest === version) {
        if (quietMs % HEARTBEAT_MS === 0) yield toChunk(undefined);
        continue;
      }
      version = newest;
      quietMs = 0;
      const changed = await this.get(id);
      ({ status } = changed);
      yield toChunk(changed);
    }
  }

  /** Ends the streams of all listeners; the jobs continue. */
  endListeners(): void {
    this.#listenersStop.abort();
  }

  /** Stops all jobs where they are; the next start resumes them. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.endListeners();
    const runs = [...this.#runs.values()];
    for (const { stop } of runs) stop.abort(new SearchError('SHUTTING_DOWN', 'The service is stopping.'));
    await Promise.all(runs.map(({ ended }) => ended));
  }

  /**
   * Prepares a job, which makes it running in the ledger, and starts its work. Resolves when it is prepared; rejects as
   * `prepare` does, or with IMPORT_RUNNING where the job has a run, and with OVERLOADED.
   */
  #run(
    { id, collection }: Pick<ImportJob, 'id' | 'collection'>,
    caller: string,
    prepare: (job: { readonly id: string }, signal: AbortSignal) => Promise<ImportJob | undefined>,
  ): Promise<ImportJob> {
    if (caller !== RESUMED) this.#refuseTooMany(caller);
    const stop = new AbortController();
    const prepared = prepare({ id }, stop.signal).then(found);
    const ended = prepared
      .then((job) => (this.#isClosed ? undefined : this.#work(job, caller, stop.signal)))
      .catch(() => this.#removeUnlisted(id)) // #work handles its errors: `prepare` failed
      .finally(() => this.#ended(id));
    this.#runs.set(id, { collection, caller, stop, ended, waitsFor: null, version: 0 });
    return prepared;
  }

  /**
   * Removes a job of URLs whose list could not be stored, however long the catalogue is overloaded; after a stop the
   * next start removes it.
   */
  async #removeUnlisted(id: string): Promise<void> {
    const { ledger } = this.#parts;
    for (let attempt = 0; !this.#isClosed; attempt++) {
      try {
        const job = await ledger.readImports({ kind: 'one', id });
        if (job?.status === 'running' && !job.isListed) await ledger.changeImport({ kind: 'forget', id });
        return;
      } catch {
        await sleep(Math.min(LONGEST_PAUSE_MS, 50 * 2 ** attempt), undefined, {
          signal: this.#listenersStop.signal,
        }).catch(() => {});
      }
    }
  }

  #create(
    id: string,
    job: { readonly collection: string; readonly source: ImportKind; readonly name: string },
  ): Promise<ImportJob | undefined> {
    return this.#parts.ledger.changeImport({ kind: 'create', id, ...job });
  }

  #refuseTooMany(caller: string): void {
    if (this.#isClosed) throw new SearchError('SHUTTING_DOWN', 'The service is stopping.');
    const { jobsMax } = this.#parts;
    const runs = [...this.#runs.values()];
    const own = runs.filter((run) => run.caller === caller).length;
    const share = fairShare(jobsMax, new Set([...runs.map((run) => run.caller), caller]).size);
    if (runs.length < jobsMax && own < share) return;
    const message =
      own < share
        ? `${jobsMax} imports already run (--import-jobs).`
        : `${own} of your imports already run; others keep their share of --import-jobs (${jobsMax}).`;
    throw new SearchError('OVERLOADED', message, { retryAfterSeconds: 30 });
  }

  /**
   * Does the work of a job. An error other than a stop is reported; the job keeps its status, and the next start
   * resumes it.
   */
  async #work(job: ImportJob, caller: string, signal: AbortSignal): Promise<void> {
    const { ledger, spool, toError, onFailure } = this.#parts;
    const changed = (waitsFor?: ImportError | null): void => {
      const run = this.#runs.get(job.id);
      if (run === undefined) return;
      if (waitsFor !== undefined) run.waitsFor = waitsFor;
      run.version += 1;
    };
    const parts: RunParts = { ...this.#parts, archivePath: (id) => spool.pathOf(id), onChange: () => changed() };
    try {
      // After a restore the archive is missing.
      if (job.kind === 'archive' && !(await spool.has(job.id)))
        await ledger.changeImport({ kind: 'finish', id: job.id, status: 'failed', error: toError(archiveGone()) });
      else await runImport(job, parts, { caller, signal, onWaiting: changed });
    } catch (error) {
      if (!signal.aborted) onFailure(error);
    }
  }

  async #ended(id: string): Promise<void> {
    try {
      const job = await this.get(id);
      // With failures the archive is kept for a retry.
      if (job.kind === 'archive' && job.status !== 'running' && job.counts.failed === 0)
        await this.#parts.spool.remove(id);
    } catch {
      // The job was removed, or the catalogue is closing.
    } finally {
      this.#runs.delete(id);
    }
    if (!this.#isClosed) await this.#removeOld().catch(this.#parts.onFailure);
  }

  async #removeOld(): Promise<void> {
    const { ledger, spool, now } = this.#parts;
    const ended = (await ledger.readImports({ kind: 'all' })).filter(
      ({ id, status }) => status !== 'running' && !this.#runs.has(id),
    );
    for (const [index, { id, finishedAt }] of ended.entries()) {
      if (index < KEPT_JOBS && now() - (finishedAt ?? 0) < KEPT_MS) continue;
      await ledger.changeImport({ kind: 'forget', id });
      await spool.remove(id);
    }
  }

  #withWaitReason(job: ImportJob): ImportJob {
    return { ...job, error: job.error ?? this.#runs.get(job.id)?.waitsFor ?? null };
  }
}

function found<T>(job: T | undefined): T {
  if (job === undefined) throw new SearchError('NOT_FOUND', 'There is no such import.');
  return job;
}

function archiveGone(): SearchError {
  return new SearchError('IMPORT_SOURCE_GONE', 'The archive is no longer kept.');
}

function sum(values: Iterable<number>): number {
  return [...values].reduce((total, value) => total + value, 0);
}
