import { randomUUID } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { flushFolder } from '../../atomic-write.js';
import { SearchError } from '../../errors.js';
import { reached } from '../failpoint.js';
import { CopyFlusher } from './copy-flusher.js';
import { DiskReserve, freeBytes } from './disk-reserve.js';
import { asStoreError } from './store-errors.js';
import { migrate, readIdentity, readVersion, type StoreIdentity } from './store-schema.js';
import { prepareStatements, type Statements } from './store-statements.js';

export type StoreDatabaseOptions = {
  /**
   * An existing folder. Never open its database file elsewhere in this process: closing any descriptor drops the
   * process's locks on it.
   */
  readonly folder: string;
  /**
   * Undefined: open the store read-only, whatever its encoder. Nothing is written, migrated or made then; writes are
   * a bug.
   */
  readonly encoder?: { readonly id: string; readonly dimensions: number };
  /** How long to wait for another process to release the folder. */
  readonly lockTimeoutMs: number;
  readonly reserveBytes: number;
};

/** A write's result and what it changed; a thrown SearchError is its outcome. */
export type StoreWrite<T, Change> = { readonly value: T; readonly change?: Change };
export type WriteOutcome<T, Change> = { readonly value: T; readonly change?: Change } | { readonly error: SearchError };

/** The write-ahead log is checkpointed at this length, and truncated to it after a larger write. */
const WAL_PAGES = 500;
const WAL_BYTES_KEPT = 4096 * WAL_PAGES;
/** Free space that an add must leave. */
const ROOM_BYTES = 1024 * 1024;
/** Pages returned to the file system at a time; the log of this must fit into the released reserve. */
const VACUUM_PAGES = 256;
/** Pages copied in one step, a millisecond or two; and the free space that a copy leaves. */
const COPY_PAGES = 128;
const COPY_ROOM_BYTES = 16 * 1024 * 1024;

/**
 * The record store's SQLite database: its lock, transactions and disk space. A group of writes is one transaction with
 * one flush (`synchronous=FULL`); what `commit` returned survives a power failure. The file is locked while it is open,
 * by SQLite's own lock, which ends with the process.
 */
export class StoreDatabase {
  readonly identity: StoreIdentity;
  /** Format of the tables. */
  readonly version: number;
  readonly connection: Database.Database;
  readonly statements: Statements;
  readonly #options: StoreDatabaseOptions;
  readonly #path: string;
  readonly #reserve: DiskReserve;
  #failure: SearchError | undefined;
  /** Folder of the copy that is read instead of a write-protected file. */
  #copy: string | undefined;
  /** Identity of the open file. */
  #file: string | undefined;

  /**
   * Opens or makes the store. Throws CATALOGUE_LOCKED, CATALOGUE_DAMAGED, ENCODER_MISMATCH, DISK_FULL or
   * NATIVE_MODULE_MISSING.
   */
  constructor(options: StoreDatabaseOptions) {
    this.#options = options;
    this.#path = join(options.folder, 'catalogue.db');
    this.#reserve = new DiskReserve(options.folder, options.reserveBytes);
    let database: Database.Database | undefined;
    try {
      database = options.encoder === undefined ? this.#openReadOnly() : this.#openOrMake(options.encoder);
      this.connection = database;
      this.version = readVersion(database);
      this.identity = readIdentity(database);
      this.#refuseOtherEncoder();
      this.statements = prepareStatements(database, this.version);
      if (options.encoder === undefined) return;
      flushFolder(options.folder);
      this.#reserve.removeLeftovers();
      this.#reserve.restore();
      this.#file = fileIdentity(this.#path);
      reached('store ready');
    } catch (error) {
      database?.close();
      this.#removeCopy();
      throw asStoreError(error, options.folder);
    }
  }

  #openOrMake(encoder: { readonly id: string; readonly dimensions: number }): Database.Database {
    let database: Database.Database;
    try {
      database = this.#open();
    } catch (error) {
      if (asStoreError(error, this.#options.folder).code !== 'DISK_FULL' || !this.#reserve.release()) throw error;
      database = this.#open();
    }
    return opened(database, () => {
      reached('store opened');
      migrate(database, { catalogueId: randomUUID(), encoderId: encoder.id, dimensions: encoder.dimensions });
    });
  }

  #open(): Database.Database {
    if (isMissingOrEmpty(this.#path)) this.#refuseOtherFiles();
    return opened(new Database(this.#path, { timeout: this.#options.lockTimeoutMs }), (database) => {
      // First: exclusive mode keeps the lock from the first read on and needs no shared-memory file.
      database.pragma('locking_mode = EXCLUSIVE');
      if (readVersion(database) === 0) this.#refuseOtherFiles();
      database.pragma('auto_vacuum = INCREMENTAL');
      database.pragma('journal_mode = WAL');
      database.pragma('synchronous = FULL');
      database.pragma('fullfsync = ON');
      database.pragma('foreign_keys = ON');
      database.pragma(`wal_autocheckpoint = ${WAL_PAGES}`);
      database.pragma(`journal_size_limit = ${WAL_BYTES_KEPT}`);
      database.exec('BEGIN IMMEDIATE; COMMIT');
    });
  }

  /**
   * An empty catalogue may be made only where nothing of a former one is left: its records would be missing silently.
   */
  #refuseOtherFiles(): void {
    const { folder } = this.#options;
    const wholeFiles: readonly [string, RegExp][] = [
      ['.', /^reserve$/],
      ['indexes', /\.json$/],
      ['snapshots', /\.tar$/],
    ];
    for (const [part, pattern] of wholeFiles) {
      const names = existsSync(join(folder, part)) ? readdirSync(join(folder, part)) : [];
      if (!names.some((name) => pattern.test(name))) continue;
      throw new SearchError(
        'CATALOGUE_DAMAGED',
        `${this.#path} is missing or empty, though ${folder} holds other files of a catalogue. Restore the folder from a backup, or empty it.`,
      );
    }
  }

  /**
   * Without writing to the folder: a write-protected one is read from a copy, since SQLite cannot lock a file there.
   */
  #openReadOnly(): Database.Database {
    const { folder, lockTimeoutMs } = this.#options;
    let path = this.#path;
    if (isMissingOrEmpty(path)) throw noCatalogue(folder);
    if (!isWritable(folder) || !isWritable(path)) {
      this.#copy = mkdtempSync(join(tmpdir(), 'likeness-read-'));
      path = join(this.#copy, 'catalogue.db');
      for (const ending of ['', '-wal'])
        if (existsSync(this.#path + ending)) copyFileSync(this.#path + ending, path + ending);
      chmodSync(path, 0o600);
    }
    return opened(new Database(path, { timeout: lockTimeoutMs, fileMustExist: true }), (database) => {
      database.pragma('locking_mode = EXCLUSIVE');
      if (readVersion(database) === 0) throw noCatalogue(folder);
      database.exec('BEGIN IMMEDIATE; COMMIT'); // takes the lock
      database.pragma('query_only = ON');
    });
  }

  #removeCopy(): void {
    if (this.#copy !== undefined) rmSync(this.#copy, { recursive: true, force: true });
  }

  /**
   * Throws CATALOGUE_DAMAGED where the database's file was removed or replaced while it is open: what is written then
   * is lost at the close.
   */
  refuseLostFile(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#file === undefined || this.#file === fileIdentity(this.#path)) return;
    throw this.#noted(
      new SearchError(
        'CATALOGUE_DAMAGED',
        `${this.#path} was removed or replaced while it was open; nothing more is stored. Put the folder back in order and start again.`,
      ),
    );
  }

  #refuseOtherEncoder(): void {
    const { encoder, folder } = this.#options;
    if (encoder === undefined) return;
    const { encoderId, dimensions } = this.identity;
    if (encoderId === encoder.id && dimensions === encoder.dimensions) return;
    const message =
      `The catalogue in ${folder} was made with encoder ${encoderId} (${dimensions} dimensions); this service runs encoder ${encoder.id} ` +
      `(${encoder.dimensions}). Their embeddings cannot be compared: start with the former, or import the pictures into another data folder (--data).`;
    throw new SearchError('ENCODER_MISMATCH', message);
  }

  /**
   * Runs writes as one transaction with one flush. A write that throws is undone alone; its error is its outcome. Where
   * the disk is full, each write is tried in a transaction of its own, so that one that is too large does not fail
   * the others.
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

  /** As `commit`, for one write that must succeed on a full disk: releases the reserve if necessary. */
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
          // A fault of the disk concerns all writes and may have ended the transaction.
          if (failure.code === 'CATALOGUE_DAMAGED' || (failure.code === 'DISK_FULL' && failure !== error)) throw error;
          undo.run();
          release.run();
          return { error: failure };
        }
      });
      reached('commit begun');
      commit.run();
      this.refuseLostFile();
      return outcomes;
    } catch (error) {
      if (this.connection.inTransaction) rollback.run();
      throw error;
    }
  }

  /** Runs a read; SQLite's errors become SearchErrors. After an I/O error or damage the store refuses further work. */
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
   * Throws DISK_FULL unless a write of so many bytes leaves room. Without the reserve only writes that free space are
   * accepted. The log must still fit into the database, or it could never be emptied: an add needs its size twice and
   * the log's once.
   */
  refuseWithoutRoom(bytes: number): void {
    const { folder } = this.#options;
    const hasReserve = this.#reserve.isInPlace || this.#reserve.restore();
    if (!hasReserve || freeBytes(folder) < 2 * bytes + this.fileBytes.wal + ROOM_BYTES) {
      throw new SearchError(
        'DISK_FULL',
        `No space is left in ${folder}. Free disk space or remove images; adding then works again.`,
      );
    }
  }

  /** Size of the database file and of its log, in bytes. */
  get fileBytes(): { readonly database: number; readonly wal: number } {
    const bytes = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    return { database: bytes(this.#path), wal: bytes(`${this.#path}-wal`) };
  }

  /**
   * While space is short: empties the log, returns freed pages to the file system, some at a time, and restores the
   * reserve. So removing images makes room for others; SQLite alone would keep their pages.
   */
  reclaim(): void {
    if (this.#failure !== undefined) return;
    const isShort = freeBytes(this.#options.folder) < this.fileBytes.wal + 2 * ROOM_BYTES;
    if (this.#reserve.isInPlace && !(isShort && Number(this.connection.pragma('freelist_count', { simple: true })) > 0))
      return;
    try {
      // In this order: the vacuum writes to the log and needs the room that emptying it makes.
      this.connection.pragma('wal_checkpoint(TRUNCATE)');
      this.connection.pragma(`incremental_vacuum(${VACUUM_PAGES})`);
      reached('space reclaimed');
      this.connection.pragma('wal_checkpoint(TRUNCATE)');
    } catch (error) {
      this.#noted(error); // too little room: tried again after the next write
    }
    this.#reserve.restore();
  }

  /**
   * Copies the database in small steps, so that requests are served in between; the copy includes what is committed
   * meanwhile. Leaves as much free space as adds need. Rejects with DISK_FULL, CATALOGUE_DAMAGED, or the
   * signal's reason.
   */
  async copyTo(path: string, signal: AbortSignal): Promise<void> {
    const flusher = new CopyFlusher(path);
    try {
      await this.connection.backup(path, {
        progress: ({ totalPages, remainingPages }) => {
          signal.throwIfAborted();
          // a store that is read only has no reserve
          if (this.#file !== undefined) this.refuseWithoutRoom(COPY_ROOM_BYTES);
          flusher.wrote(totalPages - remainingPages);
          reached('snapshot being copied');
          return COPY_PAGES;
        },
      });
    } catch (error) {
      throw asStoreError(error, this.#options.folder); // not noted: it may be the disk of the copy
    } finally {
      await flusher.close();
    }
  }

  /** Problems that SQLite's own checks find. `deep` also compares every index with its table. */
  integrityProblems(deep: boolean): string[] {
    // one text column a row
    const rows = this.connection.pragma(deep ? 'integrity_check' : 'quick_check') as Record<string, string>[];
    const found = rows.flatMap((row) => Object.values(row)).filter((text) => text !== 'ok');
    // documented columns
    const orphans = this.connection.pragma('foreign_key_check') as { table: string; rowid: number }[];
    return [...found, ...orphans.map(({ table, rowid }) => `row ${rowid} of ${table} belongs to no image`)];
  }

  close(): void {
    this.connection.close();
    this.#removeCopy();
  }

  /**
   * Converts an error. After an I/O error the store refuses all work: a flush that failed may succeed the next time
   * without its data.
   */
  #noted(error: unknown): SearchError {
    const converted = asStoreError(error, this.#options.folder);
    if (converted.code === 'CATALOGUE_DAMAGED') this.#failure ??= converted;
    return converted;
  }
}

function noCatalogue(folder: string): SearchError {
  return new SearchError('NOT_FOUND', `${folder} holds no catalogue.`);
}

/** Device and number of a file; undefined where it is gone. */
function fileIdentity(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`;
}

/** The database after `prepare`; it is closed where that throws. */
function opened(database: Database.Database, prepare: (database: Database.Database) => void): Database.Database {
  try {
    prepare(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function isMissingOrEmpty(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0;
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
