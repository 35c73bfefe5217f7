/** Check, snapshot and export of a folder change nothing in it, whatever its format, and work on a read-only mount. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { readRecords } from '../../../src/catalogue/records/record-store.js';
import { migrationsUpTo } from '../../../src/catalogue/records/store-schema.js';
import { checkCatalogue } from '../../../src/catalogue/snapshots/check.js';
import { snapshotFolder } from '../../../src/catalogue/snapshots/pack-snapshot.js';
import { restoreSnapshot } from '../../../src/catalogue/snapshots/restore.js';
import { checkedImage, imageId } from '../example-images.js';
import { withTemporaryFolder } from '../temporary-folder.js';
import { ENGINE_DIMENSIONS, openTestEngine } from '../test-engine.js';
import { clusteredVectors } from '../vectors/synthetic-vectors.js';

const IMAGES = 30;

async function fill(folder: string): Promise<void> {
  const draw = clusteredVectors({ dimensions: ENGINE_DIMENSIONS, clusters: 5, seed: 2 });
  const { engine } = openTestEngine(folder);
  engine.write(
    Array.from({ length: IMAGES }, (_, place) => ({
      method: 'add',
      args: ['default', checkedImage(`${place}`, draw(), { id: imageId(`${place}`) })],
    })),
  );
  while (engine.hasWork) engine.work(1000);
  await engine.close();
}

/** Name, length, time of change and content of every file. */
function stateOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const stats = statSync(join(folder, name));
      const content = stats.isFile()
        ? createHash('sha256')
            .update(readFileSync(join(folder, name)))
            .digest('hex')
        : '';
      return `${name} ${stats.isFile() ? `${stats.size} ${stats.mtimeMs}` : ''} ${content}`;
    });
}

/** Turns a record store into one of format 3, as the former version wrote it. */
function toFormat3(folder: string): void {
  const path = join(folder, 'catalogue.db');
  const old = join(folder, 'old.db');
  const database = new Database(old);
  for (const migration of migrationsUpTo(3)) database.exec(migration);
  database.prepare('ATTACH ? AS source').run(path);
  for (const table of ['meta', 'collections', 'images', 'embeddings', 'thumbnails', 'originals', 'index_generations']) {
    const columns = (database.pragma(`main.table_info(${table})`) as { name: string }[]).map(({ name }) => name).join();
    database.exec(`INSERT INTO main.${table} (${columns}) SELECT ${columns} FROM source.${table}`);
  }
  database.exec('DETACH source');
  database.pragma('user_version = 3');
  database.pragma('journal_mode = WAL');
  database.close();
  rmSync(path);
  spawnSync('mv', [old, path]);
}

for (const format of [4, 3]) {
  test(`check, snapshot and export leave a folder of format ${format} as it is`, () =>
    withTemporaryFolder(async (parent) => {
      const folder = join(parent, 'data');
      mkdirSync(folder);
      await fill(folder);
      if (format === 3) toFormat3(folder);
      rmSync(join(folder, 'reserve'));
      const before = stateOf(folder);
      const check = checkCatalogue(folder, { deep: true, m: 8 });
      assert.deepEqual([check.ok, check.format, check.newestFormat], [true, format, 4], check.storeProblems.join());
      assert.equal(check.collections[0]?.images, IMAGES);
      const out = join(parent, 'out.tar');
      await snapshotFolder({ folder, out });
      const records = [...readRecords(folder, 'default')];
      assert.deepEqual(
        records.map(({ record }) => record.id),
        Array.from({ length: IMAGES }, (_, place) => `${place}`),
      );
      assert.equal(records[0]?.embedding?.length, ENGINE_DIMENSIONS);
      assert.deepEqual(stateOf(folder), before);
      await restoreSnapshot({ file: out, folder: join(parent, 'restored'), maxBytes: 2 ** 30 });
      const { engine, warnings } = openTestEngine(join(parent, 'restored'));
      assert.deepEqual(warnings, []);
      await engine.close();
      assert.equal(checkCatalogue(join(parent, 'restored'), { deep: true, m: 8 }).format, 4);
    }));
}

test('a first start that was killed holds no catalogue, and stays usable', () =>
  withTemporaryFolder(async (folder) => {
    for (const make of [
      () => new Database(join(folder, 'catalogue.db')).close(),
      () => {
        const database = new Database(join(folder, 'catalogue.db'));
        database.pragma('journal_mode = WAL');
        database.exec('BEGIN IMMEDIATE; COMMIT');
        database.close();
      },
    ]) {
      rmSync(join(folder, 'catalogue.db'), { force: true });
      make();
      const before = stateOf(folder);
      assert.throws(() => checkCatalogue(folder, { deep: false }), { code: 'NOT_FOUND' });
      await assert.rejects(snapshotFolder({ folder, out: `${folder}.tar` }), { code: 'NOT_FOUND' });
      assert.throws(() => [...readRecords(folder, 'default')], { code: 'NOT_FOUND' });
      assert.deepEqual(stateOf(folder), before);
    }
    await fill(folder);
    assert.equal(checkCatalogue(folder, { deep: false, m: 8 }).ok, true);
  }));

test('a read-only mount is checked, exported and packed', (t) =>
  withTemporaryFolder(async (parent) => {
    const folder = join(parent, 'data');
    await fill(folder);
    const mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"';
    const prefix = ['--map-root-user', '--mount', 'sh', '-c', mount, folder];
    if (spawnSync('unshare', [...prefix, 'true']).status !== 0) return t.skip('nothing can be mounted here');
    const source = (name: string): string =>
      fileURLToPath(new URL(`../../../src/catalogue/${name}.js`, import.meta.url));
    const program = `
      import { writeFileSync } from 'node:fs';
      import { checkCatalogue } from '${source('snapshots/check')}';
      import { snapshotFolder } from '${source('snapshots/pack-snapshot')}';
      import { readRecords } from '${source('records/record-store')}';
      const folder = ${JSON.stringify(folder)};
      let isReadOnly = false;
      try { writeFileSync(folder + '/probe', ''); } catch { isReadOnly = true; }
      const { ok } = checkCatalogue(folder, { deep: true, m: 8 });
      await snapshotFolder({ folder, out: folder + '.tar' });
      console.log(JSON.stringify([isReadOnly, ok, [...readRecords(folder, 'default')].length]));`;
    const node = [process.execPath, '--input-type=module', '--eval', program];
    const { stdout, stderr } = spawnSync('unshare', [...prefix, ...node], { encoding: 'utf8' });
    assert.equal(stdout.trim(), JSON.stringify([true, true, IMAGES]), stderr);
  }));
