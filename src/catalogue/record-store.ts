import { randomUUID } from 'node:crypto';
import { rmSync, statSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SearchError } from '../errors.js';
import type { AddResult, ImageId, ImageRecord, Metadata, NewImage, Page, Sequence } from './catalogue.js';
import { DiskReserve, freeBytes } from './disk-reserve.js';
import type { Filter } from './filter.js';
import { filterToSql } from './filter-sql.js';
import { flushFolder } from './index-file.js';
import { mergePatch, metadataToJson } from './metadata.js';
import { asStoreError } from './store-errors.js';
import { migrate, type StoreIdentity } from './store-schema.js';
import { type BlobPart, IMAGE_COLUMNS, type ImageRow, prepareStatements, type Statements } from './store-statements.js';
import { LABEL_LIMIT } from './vector-index.js';

export type RecordStoreOptions = {
  /** An existing folder. Never open its files otherwise in this process: closing any descriptor of a file drops this process's locks on it. */
  readonly folder: string;
  /** Undefined: whatever encoder the store was made with (for checks); there must be a store then. */
  readonly encoder?: { readonly id: string; readonly dimensions: number };
  /** How long to wait for another process to let go of the folder. */
  readonly lockTimeoutMs: number;
  readonly reserveBytes: number;
  /** Collections that may be created. */
  readonly collectionsMax: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

/** What a write changed, for what follows the store: labels to remove and one to add, and metadata. */
export type StoreChange = {
  readonly collection: number;
  readonly removed?: Sequence;
  readonly added?: { readonly sequence: Sequence; readonly embedding: Float32Array };
  /** Metadata of the added image, or of one that it changed of. */
  readonly described?: { readonly sequence: Sequence; readonly metadataJson: string };
};

/** A write's answer and what it changed; thrown SearchErrors are its answer too. */
export type StoreWrite<T> = { readonly value: T; readonly change?: StoreChange };
export type WriteOutcome<T> = { readonly value: T; readonly change?: StoreChange } | { readonly error: SearchError };

/** The log is copied into the database at this length, and cut back to this length where one large write made it longer. */
const WAL_PAGES = 500;
const WAL_BYTES_KEPT = 4096 * WAL_PAGES;
/** What an add leaves free beyond its own needs. */
const ROOM_BYTES = 1024 * 1024;
/** Pages given back to the file system at a time; small enough for the log that this needs to fit into the released reserve. */
const VACUUM_PAGES = 256;

/**
 * The truth: every image's record, embedding and thumbnail in one SQLite file. A group of writes is one transaction and one flush
 * (`synchronous=FULL`), and what `commit` has returned survives a power failure. Locked for as long as it is open: SQLite's own lock, which ends
 * with the process however it dies.
 */
export class RecordStore {
  readonly identity: StoreIdentity;
  readonly #database: Database.Database;
  readonly #options: RecordStoreOptions;
  readonly #path: string;
  readonly #reserve: DiskReserve;
  readonly #statements: Statements;
  #failure: SearchError | undefined;

  /** Opens or makes the store. Throws CATALOGUE_LOCKED, CATALOGUE_DAMAGED, ENCODER_MISMATCH, DISK_FULL or NATIVE_MODULE_MISSING. */
  constructor(options: RecordStoreOptions) {
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
      this.#database = database;
      const { id = '', dimensions = 0 } = options.encoder ?? {};
      this.identity = migrate(database, { catalogueId: randomUUID(), encoderId: id, dimensions });
      this.#refuseOtherEncoder();
      this.#statements = prepareStatements(database);
      flushFolder(options.folder);
      rmSync(join(options.folder, 'reserve.tmp'), { force: true });
      this.#reserve.restore();
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
  commit<T>(writes: readonly (() => StoreWrite<T>)[]): WriteOutcome<T>[] {
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
  commitFreeing<T>(write: () => StoreWrite<T>): WriteOutcome<T> {
    const [outcome] = this.commit([write]);
    const isFull = outcome !== undefined && 'error' in outcome && outcome.error.code === 'DISK_FULL';
    if (!isFull || !this.#reserve.release()) return outcome!;
    return this.commit([write])[0]!;
  }

  #transaction<T>(writes: readonly (() => StoreWrite<T>)[]): WriteOutcome<T>[] {
    const { begin, commit, rollback, savepoint, release, undo } = this.#statements;
    begin.run();
    try {
      const outcomes = writes.map((write): WriteOutcome<T> => {
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
      commit.run();
      return outcomes;
    } catch (error) {
      if (this.#database.inTransaction) rollback.run();
      throw error;
    }
  }

  /** An add, to be run by `commit`. Throws ID_EXISTS, CATALOGUE_FULL, and DISK_FULL while there is no space for the reserve. */
  add(collectionName: string, image: NewImage): StoreWrite<AddResult> {
    this.#refuseWithoutRoom(image);
    const collection = this.#collectionKeyOrNew(collectionName);
    const statements = this.#statements;
    const same = statements.idBySha256.get(collection, image.sha256);
    if (same !== undefined) return { value: { id: same.id as ImageId, status: 'exists' } };
    const id = image.id ?? this.#freeId(collection, image.sha256);
    const former = statements.imageById.get(collection, id);
    if (former !== undefined && !image.replace) {
      const message = `Image ${JSON.stringify(id)} exists with other bytes. Choose another id, or replace it.`;
      throw new SearchError('ID_EXISTS', message);
    }
    const metadata = metadataToJson(image.metadata);
    if (former !== undefined) statements.removeImage.run(former.sequence);
    const now = this.#options.now();
    const { lastInsertRowid } = statements.insertImage.run({
      ...{ collection, id, sha256: image.sha256, perceptualHash: image.perceptualHash, format: image.format, width: image.width },
      ...{ height: image.height, bytes: image.bytes, fileName: image.fileName, addedAt: former?.addedAt ?? now, updatedAt: now, metadata },
    });
    const sequence = Number(lastInsertRowid) as Sequence;
    if (sequence > LABEL_LIMIT) {
      const message = `The catalogue has numbered ${LABEL_LIMIT} images, as many as its indexes can. Use another data folder.`;
      throw new SearchError('CATALOGUE_FULL', message);
    }
    statements.insertEmbedding.run(sequence, toLittleEndian(image.embedding));
    statements.insertThumbnail.run(sequence, image.thumbnail);
    if (image.original !== undefined) statements.insertOriginal.run(sequence, image.original);
    const change = { collection, added: { sequence, embedding: image.embedding }, described: { sequence, metadataJson: metadata } };
    if (former === undefined) return { value: { id, status: 'added' }, change };
    return { value: { id, status: 'replaced' }, change: { ...change, removed: former.sequence as Sequence } };
  }

  /** A removal, to be run by `commit`. */
  remove(collectionName: string, id: ImageId): StoreWrite<boolean> {
    const collection = this.collectionKey(collectionName);
    const image = collection === undefined ? undefined : this.#statements.imageById.get(collection, id);
    if (collection === undefined || image === undefined) return { value: false };
    this.#statements.removeImage.run(image.sequence);
    return { value: true, change: { collection, removed: image.sequence as Sequence } };
  }

  /** A merge into the metadata, to be run by `commit`. */
  patchMetadata(collectionName: string, id: ImageId, patch: Metadata): StoreWrite<ImageRecord | undefined> {
    const collection = this.collectionKey(collectionName);
    const record = this.get(collectionName, id);
    if (collection === undefined || record === undefined) return { value: undefined };
    const metadata = mergePatch(record.metadata, patch);
    const metadataJson = metadataToJson(metadata);
    const updatedAt = this.#options.now();
    this.#statements.updateMetadata.run(metadataJson, updatedAt, record.sequence);
    const described = { sequence: record.sequence, metadataJson };
    return { value: { ...record, metadata, updatedAt }, change: { collection, described } };
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

  get(collectionName: string, id: ImageId): ImageRecord | undefined {
    const collection = this.collectionKey(collectionName);
    const row = collection === undefined ? undefined : this.#statements.imageById.get(collection, id);
    return row === undefined ? undefined : toRecord(row);
  }

  findBySha256(collectionName: string, sha256: Uint8Array): ImageId | undefined {
    const collection = this.collectionKey(collectionName);
    const row = collection === undefined ? undefined : this.#statements.idBySha256.get(collection, sha256);
    return row?.id as ImageId | undefined;
  }

  /** One of an image's larger parts, in memory of its own. */
  blob(part: BlobPart, collectionName: string, id: ImageId): Uint8Array | undefined {
    const collection = this.collectionKey(collectionName);
    const blob = collection === undefined ? undefined : this.#statements[part].get(collection, id);
    return blob === undefined ? undefined : new Uint8Array(blob);
  }

  embedding(collectionName: string, id: ImageId): Float32Array | undefined {
    const blob = this.blob('embedding', collectionName, id);
    return blob === undefined ? undefined : fromLittleEndian(blob);
  }

  /** Id and metadata of a search's match. */
  matched(sequence: number): { readonly id: ImageId; readonly metadata: Metadata } | undefined {
    const row = this.#statements.matched.get(sequence);
    return row === undefined ? undefined : { id: row.id as ImageId, metadata: JSON.parse(row.metadata) as Metadata };
  }

  list(
    collectionName: string,
    page: { readonly limit: number; readonly after: number; readonly filter: Filter | undefined },
  ): Page<ImageRecord> {
    const collection = this.collectionKey(collectionName);
    if (collection === undefined) return { items: [], nextCursor: undefined };
    const condition = page.filter === undefined ? { sql: '1', values: [] } : filterToSql(page.filter, 'metadata');
    const sql = `SELECT ${IMAGE_COLUMNS} FROM images WHERE collection = ? AND sequence > ? AND ${condition.sql} ORDER BY sequence LIMIT ?`;
    const rows = this.#database.prepare<unknown[], ImageRow>(sql).all(collection, page.after, ...condition.values, page.limit + 1);
    const items = rows.slice(0, page.limit).map(toRecord);
    return { items, nextCursor: rows.length > page.limit ? String(items.at(-1)?.sequence) : undefined };
  }

  /** Sequences of a collection's images that pass a filter, ascending. Reads every record's metadata. */
  passing(collection: number, filter: Filter): number[] {
    const { sql, values } = filterToSql(filter, 'metadata');
    const statement = this.#database.prepare(`SELECT sequence FROM images WHERE collection = ? AND ${sql} ORDER BY sequence`);
    return statement.pluck().all(collection, ...values) as number[]; // one column of integers
  }

  collections(): { readonly key: number; readonly name: string }[] {
    return this.#statements.collections.all();
  }

  collectionKey(name: string): number | undefined {
    return this.#statements.collectionKey.get(name);
  }

  /** Every embedding of a collection by ascending sequence. Must be read to its end before anything else is asked of the store. */
  *embeddings(collection: number): Generator<{ readonly sequence: number; readonly embedding: Float32Array }> {
    for (const row of this.#statements.embeddings.iterate(collection)) {
      yield { sequence: row.sequence, embedding: fromLittleEndian(new Uint8Array(row.embedding)) };
    }
  }

  /** Largest sequence ever given out. */
  get lastSequence(): number {
    return this.#statements.lastSequence.get() ?? 0;
  }

  /** Remembers that an index file of this generation was written for this store, and `former`, which is in force until then; forgets all others. */
  rememberGeneration(collection: number, generation: string, former: string | undefined): void {
    const write = (): StoreWrite<undefined> => {
      this.#statements.forgetGenerations.run(collection, former ?? '');
      this.#statements.insertGeneration.run(collection, generation);
      return { value: undefined };
    };
    const [outcome] = this.commit([write]);
    if (outcome !== undefined && 'error' in outcome) throw outcome.error;
  }

  knowsGeneration(collection: number, generation: string): boolean {
    return this.#statements.knowsGeneration.get(collection, generation) !== undefined;
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
    if (this.#reserve.isInPlace && !(isShort && Number(this.#database.pragma('freelist_count', { simple: true })) > 0)) return;
    try {
      // In this order: vacuuming writes to the log, and needs the room that emptying it makes.
      this.#database.pragma('wal_checkpoint(TRUNCATE)');
      this.#database.pragma(`incremental_vacuum(${VACUUM_PAGES})`);
      this.#database.pragma('wal_checkpoint(TRUNCATE)');
    } catch (error) {
      this.#noted(error); // too little room: tried again after the next write; anything worse is refused from now on
    }
    this.#reserve.restore();
  }

  /** SQLite's own verdict: empty where all is well. `deep` also compares every index with its table. */
  integrityProblems(deep: boolean): string[] {
    const rows = this.#database.pragma(deep ? 'integrity_check' : 'quick_check') as Record<string, string>[]; // one text column a row
    const found = rows.flatMap((row) => Object.values(row)).filter((text) => text !== 'ok');
    const orphans = this.#database.pragma('foreign_key_check') as { table: string; rowid: number }[]; // documented columns
    return [...found, ...orphans.map(({ table, rowid }) => `row ${rowid} of ${table} belongs to no image`)];
  }

  /** Images that lack an embedding or a thumbnail, as text. */
  incompleteImages(): string[] {
    return this.#statements.incomplete.all();
  }

  close(): void {
    this.#database.close();
  }

  /**
   * Without its reserve the store only takes writes that can free space. And what is in the log must still fit into the database, or the log could
   * never be emptied again: an add needs its size twice, and the log's once.
   */
  #refuseWithoutRoom({ embedding, thumbnail, original }: NewImage): void {
    const { folder } = this.#options;
    const bytes = embedding.byteLength + thumbnail.byteLength + (original?.byteLength ?? 0);
    const hasReserve = this.#reserve.isInPlace || this.#reserve.restore();
    if (!hasReserve || freeBytes(folder) < 2 * bytes + this.fileBytes.wal + ROOM_BYTES) {
      throw new SearchError('DISK_FULL', `No space is left in ${folder}. Free disk space or remove images; adding goes on by itself.`);
    }
  }

  #collectionKeyOrNew(name: string): number {
    const key = this.collectionKey(name);
    if (key !== undefined) return key;
    const { collectionsMax } = this.#options;
    if (this.collections().length >= collectionsMax) {
      throw new SearchError('CATALOGUE_FULL', `The catalogue holds ${collectionsMax} collections, the most it may. Use one of them.`);
    }
    return Number(this.#statements.insertCollection.run(name).lastInsertRowid);
  }

  /** The first 32 digits of the SHA-256, or more where another image has that id. */
  #freeId(collection: number, sha256: Uint8Array): ImageId {
    const digits = Buffer.from(sha256).toString('hex');
    for (let length = 32; ; length += 8) {
      const id = length <= digits.length ? digits.slice(0, length) : `${digits}-${length}`;
      if (this.#statements.imageById.get(collection, id) === undefined) return id as ImageId; // hex digits are a valid id
    }
  }

  /** Converts SQLite's error. After an I/O error nothing more is tried: a flush that failed once may succeed the next time without its data. */
  #noted(error: unknown): SearchError {
    const converted = asStoreError(error, this.#options.folder);
    if (converted.code === 'CATALOGUE_DAMAGED') this.#failure ??= converted;
    return converted;
  }
}

/** Embeddings are stored as little-endian float32, so that a data folder can move between machines. */
function toLittleEndian(embedding: Float32Array): Uint8Array {
  const bytes = new Uint8Array(embedding.buffer, embedding.byteOffset, embedding.byteLength);
  return endianness() === 'LE' ? bytes : Buffer.from(bytes).swap32();
}

function fromLittleEndian(bytes: Uint8Array): Float32Array {
  if (endianness() === 'BE') Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).swap32();
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
}

function toRecord(row: ImageRow): ImageRecord {
  return {
    ...row,
    id: row.id as ImageId, // checked before it was stored
    sequence: row.sequence as Sequence,
    sha256: new Uint8Array(row.sha256),
    perceptualHash: new Uint8Array(row.perceptualHash),
    metadata: JSON.parse(row.metadata) as Metadata, // an object when it was stored
  };
}
