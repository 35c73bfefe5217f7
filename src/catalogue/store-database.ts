import { randomUUID } from 'node:crypto';
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SearchError } from '../errors.js';
import { CopyFlusher } from './copy-flusher.js';
import { DiskReserve, freeBytes } from './disk-reserve.js';
import { reached } from './failpoint.js';
import { flushFolder } from './index-file.js';
import { asStoreError } from './store-errors.js';
import { migrate, type StoreIdentity } from './store-schema.js';
import { prepareStatements, type Statements } from './store-statements.js';

export type StoreDatabaseOptions = {
  /** An existing folder. Never open its files otherwise in this process: closing any descriptor of a file drops this process's locks on it. */
  readonly folder: string;
  /** Undefined: whatever encoder the store was made with (for checks); there must be a store then. */
  readonly encoder?: { readonly id: string; readonly dimensions: number };
  /** How long to wait for another process to let go of the folder. */
  readonly lockTimeoutMs: number;
  readonly reserveBytes: number;
};

/** A write's answer and what it changed; a thrown SearchError is its answer too. */
export type StoreWrite<T, Change> = { readonly value: T; readonly change?: Change };
export type WriteOutcome<T, Change> = { readonly value: T; readonly change?: Change } | { readonly error: SearchError };

/** The log is copied into the database at this length, and cut back to this length where one large write made it longer. */
const WAL_PAGES = 500;
const WAL_BYTES_KEPT = 4096 * WAL_PAGES;
/** What an add leaves free beyond its own needs. */
const ROOM_BYTES = 1024 * 1024;
/** Pages given back to the file system at a time; small enough for the log that this needs to fit into the released reserve. */
const VACUUM_PAGES = 256;
/** Pages copied in one go, a millisecond or two; and the disk that a copy leaves to everything else. */
const COPY_PAGES = 128;
const COPY_ROOM_BYTES = 16 * 1024 * 1024;

/**
 * The record store's file: one SQLite database, its lock, its transactions and the disk it lies on. A group of writes is one transaction and one flush
 * (`synchronous=FULL`), and what `commit` has returned survives a power failure. Locked for as long as it is open: SQLite's own lock, which ends
 * with the process however it dies.
 */
export class StoreDatabase {
  readonly identity: StoreIdentity;
  readonly connection: Database.Database;
  readonly statements: Statements;
  readonly #options: StoreDatabaseOptions;
  readonly #path: string;
  readonly #reserve: DiskReserve;
  #failure: SearchError | undefined;

  /** Opens or makes the store. Throws CATALOGUE_LOCKED, CATALOGUE_DAMAGED, ENCODER_MISMATCH, DISK_FULL or NATIVE_MODULE_MISSING. */
  constructor(options: StoreDatabaseOptions) {
    this.#options = options;
    this.#path = join(options.folder, 'catalogue.db');
    this.#reserve = new DiskReserve(options.folder, options.reserveBytes);
    let database: Database.Database | undefined;
    try {
      try {
        database = this.#open();
      } catch (error) {
        if (asStoreError(error, options.folder).code !== 'DISK_FULL' || !this.#reserve.release()) throw error;
        database = this.#open();
      }
      this.connection = database;
      reached('store opened');
      const { id = '', dimensions = 0 } = options.encoder ?? {};
      this.identity = migrate(database, { catalogueId: randomUUID(), encoderId: id, dimensions });
      this.#refuseOtherEncoder();
      this.statements = prepareStatements(database);
      flushFolder(options.folder);
      rmSync(join(options.folder, 'reserve.tmp'), { force: true });
      this.#reserve.restore();
      reached('store ready');
    } catch (error) {
      database?.close();
      throw asStoreError(error, options.folder);
    }
  }

  #open(): Database.Database {
    const database = new Database(this.#path, { timeout: this.#options.lockTimeoutMs, fileMustExist: this.#options.encoder === undefined });
    try {
      // Before anything touches the file: exclusive mode keeps the lock from the first read on, and needs no shared-memory file.
      database.pragma('locking_mode = EXCLUSIVE');
      database.pragma('auto_vacuum = INCREMENTAL');
      database.pragma('journal_mode = WAL');
      database.pragma('synchronous = FULL');
      database.pragma('fullfsync = ON');
      database.pragma('foreign_keys = ON');
      database.pragma(`wal_autocheckpoint = ${WAL_PAGES}`);
      database.pragma(`journal_size_limit = ${WAL_BYTES_KEPT}`);
      database.exec('BEGIN IMMEDIATE; COMMIT');
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  }

  #refuseOtherEncoder(): void {
    const { encoder, folder } = this.#options;
    if (encoder === undefined) return;
    const { encoderId, dimensions } = this.identity;
    if (encoderId === encoder.id && dimensions === encoder.dimensions) return;
    const message =
      `The catalogue in ${folder} was made with encoder ${encoderId} (${dimensions} dimensions); this server runs encoder ${encoder.id} ` +
      `(${encoder.dimensions}). Their embeddings cannot be compared: start with encoder ${encoderId}, or use another data folder.`;
    throw new SearchError('ENCODER_MISMATCH', message);
  }

  /**
   * Runs writes as one transaction with one flush. Each is undone alone where it throws; its error is its outcome, and the others stand. Where
   * the transaction itself fails, each is tried in a transaction of its own, so that one write too large for the disk does not fail the rest.
   */
  commit<T, Change>(writes: readonly (() => StoreWrite<T, Change>)[]): WriteOutcome<T, Change>[] {
    if (this.#failure !== undefined) return writes.map(() => ({ error: this.#failure! }));
    try {
      return this.#transaction(writes);
    } catch (error) {
      const failure = this.#noted(error);
      if (failure.code !== 'DISK_FULL') return writes.map(() => ({ error: failure }));
      if (writes.length > 1) return writes.flatMap((write) => this.commit([write]));
      return [{ error: failure }];
    }
  }

  /** As `commit` of one write that must go through on a full disk: gives up the reserve where it has to. */
  commitFreeing<T, Change>(write: () => StoreWrite<T, Change>): WriteOutcome<T, Change> {
    const [outcome] = this.commit([write]);
    const isFull = outcome !== undefined && 'error' in outcome && outcome.error.code === 'DISK_FULL';
    if (!isFull || !this.#reserve.release()) return outcome!;
    return this.commit([write])[0]!;
  }

  #transaction<T, Change>(writes: readonly (() => StoreWrite<T, Change>)[]): WriteOutcome<T, Change>[] {
    const { begin, commit, rollback, savepoint, release, undo } = this.statements;
    begin.run();
    try {
      const outcomes = writes.map((write): WriteOutcome<T, Change> => {
        savepoint.run();
        try {
          const outcome = write();
          release.run();
          return outcome;
        } catch (error) {
          const failure = asStoreError(error, this.#options.folder);
          // A fault of the disk concerns all of them, and may have ended the transaction already.
          if (failure.code === 'CATALOGUE_DAMAGED' || (failure.code === 'DISK_FULL' && failure !== error)) throw error;
          undo.run();
          release.run();
          return { error: failure };
        }
      });
      reached('commit begun');
      commit.run();
      return outcomes;
    } catch (error) {
      if (this.connection.inTransaction) rollback.run();
      throw error;
    }
  }

  /** Runs a read; what SQLite throws becomes a SearchError, and an I/O error or damage ends the store's work. */
  read<T>(reading: () => T): T {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return reading();
    } catch (error) {
      if (error instanceof SearchError) throw error;
      throw this.#noted(error);
    }
  }

  /**
   * To be called by a write that will store so many bytes; throws DISK_FULL. Without its reserve the store only takes writes that can free space. And what is in the log must still fit into the database, or the log could
   * never be emptied again: an add needs its size twice, and the log's once.
   */
  refuseWithoutRoom(bytes: number): void {
    const { folder } = this.#options;
    const hasReserve = this.#reserve.isInPlace || this.#reserve.restore();
    if (!hasReserve || freeBytes(folder) < 2 * bytes + this.fileBytes.wal + ROOM_BYTES) {
      throw new SearchError('DISK_FULL', `No space is left in ${folder}. Free disk space or remove images; adding goes on by itself.`);
    }
  }

  /** Size of the database file and of its log, in bytes. */
  get fileBytes(): { readonly database: number; readonly wal: number } {
    const bytes = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    return { database: bytes(this.#path), wal: bytes(`${this.#path}-wal`) };
  }

  /**
   * While space is short: empties the log, hands freed pages back to the file system a few at a time, and puts the reserve back where that
   * made room. So removing images makes room for others, although SQLite alone would keep their pages.
   */
  reclaim(): void {
    if (this.#failure !== undefined) return;
    const isShort = freeBytes(this.#options.folder) < this.fileBytes.wal + 2 * ROOM_BYTES;
    if (this.#reserve.isInPlace && !(isShort && Number(this.connection.pragma('freelist_count', { simple: true })) > 0)) return;
    try {
      // In this order: vacuuming writes to the log, and needs the room that emptying it makes.
      this.connection.pragma('wal_checkpoint(TRUNCATE)');
      this.connection.pragma(`incremental_vacuum(${VACUUM_PAGES})`);
      reached('space reclaimed');
      this.connection.pragma('wal_checkpoint(TRUNCATE)');
    } catch (error) {
      this.#noted(error); // too little room: tried again after the next write; anything worse is refused from now on
    }
    this.#reserve.restore();
  }

  /**
   * Copies the database a little at a time, so that others have their turns in between; what is committed meanwhile is in the copy too. Never leaves less
   * disk than adding needs. Rejects with DISK_FULL, CATALOGUE_DAMAGED, or the signal's reason.
   */
  async copyTo(path: string, signal: AbortSignal): Promise<void> {
    const flusher = new CopyFlusher(path);
    try {
      await this.connection.backup(path, {
        progress: ({ totalPages, remainingPages }) => {
          signal.throwIfAborted();
          this.refuseWithoutRoom(COPY_ROOM_BYTES);
          flusher.wrote(totalPages - remainingPages);
          reached('snapshot being copied');
          return COPY_PAGES;
        },
      });
    } catch (error) {
      throw asStoreError(error, this.#options.folder); // not noted: it may be the copy's disk, and says nothing of our own flushes
    } finally {
      await flusher.close();
    }
  }

  /** SQLite's own verdict: empty where all is well. `deep` also compares every index with its table. */
  integrityProblems(deep: boolean): string[] {
    const rows = this.connection.pragma(deep ? 'integrity_check' : 'quick_check') as Record<string, string>[]; // one text column a row
    const found = rows.flatMap((row) => Object.values(row)).filter((text) => text !== 'ok');
    const orphans = this.connection.pragma('foreign_key_check') as { table: string; rowid: number }[]; // documented columns
    return [...found, ...orphans.map(({ table, rowid }) => `row ${rowid} of ${table} belongs to no image`)];
  }

  close(): void {
    this.connection.close();
  }

  /** Converts SQLite's error. After an I/O error nothing more is tried: a flush that failed once may succeed the next time without its data. */
  #noted(error: unknown): SearchError {
    const converted = asStoreError(error, this.#options.folder);
    if (converted.code === 'CATALOGUE_DAMAGED') this.#failure ??= converted;
    return converted;
  }
}
