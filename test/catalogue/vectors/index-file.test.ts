import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { CatalogueEngine } from '../../../src/catalogue/catalogue-engine.js';
import { HnswIndex } from '../../../src/catalogue/vectors/hnsw-index.js';
import { IndexFiles } from '../../../src/catalogue/vectors/index-file.js';
import { checkedImage, imageId } from '../example-images.js';
import { runChild } from '../run-child.js';
import { withTemporaryFolder } from '../temporary-folder.js';
import { ENGINE_DIMENSIONS, nearest, openTestEngine, readNow } from '../test-engine.js';
import { clusteredVectors } from './synthetic-vectors.js';

const SETTINGS = { dimensions: 8, m: 8, efConstruction: 60, ef: 64 };
const FACTS = { catalogueId: 'catalogue', encoderId: 'encoder', settings: SETTINGS };

function smallGraph(): HnswIndex {
  const draw = clusteredVectors({ dimensions: 8, clusters: 4, seed: 1 });
  const index = new HnswIndex(SETTINGS);
  for (let label = 1; label <= 100; label++) index.add(label, draw());
  return index;
}

function add(engine: CatalogueEngine, from: number, vectors: readonly Float32Array[]): void {
  const outcomes = engine.write(
    vectors.map((embedding, place) => {
      const name = `${from + place}`;
      return {
        method: 'add',
        args: ['default', checkedImage(name, embedding, { id: imageId(name), thumbnail: new Uint8Array(16) })],
      };
    }),
  );
  assert.ok(outcomes.every((outcome) => 'value' in outcome));
}

describe('index files', () => {
  it('are refused where side-car and catalogue disagree in any point', () =>
    withTemporaryFolder(async (folder) => {
      await new IndexFiles(folder, FACTS).save(1, smallGraph(), () => undefined);
      const refusedBy = (facts: Partial<typeof FACTS>, isKnown = true): string | undefined =>
        new IndexFiles(folder, { ...FACTS, ...facts }).load(1, () => isKnown).refused;
      assert.equal(refusedBy({}), undefined);
      assert.match(refusedBy({ catalogueId: 'other' }) ?? '', /belongs to another catalogue/);
      assert.match(refusedBy({ encoderId: 'other' }) ?? '', /made by encoder encoder/);
      assert.match(refusedBy({ settings: { ...SETTINGS, m: 16 } }) ?? '', /M 8 instead of 16/);
      assert.match(refusedBy({ settings: { ...SETTINGS, dimensions: 16 } }) ?? '', /8 dimensions instead of 16/);
      assert.match(refusedBy({}, false) ?? '', /another state of the record store/);
      const sideCar = join(folder, '1.json');
      writeFileSync(sideCar, readFileSync(sideCar, 'utf8').replace('"space": "ip"', '"space": "l2"'));
      assert.match(refusedBy({}) ?? '', /measures by l2 instead of ip/);
    }));

  it('keep the former one in force, whole, where a save fails at the last step', () =>
    withTemporaryFolder(async (folder) => {
      const files = new IndexFiles(folder, FACTS);
      const graph = smallGraph();
      await files.save(1, graph, () => undefined);
      const before = readdirSync(folder);
      const fail = (): void => {
        throw new Error('killed here');
      };
      await assert.rejects(() => files.save(1, graph, fail), { code: 'INTERNAL', message: /killed here/ });
      assert.deepEqual(readdirSync(folder), before);
      assert.equal(files.load(1, () => true).index?.count, 100);
    }));

  it('are whole although the graph goes on growing while they are hashed', () =>
    withTemporaryFolder(async (folder) => {
      const files = new IndexFiles(folder, FACTS);
      const graph = smallGraph();
      const draw = clusteredVectors({ dimensions: 8, clusters: 4, seed: 2 });
      let isSaved = false;
      const saving = files
        .save(1, graph, () => undefined)
        .finally(() => {
          isSaved = true;
        });
      for (let label = 101; !isSaved; await new Promise(setImmediate)) {
        for (let count = 0; count < 20 && !graph.isWriting; count++) graph.add(label++, draw());
      }
      await saving;
      assert.ok(graph.count > 120);
      assert.equal(files.load(1, () => true).index?.count, 100);
    }));

  it('leave two files a collection behind, however often they are saved, and strays are removed', () =>
    withTemporaryFolder(async (folder) => {
      const files = new IndexFiles(folder, FACTS);
      for (let round = 0; round < 4; round++)
        for (const key of [1, 12]) await files.save(key, smallGraph(), () => undefined);
      assert.equal(readdirSync(folder).length, 4);
      for (const stray of ['1.json.tmp', '1-abc.hnsw', '1-abc.hnsw.tmp', 'notes.txt'])
        writeFileSync(join(folder, stray), 'x');
      files.removeLeftovers();
      assert.equal(readdirSync(folder).length, 4);
      for (const key of [1, 12]) assert.equal(files.load(key, () => true).refused, undefined);
    }));

  it('damaged in 76 ways are never used, and the answers are right', async () => {
    const { code, signal, stdout, stderr } = await runChild(new URL('./index-damage-child.js', import.meta.url), [
      'run',
    ]);
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${stdout.trim().split('\n').at(-1)}\n${stderr}`);
    assert.match(stdout, /undamaged\n$/);
  });
});

describe('a start', () => {
  const draw = clusteredVectors({ dimensions: ENGINE_DIMENSIONS, clusters: 12, seed: 8 });
  const vectors = Array.from({ length: 1500 }, draw);

  it('uses the index file and catches up with what was added and removed after it', () =>
    withTemporaryFolder(async (folder) => {
      const first = openTestEngine(folder).engine;
      add(first, 0, vectors.slice(0, 1200));
      while (first.hasWork) first.work(1000);
      await first.saveIndexes();
      const saved = join(folder, 'indexes');
      cpSync(saved, `${saved}-kept`, { recursive: true });
      add(first, 1200, vectors.slice(1200));
      first.write([5, 1300].map((place) => ({ method: 'remove', args: ['default', imageId(`${place}`)] })));
      await first.close();
      // As a kill would have left it: the records are there, the later index file is not.
      rmSync(saved, { recursive: true });
      cpSync(`${saved}-kept`, saved, { recursive: true });

      const { engine, warnings } = openTestEngine(folder);
      assert.deepEqual(warnings, []);
      const statistics = (): { indexed: number; deleted: number; images: number } => {
        const { collections } = readNow(engine, { method: 'statistics', args: [] }) as {
          collections: { indexed: number; deleted: number; images: number }[];
        };
        return collections[0]!;
      };
      assert.deepEqual([statistics().indexed, statistics().deleted, statistics().images], [1200, 1, 1498]);
      for (let stage = 0; stage < 2; stage++) {
        vectors.forEach((vector, place) => {
          assert.equal(nearest(engine, vector)[0]?.id === `${place}`, place !== 5 && place !== 1300);
        });
        while (engine.hasWork) engine.work(1000);
      }
      assert.equal(statistics().indexed, 1499);
      await engine.close();
    }));

  it('distrusts an index file newer than a record store restored from a backup', () =>
    withTemporaryFolder(async (folder) => {
      const first = openTestEngine(folder).engine;
      add(first, 0, vectors.slice(0, 1100));
      await first.close();
      const backup = readFileSync(join(folder, 'catalogue.db'));
      const second = openTestEngine(folder).engine;
      add(second, 2000, vectors.slice(1100, 1200));
      while (second.hasWork) second.work(1000);
      await second.saveIndexes();
      await second.saveIndexes();
      await second.close();
      writeFileSync(join(folder, 'catalogue.db'), backup);
      // The restored store numbers its next images as those were that the index file holds.
      const { engine, warnings } = openTestEngine(folder);
      assert.match(warnings.join(), /another state of the record store/);
      add(engine, 3000, vectors.slice(1200, 1300));
      while (engine.hasWork) engine.work(1000);
      for (let place = 1200; place < 1300; place++)
        assert.equal(nearest(engine, vectors[place]!)[0]?.id, `${place + 1800}`);
      await engine.close();
    }));

  it('is not stopped by stray files, nor by a missing index folder', () =>
    withTemporaryFolder(async (folder) => {
      const first = openTestEngine(folder).engine;
      add(first, 0, vectors.slice(0, 20));
      await first.close();
      rmSync(join(folder, 'indexes'), { recursive: true });
      for (const stray of ['reserve.tmp', 'catalogue.db.tmp']) writeFileSync(join(folder, stray), 'x');
      const { engine } = openTestEngine(folder);
      assert.equal(nearest(engine, vectors[3]!)[0]?.id, '3');
      assert.equal(existsSync(join(folder, 'reserve.tmp')), false);
      await engine.close();
    }));
});
