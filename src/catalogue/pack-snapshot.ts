import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import Database from 'better-sqlite3';
import { SearchError, type SearchErrorData } from '../errors.js';
import { reached } from './failpoint.js';
import { flushFolder, IndexFiles } from './index-file.js';
import { writeSnapshotFile } from './snapshot-file.js';
import { SNAPSHOT_FORMAT, SNAPSHOT_VERSION, type SnapshotManifest, type SnapshotMember } from './snapshot-manifest.js';
import { StoreDatabase } from './store-database.js';
import { asStoreError } from './store-errors.js';
import { readIdentity } from './store-schema.js';

const RESERVE_BYTES = 8 * 1024 * 1024;

/** A copied catalogue (see DurableCatalogue.copyTo) and the snapshot to be made of it. */
export type PackOptions = { readonly stage: string; readonly folder: string; readonly file: string; readonly created: string };
/** What the thread that packs answers, once. */
export type PackAnswer = { readonly manifest: SnapshotManifest } | { readonly error: SearchErrorData };

/**
 * Makes a snapshot's file of a copy: verifies the copied database, hashes, packs, flushes, and only then gives the file its name. Throws DISK_FULL, or
 * CATALOGUE_DAMAGED where the copy is not whole, so that a damaged catalogue is not taken for a good backup.
 */
export async function packSnapshot({ stage, folder, file, created }: PackOptions): Promise<SnapshotManifest> {
  const path = join(folder, file);
  const temporary = `${path}.tmp`;
  try {
    const facts = readFacts(stage);
    const indexes = existsSync(join(stage, 'indexes')) ? readdirSync(join(stage, 'indexes')).map((name) => `indexes/${name}`) : [];
    const members: SnapshotMember[] = [];
    for (const name of ['catalogue.db', ...indexes.sort()]) members.push(await measured(stage, name));
    const manifest: SnapshotManifest = { format: SNAPSHOT_FORMAT, version: SNAPSHOT_VERSION, created, ...facts, members };
    await writeSnapshotFile(temporary, stage, manifest);
    reached('snapshot before its rename');
    await rename(temporary, path);
    reached('snapshot renamed');
    flushFolder(folder);
    return manifest;
  } catch (error) {
    await rm(temporary, { force: true });
    throw asStoreError(error, folder);
  }
}

/**
 * Makes a snapshot of a data folder that no service runs on, as the file `out`, which is replaced where it exists. Throws CATALOGUE_LOCKED where the folder
 * is in use, NOT_FOUND where it holds no catalogue, else as {@link packSnapshot}.
 */
export async function snapshotFolder({ folder, out }: { readonly folder: string; readonly out: string }): Promise<SnapshotManifest> {
  if (!existsSync(join(folder, 'catalogue.db'))) throw new SearchError('NOT_FOUND', `${folder} holds no catalogue.`);
  const database = new StoreDatabase({ folder, lockTimeoutMs: 0, reserveBytes: RESERVE_BYTES });
  try {
    const stage = await mkdtemp(join(dirname(resolve(out)), '.likeness-snapshot-'));
    try {
      const { catalogueId, encoderId, dimensions } = database.identity;
      const settings = { dimensions, m: 0, efConstruction: 0, ef: 0 }; // of no account: files are copied, not read
      const indexes = join(folder, 'indexes');
      if (existsSync(indexes)) new IndexFiles(indexes, { catalogueId, encoderId, settings }).copyTo(join(stage, 'indexes'));
      await database.copyTo(join(stage, 'catalogue.db'), new AbortController().signal);
      const created = new Date().toISOString();
      return await packSnapshot({ stage, folder: dirname(resolve(out)), file: basename(out), created });
    } finally {
      await rm(stage, { recursive: true, force: true });
    }
  } finally {
    database.close();
  }
}

/** Turns the copy into a single file without a log of its own, has SQLite verify it, and reads what it holds. */
function readFacts(stage: string): Omit<SnapshotManifest, 'format' | 'version' | 'created' | 'members'> {
  const database = new Database(join(stage, 'catalogue.db'), { fileMustExist: true });
  try {
    database.pragma('synchronous = OFF'); // the snapshot's file is what is flushed
    database.pragma('journal_mode = DELETE');
    const problems = (database.pragma('quick_check') as Record<string, string>[]).flatMap((row) => Object.values(row)); // one text column
    if (problems.some((text) => text !== 'ok')) {
      throw new SearchError('CATALOGUE_DAMAGED', `The records are damaged (${problems[0]}), so that no snapshot was made of them.`);
    }
    const counted = `SELECT name, count(sequence) AS images FROM collections LEFT JOIN images ON collection = key GROUP BY key ORDER BY name`;
    const collections = database.prepare<[], { name: string; images: number }>(counted).all();
    const last = database.prepare<[], number>("SELECT seq FROM sqlite_sequence WHERE name = 'images'").pluck().get() ?? 0;
    const images = collections.reduce((sum, collection) => sum + collection.images, 0);
    return { ...readIdentity(database), lastSequence: last, images, collections };
  } finally {
    database.close();
  }
}

async function measured(folder: string, name: string): Promise<SnapshotMember> {
  const hash = createHash('sha256');
  let bytes = 0;
  await pipeline(createReadStream(join(folder, name), { highWaterMark: 1 << 20 }), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
    }
  });
  return { name, bytes, sha256: hash.digest('hex') };
}
