import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { flushFolder } from '../../atomic-write.js';
import { SearchError } from '../../errors.js';
import { reached } from '../failpoint.js';
import { asStoreError } from '../records/store-errors.js';
import { migrationsUpTo, schemaOf } from '../records/store-schema.js';
import { type CatalogueCheck, checkCatalogue } from './check.js';
import { readManifest, verifySnapshot } from './snapshot-file.js';
import type { SnapshotManifest } from './snapshot-manifest.js';

/** What a verified stage holds besides the database. */
const MOVED_FIRST: readonly string[] = ['indexes', 'reserve'];
/** What mkdtemp makes of '.restoring-'. */
const STAGE_IN_MOUNT = /^\.restoring-[A-Za-z0-9]{6}$/;

export type RestoreOptions = {
  readonly file: string;
  /** Empty, or not there yet. */
  readonly folder: string;
  /** What the snapshot may unpack to. */
  readonly maxBytes: number;
};

/**
 * Makes a data folder of a snapshot. The snapshot is unpacked into a temporary folder, which is renamed when every byte
 * and every record is verified and flushed: a kill, a full disk or a bad snapshot leaves the target folder as it was. A
 * mount cannot be renamed over: then the temporary folder lies inside it and the database is moved last. Rejects with
 * FOLDER_NOT_EMPTY, SNAPSHOT_DAMAGED, SNAPSHOT_FORMAT, SNAPSHOT_TOO_LARGE or DISK_FULL.
 */
export async function restoreSnapshot({ file, folder, maxBytes }: RestoreOptions): Promise<SnapshotManifest> {
  const wanted = resolve(folder);
  await removeLeftovers(wanted);
  await refuseUnlessEmpty(wanted);
  const manifest = await readManifest(file).catch(damagedWhereUnreadable(file));
  const stage = await makeStage(wanted);
  try {
    await refuseWithoutRoom(stage, manifest);
    await verifySnapshot(file, { maxBytes, into: stage });
    reached('restore staged');
    refuseForeignSchema(join(stage, 'catalogue.db'));
    const check = checkCatalogue(stage, { deep: false, m: mOfIndexes(stage) });
    refuseOtherContents(check, manifest);
    for (const each of [join(stage, 'indexes'), stage]) if (existsSync(each)) flushFolder(each);
    reached('restore before its rename');
    if (dirname(stage) === wanted) await moveIn(stage, wanted);
    else await rename(stage, wanted).catch(notEmptyWhereFilled(wanted));
    reached('restore renamed');
    flushFolder(dirname(wanted));
    return manifest;
  } catch (error) {
    throw asRestoreError(error, wanted);
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

/** Damage found by SQLite is the snapshot's, not a catalogue's in use. */
function asRestoreError(error: unknown, folder: string): SearchError {
  const converted = asStoreError(error, folder);
  if (converted.code !== 'CATALOGUE_DAMAGED') return converted;
  return new SearchError('SNAPSHOT_DAMAGED', 'The database of the snapshot is damaged. Nothing was restored.', {
    cause: error,
  });
}

/**
 * Removes what a killed restore left inside a mount: its temporary folder and what it moves before the database.
 * Touches nothing if other files are there.
 */
async function removeLeftovers(wanted: string): Promise<void> {
  const names: string[] = await readdir(wanted).catch(() => []); // refuseUnlessEmpty says why it cannot be read
  const stages = names.filter((name) => STAGE_IN_MOUNT.test(name));
  const isOurs = names.every(
    (name) => STAGE_IN_MOUNT.test(name) || MOVED_FIRST.includes(name) || name === 'lost+found',
  );
  if (stages.length === 0 || !isOurs) return;
  for (const name of [...MOVED_FIRST, ...stages]) await rm(join(wanted, name), { recursive: true, force: true });
}

async function refuseUnlessEmpty(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new SearchError('FOLDER_NOT_EMPTY', `${folder} cannot be restored into: ${error.message}.`, { cause: error });
  });
  if (names.some((name) => name !== 'lost+found')) {
    throw new SearchError(
      'FOLDER_NOT_EMPTY',
      `${folder} is not empty. A snapshot is restored into an empty or new folder only.`,
    );
  }
}

async function makeStage(wanted: string): Promise<string> {
  const parent = dirname(wanted);
  await mkdir(parent, { recursive: true });
  const [own, above] = await Promise.all([stat(wanted).catch(() => undefined), stat(parent)]);
  const isMount = own !== undefined && own.dev !== above.dev;
  if (!isMount) {
    try {
      return await mkdtemp(join(parent, `.${basename(wanted)}.restoring-`));
    } catch (error) {
      const isForbidden =
        error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EROFS');
      if (own === undefined || !isForbidden) throw error;
    }
  }
  return mkdtemp(join(wanted, '.restoring-'));
}

/** Moves the database last: without it the folder is no catalogue. */
async function moveIn(stage: string, wanted: string): Promise<void> {
  const names = await readdir(stage);
  for (const name of names.sort((a, b) => Number(a === 'catalogue.db') - Number(b === 'catalogue.db'))) {
    if (name === 'catalogue.db') {
      reached('restore half moved in');
      flushFolder(wanted);
    }
    await rename(join(stage, name), join(wanted, name));
  }
  await rm(stage, { recursive: true });
  flushFolder(wanted);
}

async function refuseWithoutRoom(folder: string, { members }: SnapshotManifest): Promise<void> {
  const needed = members.reduce((sum, { bytes }) => sum + bytes, 0);
  const { bavail, bsize } = await statfs(folder);
  if (needed <= bavail * bsize) return;
  throw new SearchError(
    'DISK_FULL',
    `The snapshot unpacks to ${needed} bytes; ${bavail * bsize} are free at ${folder}.`,
  );
}

/**
 * A database may hold programs (triggers, views) that run with later statements: only the tables that Likeness makes
 * are accepted.
 */
function refuseForeignSchema(path: string): void {
  const database = new Database(path, { fileMustExist: true });
  const model = new Database(':memory:');
  try {
    database.pragma('trusted_schema = OFF');
    for (const migration of migrationsUpTo(Number(database.pragma('user_version', { simple: true }))))
      model.exec(migration);
    if (schemaOf(database) !== schemaOf(model)) {
      throw new SearchError(
        'SNAPSHOT_DAMAGED',
        'The database of the snapshot has other tables than Likeness makes. Nothing was restored.',
      );
    }
  } finally {
    database.close();
    model.close();
  }
}

function refuseOtherContents(check: CatalogueCheck, manifest: SnapshotManifest): void {
  const { encoderId, dimensions, lastSequence, collections } = manifest;
  const found = check.collections.map(({ name, images }) => ({ name, images }));
  const wanted = collections.map(({ name, images }) => ({ name, images }));
  const isSame =
    JSON.stringify([check.encoderId, check.dimensions, check.lastSequence, found]) ===
    JSON.stringify([encoderId, dimensions, lastSequence, wanted]);
  if (check.ok && isSame) return;
  const problem = check.storeProblems[0] ?? 'its records are others than its manifest says';
  throw new SearchError('SNAPSHOT_DAMAGED', `The snapshot is damaged: ${problem}. Nothing was restored.`);
}

/** The HNSW setting M of the first index file; the check needs it to read them. */
function mOfIndexes(stage: string): number {
  try {
    const sideCar = readdirSync(join(stage, 'indexes')).find((name) => name.endsWith('.json'));
    const { m } = JSON.parse(readFileSync(join(stage, 'indexes', sideCar ?? ''), 'utf8')) as { m?: unknown };
    return Number.isInteger(m) && Number(m) >= 4 && Number(m) <= 64 ? Number(m) : 16;
  } catch {
    return 16; // no index file, or a damaged one: the next start builds it
  }
}

function notEmptyWhereFilled(folder: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    const isFilled = error.code === 'ENOTEMPTY' || error.code === 'EEXIST' || error.code === 'ENOTDIR';
    throw isFilled ? new SearchError('FOLDER_NOT_EMPTY', `${folder} was filled meanwhile.`, { cause: error }) : error;
  };
}

function damagedWhereUnreadable(file: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof SearchError) throw error;
    const words = error instanceof Error ? error.message : String(error);
    throw new SearchError('SNAPSHOT_DAMAGED', `${file} cannot be read: ${words}.`, { cause: error });
  };
}
