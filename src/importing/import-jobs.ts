/** All import jobs of a service: made, run side by side, watched, cancelled, tried again, and gone on with after a restart. */
import { randomUUID } from 'node:crypto';
import type { ImportError, ImportFailure, ImportKind, ImportRecord } from '../catalogue/import-records.js';
import { SearchError } from '../errors.js';
import { archiveKindOf } from './archive-entries.js';
import type { ArchiveSpool } from './archive-spool.js';
import { type RunParts, runImport } from './import-run.js';
import { demoNames } from './import-source.js';

/** A job as it is shown: a running one may say in `error` what it waits for. */
export type ImportJob = ImportRecord;
export type JobListener = { readonly onMove: (job: ImportJob) => void; readonly onEnd: () => void };

/** What jobs are made of, but for what each run tells of itself. */
export type ImportJobsParts = Omit<RunParts, 'archivePath' | 'onChange'> & {
  readonly spool: ArchiveSpool;
  /** Jobs at once; more are OVERLOADED. */
  readonly jobsMax: number;
  /** Watchers of all jobs together; more are OVERLOADED. */
  readonly listenersMax: number;
  readonly now: () => number;
  /** What no caller waits for. */
  readonly onFailure: (error: unknown) => void;
};

type Run = { readonly collection: string; readonly stop: AbortController; readonly ended: Promise<void>; waitsFor: ImportError | null };

const LISTENERS_TOLD_EVERY_MS = 250;
/** Ended jobs that are kept; of older ones, and of those older than a week, nothing is left. */
const KEPT_JOBS = 100;
const KEPT_MS = 7 * 24 * 3_600_000;

/** The jobs of one catalogue. Call {@link resume} once when it can be searched, and {@link close} before the catalogue is closed. */
export class ImportJobs {
  readonly #parts: ImportJobsParts;
  readonly #runs = new Map<string, Run>();
  readonly #listeners = new Map<string, Set<JobListener>>();
  readonly #told = new Map<string, NodeJS.Timeout>();
  /** Jobs being made: an archive that arrives belongs to a job that is not written down yet. */
  #making = 0;
  #isClosed = false;

  constructor(parts: ImportJobsParts) {
    this.#parts = parts;
  }

  get running(): number {
    return this.#runs.size;
  }

  /** Running jobs of the collections that pass. */
  runningIn(passes: (collection: string) => boolean): number {
    return [...this.#runs.values()].filter(({ collection }) => passes(collection)).length;
  }

  get listeners(): number {
    return [...this.#listeners.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Goes on with what ran when the service ended. Removes archives and jobs that nobody can need. */
  async resume(): Promise<void> {
    const { ledger, spool } = this.#parts;
    const jobs = await ledger.readImports({ kind: 'all' });
    const known = new Map(jobs.map((job) => [job.id, job]));
    await spool.sweep((id) => known.get(id)?.kind === 'archive' && known.get(id)?.status !== 'cancelled');
    for (const job of jobs.toReversed()) {
      if (job.status !== 'running') continue;
      // A list of URLs is answered when all of it is written down; half of one was never promised to anybody.
      if (job.kind === 'urls' && !job.isListed) await ledger.changeImport({ kind: 'forget', id: job.id });
      else this.#start(job);
    }
    await this.#forgetOld();
  }

  /** A job of these URLs. Each is looked at when its turn comes, and fails alone. */
  async importUrls(collection: string, urls: readonly string[]): Promise<ImportJob> {
    return this.#make(async (id) => {
      const { ledger } = this.#parts;
      await this.#create(id, { collection, source: 'urls', name: `${urls.length} URLs` });
      for (let at = 0; at < urls.length; at += 500) {
        const items = urls.slice(at, at + 500).map((name) => ({ name }));
        await ledger.changeImport({ kind: 'found', id, items });
      }
      return ledger.changeImport({ kind: 'listed', id });
    });
  }

  /** A job of an archive, which is on disk when this resolves. Rejects with ARCHIVE_UNSUPPORTED, UPLOAD_TOO_LARGE, DISK_FULL, or as the body does. */
  async importArchive(collection: string, archive: { readonly name: string; readonly body: AsyncIterable<unknown> }): Promise<ImportJob> {
    return this.#make(async (id) => {
      const { spool } = this.#parts;
      await spool.receive(id, archive.body);
      try {
        if ((await archiveKindOf(spool.pathOf(id))) === undefined)
          throw new SearchError('ARCHIVE_UNSUPPORTED', 'The file is no zip, tar or tar.gz.');
        return await this.#create(id, { collection, source: 'archive', name: archive.name });
      } catch (error) {
        await spool.remove(id);
        throw error;
      }
    });
  }

  /** A job of the demo pictures. Rejects with DEMO_MISSING where there are none. */
  async importDemo(collection: string): Promise<ImportJob> {
    await demoNames(this.#parts.demoFolder);
    return this.#make((id) => this.#create(id, { collection, source: 'demo', name: 'demo pictures' }));
  }

  /** The newest first. */
  async list(): Promise<readonly ImportJob[]> {
    return (await this.#parts.ledger.readImports({ kind: 'all' })).map((job) => this.#shown(job));
  }

  /** Rejects with NOT_FOUND. */
  async get(id: string): Promise<ImportJob> {
    return this.#shown(found(await this.#parts.ledger.readImports({ kind: 'one', id })));
  }

  /** Failures after the given number. */
  failures(id: string, page: { readonly after: number; readonly limit: number }): Promise<readonly ImportFailure[]> {
    return this.#parts.ledger.readImports({ kind: 'failures', id, ...page });
  }

  /** Tries again what failed and goes on with what waits. Rejects with IMPORT_RUNNING, or IMPORT_SOURCE_GONE where the archive is no longer kept. */
  async retry(id: string): Promise<ImportJob> {
    const { ledger, spool } = this.#parts;
    const job = await this.get(id);
    if (job.status === 'running' || this.#runs.has(id)) throw new SearchError('IMPORT_RUNNING', 'The import is running.');
    if (job.kind === 'archive' && !(await spool.has(id))) throw new SearchError('IMPORT_SOURCE_GONE', 'The archive is no longer kept.');
    this.#refuseTooMany();
    const waiting = found(await ledger.changeImport({ kind: 'retry', id }));
    this.#start(waiting);
    return waiting;
  }

  /** Cancels a running job: what it stored stays. Forgets one that has ended. Resolves with the job as it is, or last was. */
  async cancel(id: string): Promise<ImportJob> {
    const { ledger, spool } = this.#parts;
    const run = this.#runs.get(id);
    const job = await this.get(id);
    if (run === undefined && job.status !== 'running') {
      await ledger.changeImport({ kind: 'forget', id });
      await spool.remove(id);
      return job;
    }
    run?.stop.abort(new SearchError('IMPORT_RUNNING', 'The import is being cancelled.'));
    await run?.ended;
    const cancelled = found(await ledger.changeImport({ kind: 'finish', id, status: 'cancelled' }));
    await spool.remove(id);
    this.#tell(cancelled);
    return cancelled;
  }

  /** Tells a listener of a job whenever it has moved on, a few times a second at most, and of its end. Returns how to stop it. Throws OVERLOADED. */
  watch(id: string, listener: JobListener): () => void {
    if (this.#isClosed || this.listeners >= this.#parts.listenersMax) {
      throw new SearchError('OVERLOADED', `${this.#parts.listenersMax} listeners follow imports already.`, { retryAfterSeconds: 5 });
    }
    const listeners = this.#listeners.get(id) ?? new Set();
    this.#listeners.set(id, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(id) === listeners) this.#listeners.delete(id);
    };
  }

  /** Ends every stream of events; jobs go on. */
  endListeners(): void {
    this.#isClosed = true;
    for (const timer of this.#told.values()) clearTimeout(timer);
    this.#told.clear();
    for (const listeners of this.#listeners.values()) for (const { onEnd } of [...listeners]) onEnd();
    this.#listeners.clear();
  }

  /** Stops all runs where they stand; the next start goes on with them. */
  async close(): Promise<void> {
    this.endListeners();
    const runs = [...this.#runs.values()];
    for (const { stop } of runs) stop.abort(new SearchError('SHUTTING_DOWN', 'The service is stopping.'));
    await Promise.all(runs.map(({ ended }) => ended));
  }

  async #make(make: (id: string) => Promise<ImportJob | undefined>): Promise<ImportJob> {
    this.#refuseTooMany();
    this.#making += 1;
    try {
      const job = found(await make(randomUUID()));
      this.#start(job);
      void this.#forgetOld().catch(this.#parts.onFailure);
      return job;
    } finally {
      this.#making -= 1;
    }
  }

  #create(
    id: string,
    job: { readonly collection: string; readonly source: ImportKind; readonly name: string },
  ): Promise<ImportJob | undefined> {
    return this.#parts.ledger.changeImport({ kind: 'create', id, ...job });
  }

  #refuseTooMany(): void {
    if (this.#isClosed) throw new SearchError('SHUTTING_DOWN', 'The service is stopping.');
    const { jobsMax } = this.#parts;
    if (this.#runs.size + this.#making < jobsMax) return;
    throw new SearchError('OVERLOADED', `${jobsMax} imports run already (--import-jobs).`, { retryAfterSeconds: 30 });
  }

  #start(job: ImportJob): void {
    if (this.#isClosed) return; // The next start goes on with it.
    const stop = new AbortController();
    const parts: RunParts = {
      ...this.#parts,
      archivePath: (id) => this.#parts.spool.pathOf(id),
      onChange: (id, record) => this.#moved(id, record),
    };
    const onWaiting = (reason: ImportError | null): void => {
      const run = this.#runs.get(job.id);
      if (run !== undefined) run.waitsFor = reason;
      this.#moved(job.id);
    };
    const ended = this.#refuseGone(job)
      .then(() => runImport(job, parts, { signal: stop.signal, onWaiting }))
      .catch((error: unknown) => {
        if (!stop.signal.aborted) this.#parts.onFailure(error); // It stays as it is, and the next start goes on with it.
      })
      .finally(() => this.#ended(job.id));
    this.#runs.set(job.id, { collection: job.collection, stop, ended, waitsFor: null });
  }

  /** An archive that is not there any more, as after a restore: nothing more can come of the job. */
  async #refuseGone({ id, kind }: ImportJob): Promise<void> {
    const { ledger, spool, toError } = this.#parts;
    if (kind !== 'archive' || (await spool.has(id))) return;
    const error = toError(new SearchError('IMPORT_SOURCE_GONE', 'The archive is no longer kept.'));
    await ledger.changeImport({ kind: 'finish', id, status: 'failed', error });
    throw new Error(`The archive of import ${id} is gone.`);
  }

  async #ended(id: string): Promise<void> {
    this.#runs.delete(id);
    const job = await this.get(id).catch(() => undefined);
    if (job === undefined) return;
    // With failures the archive stays for a second try.
    if (job.kind === 'archive' && job.status !== 'running' && job.counts.failed === 0) await this.#parts.spool.remove(id);
    if (job.status !== 'running') this.#tell(job);
  }

  async #forgetOld(): Promise<void> {
    const { ledger, spool, now } = this.#parts;
    const ended = (await ledger.readImports({ kind: 'all' })).filter(({ id, status }) => status !== 'running' && !this.#runs.has(id));
    for (const [place, { id, finishedAt }] of ended.entries()) {
      if (place < KEPT_JOBS && now() - (finishedAt ?? 0) < KEPT_MS) continue;
      await ledger.changeImport({ kind: 'forget', id });
      await spool.remove(id);
    }
  }

  #shown(job: ImportJob): ImportJob {
    return { ...job, error: job.error ?? this.#runs.get(job.id)?.waitsFor ?? null };
  }

  /** Listeners hear of it soon, together with what else happens until then. */
  #moved(id: string, _record?: ImportJob): void {
    if (!this.#listeners.has(id) || this.#told.has(id)) return;
    const timer = setTimeout(() => {
      this.#told.delete(id);
      void this.get(id)
        .then((job) => this.#tell(job))
        .catch(() => {}); // Forgotten meanwhile, or the catalogue is closing: there is nothing to tell.
    }, LISTENERS_TOLD_EVERY_MS);
    timer.unref();
    this.#told.set(id, timer);
  }

  #tell(job: ImportJob): void {
    const listeners = [...(this.#listeners.get(job.id) ?? [])];
    for (const { onMove } of listeners) onMove(job);
    if (job.status === 'running') return;
    for (const { onEnd } of listeners) onEnd();
    this.#listeners.delete(job.id);
  }
}

function found<T>(job: T | undefined): T {
  if (job === undefined) throw new SearchError('NOT_FOUND', 'There is no such import.');
  return job;
}
