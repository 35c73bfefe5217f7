/**
 * Import jobs in the record store: the account is right after every step, and a store from before them is brought up
 * to them.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import type { ImportChange } from '../../../src/catalogue/imports/import-records.js';
import { ImportStore, importProblems } from '../../../src/catalogue/imports/import-store.js';
import { openCatalogue } from '../../../src/catalogue/open-catalogue.js';
import { migrate, migrationsUpTo, schemaOf } from '../../../src/catalogue/records/store-schema.js';
import { withTemporaryFolder } from '../temporary-folder.js';

const IDENTITY = { catalogueId: 'c', encoderId: 'test-encoder', dimensions: 4 };
/** The version before imports. */
const FORMER_VERSION = 2;

test('a store from before the imports keeps its images and gets the tables of a new one', () =>
  withTemporaryFolder(async (folder) => {
    const path = join(folder, 'catalogue.db');
    const old = new Database(path);
    for (const migration of migrationsUpTo(FORMER_VERSION)) old.exec(migration);
    old.pragma(`user_version = ${FORMER_VERSION}`);
    const insert = old.prepare('INSERT INTO meta (key, value) VALUES (?, ?)');
    for (const [key, value] of Object.entries(IDENTITY)) insert.run(key, String(value));
    old.exec(`INSERT INTO collections (name) VALUES ('default');
    INSERT INTO images (collection, id, sha256, perceptual_hash, format, width, height, bytes, added_at, updated_at, metadata)
      VALUES (1, 'old', zeroblob(32), zeroblob(32), 'png', 1, 1, 1, 0, 0, '{"kept":true}');
    INSERT INTO embeddings VALUES (1, x'0000803f000000000000000000000000'); INSERT INTO thumbnails VALUES (1, x'00')`);
    old.close();

    const catalogue = await openCatalogue({ folder, encoderId: IDENTITY.encoderId, dimensions: IDENTITY.dimensions });
    assert.deepEqual((await catalogue.get('default', 'old' as never))?.metadata, { kept: true });
    const job = await catalogue.changeImport({
      kind: 'create',
      id: 'a',
      collection: 'default',
      source: 'urls',
      name: 'x',
    });
    assert.equal(job?.status, 'running');
    await catalogue.close();
    const [upgraded, fresh] = [new Database(path), new Database(':memory:')];
    migrate(fresh, IDENTITY);
    assert.equal(schemaOf(upgraded), schemaOf(fresh));
    upgraded.close();
  }));

test('whatever is done to a job in whatever order, its account is that of its pictures', () => {
  const seed = 20_261_122;
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
  const database = new Database(':memory:');
  migrate(database, IDENTITY);
  const store = new ImportStore(database, () => 1);
  const error = { code: 'UNREADABLE_IMAGE', message: 'x' } as const;
  const ids = [1, 2, 3].map((digit) => `00000000-0000-4000-8000-00000000000${digit}`);
  for (const id of ids) store.change({ kind: 'create', id, collection: 'default', source: 'archive', name: id });
  for (let step = 0; step < 3000; step++) {
    const id = ids[random(3)]!;
    const number = random(40);
    const changes: ImportChange[] = [
      { kind: 'found', id, items: [{ name: 'a' }, { name: 'b', error }, { name: 'c' }] },
      { kind: 'settle', id, number, state: 'existing' },
      { kind: 'settle', id, number, state: 'failed', error },
      { kind: 'retry', id },
      { kind: 'relist', id },
      { kind: 'listed', id },
      { kind: 'finish', id, status: 'done', error },
      { kind: 'finish', id, status: 'cancelled' },
    ];
    const chance = random(40);
    if (chance < 20) store.settleAdded({ id, number }, random(2) === 0 ? 'added' : 'existing');
    else store.change(changes[random(changes.length)]!);
    const job = store.read({ kind: 'one', id }) as ReturnType<ImportStore['change']>;
    const { found, added, existing, waiting, failed } = job!.counts;
    assert.equal(found, added + existing + waiting + failed, `seed ${seed}, step ${step}`);
    assert.deepEqual(importProblems(database), [], `seed ${seed}, step ${step}`);
  }
  store.change({ kind: 'forget', id: ids[0]! });
  assert.equal(store.read({ kind: 'one', id: ids[0]! }), undefined);
  assert.equal(store.change({ kind: 'retry', id: ids[0]! }), undefined);
  assert.equal((store.read({ kind: 'all' }) as readonly unknown[]).length, 2);
});
