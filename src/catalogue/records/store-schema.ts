import type BetterSqlite3 from 'better-sqlite3';
import { SearchError } from '../../errors.js';
import { reached } from '../failpoint.js';
import { CHECKSUM_VERSION, partChecksum, rowChecksum } from './checksums.js';
import { type ImageRow, imageColumns } from './store-statements.js';

/**
 * The record store's tables, one migration per version; `user_version` counts those applied. Add migrations at the end,
 * never change one. Embeddings, thumbnails and originals have tables of their own, so that listing reads few pages.
 * AUTOINCREMENT: a sequence number is a label of the index and never used twice.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE collections (key INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE) STRICT;
   CREATE TABLE images (
     sequence INTEGER PRIMARY KEY AUTOINCREMENT,
     collection INTEGER NOT NULL REFERENCES collections (key),
     id TEXT NOT NULL,
     sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
     perceptual_hash BLOB NOT NULL,
     format TEXT NOT NULL,
     width INTEGER NOT NULL,
     height INTEGER NOT NULL,
     bytes INTEGER NOT NULL,
     file_name TEXT,
     added_at INTEGER NOT NULL,
     updated_at INTEGER NOT NULL,
     metadata TEXT NOT NULL
   ) STRICT;
   CREATE UNIQUE INDEX images_by_id ON images (collection, id);
   CREATE UNIQUE INDEX images_by_sha256 ON images (collection, sha256);
   CREATE UNIQUE INDEX images_by_sequence ON images (collection, sequence);
   CREATE TABLE embeddings (sequence INTEGER PRIMARY KEY REFERENCES images (sequence) ON DELETE CASCADE, embedding BLOB NOT NULL) STRICT;
   CREATE TABLE thumbnails (sequence INTEGER PRIMARY KEY REFERENCES images (sequence) ON DELETE CASCADE, thumbnail BLOB NOT NULL) STRICT;
   CREATE TABLE originals (sequence INTEGER PRIMARY KEY REFERENCES images (sequence) ON DELETE CASCADE, original BLOB NOT NULL) STRICT;
   CREATE TABLE index_generations (
     collection INTEGER NOT NULL REFERENCES collections (key),
     generation TEXT NOT NULL,
     PRIMARY KEY (collection, generation)
   ) STRICT, WITHOUT ROWID;`,
  'ALTER TABLE images ADD COLUMN perceptual_hash_quality INTEGER;', // null in older records
  `CREATE TABLE imports (
     key INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     collection TEXT NOT NULL,
     kind TEXT NOT NULL,
     name TEXT NOT NULL,
     status TEXT NOT NULL CHECK (status IN ('running', 'done', 'cancelled', 'failed')),
     listed INTEGER NOT NULL,
     created_at INTEGER NOT NULL,
     finished_at INTEGER,
     error_code TEXT,
     error_message TEXT,
     found INTEGER NOT NULL,
     added INTEGER NOT NULL CHECK (added >= 0),
     existing INTEGER NOT NULL CHECK (existing >= 0),
     waiting INTEGER NOT NULL CHECK (waiting >= 0),
     failed INTEGER NOT NULL CHECK (failed >= 0),
     CHECK (found = added + existing + waiting + failed)
   ) STRICT;
   CREATE TABLE import_items (
     import INTEGER NOT NULL REFERENCES imports (key) ON DELETE CASCADE,
     number INTEGER NOT NULL,
     name TEXT NOT NULL,
     state TEXT NOT NULL CHECK (state IN ('waiting', 'added', 'existing', 'failed')),
     code TEXT,
     message TEXT,
     PRIMARY KEY (import, number)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX import_items_by_state ON import_items (import, state, number);`,
  // The same bytes may have several ids; checksums over all that is stored of an image (see checksums.ts), filled in
  // by fillChecksums.
  `DROP INDEX images_by_sha256;
   CREATE INDEX images_by_sha256 ON images (collection, sha256, sequence);
   ALTER TABLE images ADD COLUMN checksum INTEGER;
   ALTER TABLE images ADD COLUMN embedding_checksum INTEGER;
   ALTER TABLE images ADD COLUMN thumbnail_checksum INTEGER;
   ALTER TABLE images ADD COLUMN original_checksum INTEGER;
   ALTER TABLE imports ADD COLUMN skipped TEXT NOT NULL DEFAULT '{}';`,
];

/** The newest format of the record store. */
export const STORE_VERSION = MIGRATIONS.length;

/** Rows whose checksums are filled in between two reads. */
const FILL_ROWS = 1000;

/** Computes the checksums of records that were stored before there were any. */
function fillChecksums(database: BetterSqlite3.Database): void {
  database.function('part_checksum', { deterministic: true }, (sequence, bytes) =>
    bytes instanceof Uint8Array ? partChecksum(Number(sequence), bytes) : null,
  );
  const part = (name: string): string =>
    `${name}_checksum = (SELECT part_checksum(sequence, ${name}) FROM ${name}s WHERE sequence = images.sequence)`;
  database.exec(`UPDATE images SET ${part('embedding')}, ${part('thumbnail')}, ${part('original')}`);
  const rows = database.prepare<[number, number], ImageRow>(
    `SELECT ${imageColumns(STORE_VERSION)} FROM images WHERE sequence > ? ORDER BY sequence LIMIT ?`,
  );
  const update = database.prepare('UPDATE images SET checksum = ? WHERE sequence = ?');
  for (let batch = rows.all(0, FILL_ROWS); batch.length > 0; batch = rows.all(batch.at(-1)!.sequence, FILL_ROWS))
    for (const row of batch) update.run(rowChecksum(row), row.sequence);
}

/** Facts of a record store that every start is compared with. */
export type StoreIdentity = { readonly catalogueId: string; readonly encoderId: string; readonly dimensions: number };

/**
 * Migrates the tables to the newest version in one transaction. A new file gets `identity`, an old one keeps its own.
 */
export function migrate(database: BetterSqlite3.Database, identity: StoreIdentity): void {
  const version = readVersion(database);
  if (version < MIGRATIONS.length) {
    database.transaction(() => {
      for (const migration of MIGRATIONS.slice(version)) database.exec(migration);
      if (version < CHECKSUM_VERSION) fillChecksums(database);
      reached('migration in the middle');
      database.pragma(`user_version = ${MIGRATIONS.length}`);
      const insert = database.prepare('INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)');
      for (const [key, value] of Object.entries(identity)) insert.run(key, String(value));
      reached('migration before its commit');
    })();
  }
}

/** The format of a record store; 0 where it has no tables yet. Throws CATALOGUE_DAMAGED for one of a newer Likeness. */
export function readVersion(database: BetterSqlite3.Database): number {
  const version = Number(database.pragma('user_version', { simple: true }));
  if (version <= STORE_VERSION) return version;
  const message = `Record store has format ${version}; this Likeness knows ${STORE_VERSION} at most. Start a newer Likeness.`;
  throw new SearchError('CATALOGUE_DAMAGED', message);
}

/** Reads the facts of a record store. Throws CATALOGUE_DAMAGED where they are missing. */
export function readIdentity(database: BetterSqlite3.Database): StoreIdentity {
  const rows = database.prepare<[], { key: string; value: string }>('SELECT key, value FROM meta').all();
  const meta = new Map(rows.map(({ key, value }) => [key, value]));
  const [catalogueId, encoderId, dimensions] = ['catalogueId', 'encoderId', 'dimensions'].map((key) => meta.get(key));
  if (catalogueId === undefined || encoderId === undefined || dimensions === undefined) {
    throw new SearchError(
      'CATALOGUE_DAMAGED',
      'Record store does not say which encoder it was made with. Restore the data folder from a backup.',
    );
  }
  return { catalogueId, encoderId, dimensions: Number(dimensions) };
}

/** Tables, indexes, triggers and views of a database as one comparable text. */
export function schemaOf(database: BetterSqlite3.Database): string {
  const rows = database
    .prepare<[], { type: string; name: string; sql: string | null }>('SELECT type, name, sql FROM main.sqlite_schema')
    .all();
  return JSON.stringify(
    rows.map(({ type, name, sql }) => [type, name, sql]).sort((a, b) => (String(a) < String(b) ? -1 : 1)),
  );
}

/** The statements that make the tables of this version, or of the newest one known. */
export function migrationsUpTo(version: number): readonly string[] {
  return MIGRATIONS.slice(0, version);
}
