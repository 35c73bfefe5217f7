import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import Database from 'better-sqlite3';
import { flushFolder } from '../../atomic-write.js';
import { SearchError } from '../../errors.js';
import { reached } from '../failpoint.js';
import { recordProblems } from '../records/record-problems.js';
import { StoreDatabase } from '../records/store-database.js';
import { asStoreError } from '../records/store-errors.js';
import { readIdentity } from '../records/store-schema.js';
import { IndexFiles } from '../vectors/index-file.js';
import { writeSnapshotFile } from './snapshot-file.js';
import { SNAPSHOT_FORMAT, SNAPSHOT_VERSION, type SnapshotManifest, type SnapshotMember } from './snapshot-manifest.js';

/**
 * `stage`: a copied catalogue (see DurableCatalogue.copyTo). `file`: name of the snapshot in `folder`. `created`: ISO
 * 8601, UTC.
 */
export type PackOptions = {
  readonly stage: string;
  readonly folder: string;
  readonly file: string;
  readonly created: string;
};

/**
 * Makes a snapshot's file of a copy: verifies the database, hashes, packs, flushes, and then names the file. Throws
 * DISK_FULL, or CATALOGUE_DAMAGED where the copy is not whole, so that a damaged catalogue does not become a backup.
 */
export async function packSnapshot({ stage, folder, file, created }: PackOptions): Promise<SnapshotManifest> {
  const path = join(folder, file);
  const temporary = `${path}.tmp`;
  try {
    const facts = readFacts(stage);
    const indexes = existsSync(join(stage, 'indexes'))
      ? readdirSync(join(stage, 'indexes')).map((name) => `indexes/${name}`)
      : [];
    const members: SnapshotMember[] = [];
    for (const name of ['catalogue.db', ...indexes.sort()]) members.push(await measured(stage, name));
    const manifest: SnapshotManifest = {
      format: SNAPSHOT_FORMAT,
      version: SNAPSHOT_VERSION,
      created,
      ...facts,
      members,
    };
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
 * Makes a snapshot of a data folder that no process uses, as the file `out`, which is replaced. Throws
 * CATALOGUE_LOCKED, NOT_FOUND where there is no catalogue, or as {@link packSnapshot}.
 */
export async function snapshotFolder({
  folder,
  out,
}: {
  readonly folder: string;
  readonly out: string;
}): Promise<SnapshotManifest> {
  const database = new StoreDatabase({ folder, lockTimeoutMs: 0, reserveBytes: 0 });
  try {
    const stage = await mkdtemp(join(dirname(resolve(out)), '.likeness-snapshot-'));
    try {
      const { catalogueId, encoderId, dimensions } = database.identity;
      const settings = { dimensions, m: 0, efConstruction: 0, ef: 0 }; // unused: files are copied, not read
      const indexes = join(folder, 'indexes');
      if (existsSync(indexes))
        new IndexFiles(indexes, { catalogueId, encoderId, settings }).copyTo(join(stage, 'indexes'));
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

/** Turns the copy into a single file without a log, lets SQLite verify it, and reads its facts. */
function readFacts(stage: string): Omit<SnapshotManifest, 'format' | 'version' | 'created' | 'members'> {
  const database = new Database(join(stage, 'catalogue.db'), { fileMustExist: true });
  try {
    database.pragma('synchronous = OFF'); // the snapshot's file is what is flushed
    database.pragma('journal_mode = DELETE');
    // one text column
    const structure = (database.pragma('quick_check') as Record<string, string>[]).flatMap((row) => Object.values(row));
    const problems = [...structure.filter((text) => text !== 'ok'), ...recordProblems(database)];
    if (problems.length > 0) {
      throw new SearchError('CATALOGUE_DAMAGED', `The records are damaged (${problems[0]}); no snapshot was made.`);
    }
    const counted = `SELECT name, count(sequence) AS images FROM collections LEFT JOIN images ON collection = key WHERE name <> '~' || key GROUP BY key ORDER BY name`;
    const collections = database.prepare<[], { name: string; images: number }>(counted).all();
    const last =
      database.prepare<[], number>("SELECT seq FROM sqlite_sequence WHERE name = 'images'").pluck().get() ?? 0;
    const images = collections.reduce((sum, collection) => sum + collection.images, 0);
    return { ...readIdentity(database), lastSequence: last, images, collections };
  } finally {
    database.close();
  }
}

async function measured(folder: string, name: string): Promise<SnapshotMember> {
  const hash = createHash('sha256');
  let bytes = 0;
  await pipeline(
    createReadStream(join(folder, name), { highWaterMark: 1 << 20 }),
    async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        hash.update(chunk);
        bytes += chunk.length;
      }
    },
  );
  return { name, bytes, sha256: hash.digest('hex') };
}
