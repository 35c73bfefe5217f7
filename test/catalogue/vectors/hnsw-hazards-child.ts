import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import v8 from 'node:v8';
import vm from 'node:vm';
import { CollectionIndex } from '../../../src/catalogue/vectors/collection-index.js';
import { ExactIndex } from '../../../src/catalogue/vectors/exact-index.js';
import { HnswIndex } from '../../../src/catalogue/vectors/hnsw-index.js';
import { IndexFiles } from '../../../src/catalogue/vectors/index-file.js';
import { LABEL_LIMIT } from '../../../src/catalogue/vectors/vector-index.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { clusteredVectors } from './synthetic-vectors.js';

const SETTINGS = { dimensions: 16, m: 16, efConstruction: 100, ef: 64 };
const FACTS = { catalogueId: 'c', encoderId: 'e', settings: SETTINGS };
const COUNT = 400;

function filled(count = COUNT): { readonly index: HnswIndex; readonly vectors: Float32Array[] } {
  const draw = clusteredVectors({ dimensions: 16, clusters: 8, seed: 4 });
  const index = new HnswIndex(SETTINGS);
  const vectors = Array.from({ length: count }, draw);
  vectors.forEach((vector, label) => {
    index.add(label, vector);
  });
  return { index, vectors };
}

function assertAllFound(index: HnswIndex, vectors: readonly Float32Array[]): void {
  vectors.forEach((vector, label) => {
    assert.equal(index.search(vector, 1)[0]?.label, label);
  });
}

/**
 * What hnswlib-node 3.0.0 answers with SIGSEGV, an abort or silent loss, done to our index. Each runs in a process of
 * its own; it must end with code 0.
 */
const HAZARDS: Readonly<Record<string, (folder: string) => Promise<void> | void>> = {
  'a NaN as the first vector loses no other': () => {
    const index = new HnswIndex(SETTINGS);
    assert.throws(() => index.add(0, new Float32Array(16).fill(Number.NaN)), { code: 'INVALID_EMBEDDING' });
    const { vectors } = filled();
    vectors.forEach((vector, label) => {
      index.add(label, vector);
    });
    assertAllFound(index, vectors);
  },
  'an element that is no number does not abort the process': () => {
    const { index, vectors } = filled();
    // what a caller without types could pass
    const words = Array.from({ length: 16 }, () => 'x') as unknown as Float32Array;
    assert.throws(() => index.add(COUNT, words), { code: 'INVALID_EMBEDDING' });
    assert.throws(() => index.search(words, 1), { code: 'INVALID_EMBEDDING' });
    assert.throws(() => index.search(undefined as unknown as Float32Array, 1), { code: 'INVALID_EMBEDDING' });
    assertAllFound(index, vectors);
  },
  'a filter that throws does not abort the process': () => {
    const { index, vectors } = filled();
    const accepts = (label: number): boolean => {
      if (label > 5) throw new Error('no');
      return true;
    };
    assert.throws(() => index.search(vectors[200]!, 10, { accepts }), /no/);
    assertAllFound(index, vectors);
  },
  'a filter that answers no boolean accepts nothing by it': () => {
    const { index, vectors } = filled();
    // a caller without types
    const accepts = ((label: number) => (label === 3 ? true : 'yes')) as unknown as (label: number) => boolean;
    assert.deepEqual(
      index.search(vectors[9]!, 10, { accepts }).map(({ label }) => label),
      [3],
    );
  },
  'a label beyond 32 bits overwrites no other': () => {
    const { index, vectors } = filled();
    for (const label of [2 ** 32 + 5, -1, 11.5]) assert.throws(() => index.add(label, vectors[0]!));
    index.add(
      LABEL_LIMIT,
      vectors[0]!.map((element) => -element),
    );
    assertAllFound(index, vectors);
  },
  'a save into a missing folder is an error': async (folder) => {
    const files = new IndexFiles(join(folder, 'missing'), FACTS);
    await assert.rejects(() => files.save(1, filled().index, () => undefined), { code: 'INTERNAL' });
  },
  'a missing or truncated file does not harm the index in use': async (folder) => {
    const { index, vectors } = filled();
    assert.throws(() => HnswIndex.read(join(folder, 'missing'), SETTINGS));
    await index.write(join(folder, 'whole'));
    const whole = readFileSync(join(folder, 'whole'));
    for (const bytes of [0, 50, 96, whole.length >> 1, whole.length - 1]) {
      writeFileSync(join(folder, 'cut'), whole.subarray(0, bytes));
      assert.throws(() => HnswIndex.read(join(folder, 'cut'), SETTINGS), `cut at ${bytes}`);
      assertAllFound(index, vectors);
    }
  },
  'a file of another dimension is not read': async (folder) => {
    const files = new IndexFiles(folder, FACTS);
    await files.save(1, filled().index, () => undefined);
    for (const dimensions of [8, 32, 512]) {
      const other = new IndexFiles(folder, { ...FACTS, settings: { ...SETTINGS, dimensions } });
      const loaded = other.load(1, () => true);
      assert.match(loaded.refused ?? '', /it holds vectors of 16 dimensions/);
    }
  },
  'adds, removals and growth during a write are refused and the file is whole': async (folder) => {
    const { index, vectors } = filled(3000);
    const path = join(folder, 'file');
    const writing = index.write(path);
    assert.throws(() => index.add(5000, vectors[0]!), /while it is written/);
    assert.throws(() => index.remove(3), /while it is written/);
    await assert.rejects(() => index.write(path), /while it is written/);
    await writing;
    assertAllFound(HnswIndex.read(path, SETTINGS).index, vectors);
  },
  'searches, adds and removals go on while a collection is saved': async (folder) => {
    const draw = clusteredVectors({ dimensions: 16, clusters: 8, seed: 4 });
    const index = new CollectionIndex(SETTINGS, new ExactIndex(16));
    const vectors = Array.from({ length: 6000 }, draw);
    for (let label = 0; label < 5000; label++) index.add(label, vectors[label]!);
    while (index.hasWork) index.work(1000);
    const files = new IndexFiles(folder, FACTS);
    let isSaved = false;
    const saving = index
      .withFrozenGraph((graph) => files.save(1, graph, () => undefined))
      .then(() => {
        isSaved = true;
      });
    for (let label = 5000; !isSaved; label++) {
      if (label < vectors.length) {
        index.add(label, vectors[label]!);
        assert.equal(index.search(vectors[label]!, 1, { ef: 64, exact: false })[0]?.label, label);
        index.remove(label - 5000);
      }
      assert.notEqual(index.search(vectors[0]!, 1, { ef: 64, exact: false })[0]?.label, 0);
      index.work(1);
      await new Promise(setImmediate);
    }
    await saving;
    const loaded = files.load(1, () => true);
    assert.equal(loaded.refused, undefined);
    assert.equal(loaded.index?.count, 5000);
  },
  'ef and room are as before after a load': async (folder) => {
    const { index, vectors } = filled();
    await index.write(join(folder, 'file'));
    const { index: read } = HnswIndex.read(join(folder, 'file'), SETTINGS);
    assertAllFound(read, vectors);
    const draw = clusteredVectors({ dimensions: 16, clusters: 8, seed: 9 });
    const more = Array.from({ length: 600 }, draw);
    more.forEach((vector, place) => {
      read.add(COUNT + place, vector);
    });
    more.forEach((vector, place) => {
      assert.equal(read.search(vector, 1)[0]?.label, COUNT + place);
    });
  },
  'nearly everything removed, saved and loaded still searches': async (folder) => {
    const { index, vectors } = filled();
    for (let label = 0; label < COUNT - 3; label++) index.remove(label);
    await index.write(join(folder, 'file'));
    const { index: read, labels } = HnswIndex.read(join(folder, 'file'), SETTINGS);
    read.markRemoved(labels.filter((label) => label < COUNT - 3));
    assert.equal(read.size, 3);
    assert.equal(read.search(vectors[0]!, 10).length, 3);
  },
  'a label that is there, or was, is not taken again': () => {
    const { index, vectors } = filled();
    index.remove(7);
    for (const label of [COUNT - 1, 7, 0]) assert.throws(() => index.add(label, vectors[label]!), /labels ascend/);
    assert.equal(index.count, COUNT);
    assertAllFound(index, vectors.slice(0, 7));
  },
  'removing twice, or what was never there, is no error and no removal': () => {
    const { index, vectors } = filled();
    assert.deepEqual(
      [index.remove(5), index.remove(5), index.remove(COUNT), index.remove(2 ** 33), index.remove(-1)],
      [true, false, false, false, false],
    );
    assert.equal(index.size, COUNT - 1);
    assert.notEqual(index.search(vectors[5]!, 1)[0]?.label, 5);
  },
  'more neighbours than there are, than there is room for, or none at all can be asked for': () => {
    const empty = new HnswIndex(SETTINGS);
    const { index, vectors } = filled();
    assert.deepEqual(empty.search(vectors[0]!, 10), []);
    assert.equal(index.search(vectors[0]!, 100_000).length, COUNT);
  },
  'a file of random bytes is an error': (folder) => {
    const random = seededRandom(3);
    for (const bytes of [96, 4096, 100_000]) {
      writeFileSync(
        join(folder, 'random'),
        Uint8Array.from({ length: bytes }, () => random() * 256),
      );
      writeFileSync(join(folder, '1.json'), JSON.stringify({ format: 1, file: 'random' }));
      // hnswlib itself is never asked: what no side-car vouches for is not read.
      assert.notEqual(new IndexFiles(folder, FACTS).load(1, () => true).refused, undefined);
    }
  },
  'a save that a full disk cut without a word is an error, and the former file stays': async (folder) => {
    const files = new IndexFiles(folder, FACTS);
    const { index, vectors } = filled();
    await files.save(1, index, () => undefined);
    class Cut extends HnswIndex {
      // What writeIndex does on a full disk: some of the file, and no error.
      override async write(path: string): Promise<void> {
        await super.write(path);
        truncateSync(path, statSync(path).size >> 1);
      }
    }
    const cut = new Cut(SETTINGS);
    for (const [label, vector] of vectors.entries()) cut.add(label, vector);
    await assert.rejects(
      files.save(1, cut, () => undefined),
      { code: 'DISK_FULL' },
    );
    const loaded = new IndexFiles(folder, FACTS).load(1, () => true);
    assertAllFound(loaded.index!, vectors);
  },
  'an index in use is searched while its file is read into another, again and again': async (folder) => {
    const files = new IndexFiles(folder, FACTS);
    const { index, vectors } = filled();
    await files.save(1, index, () => undefined);
    for (let round = 0; round < 20; round++) {
      const loaded = files.load(1, () => true);
      assertAllFound(index, vectors);
      assertAllFound(loaded.index!, vectors);
    }
  },
  'the memory of dropped graphs comes back': async () => {
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as () => void; // as the catalogue's thread does after a rebuild
    const settings = { dimensions: 128, m: 16, efConstruction: 20, ef: 10 };
    const drop = async (count: number): Promise<void> => {
      for (let round = 0; round < count; round++) {
        new HnswIndex(settings, { capacity: 4000 }).add(0, new Float32Array(128).fill(1)); // 2.6 MB each, unknown to V8
        collect();
        await new Promise(setImmediate); // native memory is freed between turns of the event loop
      }
    };
    await drop(10);
    const before = process.memoryUsage.rss();
    await drop(200);
    const grown = (process.memoryUsage.rss() - before) / 2 ** 20;
    assert.ok(grown < 100, `${grown.toFixed(0)} MiB stayed of 540`);
  },
};

/** Names of all hazards, for the test that runs each. */
export const hazardNames = Object.keys(HAZARDS);

const [, , name] = process.argv;
if (name !== undefined && name in HAZARDS) {
  const folder = mkdtempSync(join(tmpdir(), 'likeness-hazard-'));
  try {
    await HAZARDS[name]!(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
