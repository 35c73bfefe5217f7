import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import Database from 'better-sqlite3';
import { checkCatalogue } from '../../../src/catalogue/snapshots/check.js';
import { checkedImage } from '../example-images.js';
import { withTemporaryFolder } from '../temporary-folder.js';
import { ENGINE_DIMENSIONS, nearest, openTestEngine } from '../test-engine.js';
import { clusteredVectors } from '../vectors/synthetic-vectors.js';

async function makeCatalogue(folder: string): Promise<void> {
  const draw = clusteredVectors({ dimensions: ENGINE_DIMENSIONS, clusters: 5, seed: 2 });
  const { engine } = openTestEngine(folder);
  engine.write(
    Array.from({ length: 70 }, (_, place) => ({ method: 'add', args: ['default', checkedImage(`${place}`, draw())] })),
  );
  while (engine.hasWork) engine.work(1000);
  await engine.close();
}

it('finds nothing wrong with a good catalogue', () =>
  withTemporaryFolder(async (folder) => {
    await makeCatalogue(folder);
    const collections = [{ name: 'default', images: 70, index: 'good', indexProblem: undefined, notYetIndexed: 0 }];
    const expected = {
      ok: true,
      encoderId: 'test',
      dimensions: ENGINE_DIMENSIONS,
      format: 4,
      newestFormat: 4,
      lastSequence: 70,
      storeProblems: [],
      collections,
    };
    assert.deepEqual(checkCatalogue(folder, { deep: true, m: 8 }), expected);
    assert.deepEqual(checkCatalogue(folder, { deep: false, m: 8 }), expected);
  }));

it('names embeddings that are not finite, not of unit length, too short or missing', () =>
  withTemporaryFolder(async (folder) => {
    await makeCatalogue(folder);
    const database = new Database(join(folder, 'catalogue.db'));
    const set = (sequence: number, vector: Float32Array): void => {
      database
        .prepare('UPDATE embeddings SET embedding = ? WHERE sequence = ?')
        .run(Buffer.from(vector.buffer), sequence);
    };
    set(3, new Float32Array(ENGINE_DIMENSIONS).fill(Number.NaN));
    set(4, new Float32Array(ENGINE_DIMENSIONS));
    set(5, new Float32Array(7).fill(1));
    database.exec('DELETE FROM embeddings WHERE sequence = 6; DELETE FROM thumbnails WHERE sequence = 7');
    database.close();
    const { ok, storeProblems } = checkCatalogue(folder, { deep: false, m: 8 });
    assert.equal(ok, false);
    const text = storeProblems.join('\n');
    for (const words of [
      /number 3 holds an element/,
      /number 4 has length 0/,
      /number 5 has 7 elements/,
      /has no embedding/,
      /has no thumbnail/,
    ]) {
      assert.match(text, words);
    }
    assert.equal(storeProblems.filter((problem) => /as it was stored \(checksum\)/.test(problem)).length, 3);
    assert.equal(storeProblems.length, 8);
    // A start leaves those out, says so, and serves the others.
    const { engine, warnings } = openTestEngine(folder);
    assert.equal(warnings.filter((warning) => /number [345] is damaged and is left out/.test(warning)).length, 3);
    assert.equal(nearest(engine, new Float32Array(ENGINE_DIMENSIONS).fill(1), 1000).length, 66);
    await engine.close();
  }));

it('tells a bad index file from bad records', () =>
  withTemporaryFolder(async (folder) => {
    await makeCatalogue(folder);
    const name = readdirSync(join(folder, 'indexes')).find((file) => file.endsWith('.hnsw'))!;
    const path = join(folder, 'indexes', name);
    const bytes = readFileSync(path);
    bytes[500]! ^= 1;
    writeFileSync(path, bytes);
    const { ok, collections } = checkCatalogue(folder, { deep: true, m: 8 });
    assert.equal(ok, true);
    assert.equal(collections[0]?.index, 'refused');
    assert.match(collections[0]?.indexProblem ?? '', /SHA-256/);
  }));

it('reports a record store that SQLite cannot read, instead of throwing', () =>
  withTemporaryFolder(async (folder) => {
    await makeCatalogue(folder);
    const path = join(folder, 'catalogue.db');
    const bytes = readFileSync(path);
    for (let page = 3; page * 4096 < bytes.length; page += 4) bytes.fill(0xee, page * 4096, page * 4096 + 4096);
    writeFileSync(path, bytes);
    const { ok, storeProblems } = checkCatalogue(folder, { deep: true, m: 8 });
    assert.equal(ok, false);
    assert.ok(storeProblems.length > 0);
  }));

it('refuses a folder that is in use or holds no catalogue', () =>
  withTemporaryFolder(async (folder) => {
    assert.throws(() => checkCatalogue(folder, { deep: false }), { code: 'NOT_FOUND' });
    const { engine } = openTestEngine(folder);
    assert.throws(() => checkCatalogue(folder, { deep: false }), { code: 'CATALOGUE_LOCKED' });
    await engine.close();
  }));
