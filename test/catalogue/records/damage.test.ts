/** Damage of single records, which SQLite's own checks do not see, and files that are gone. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import Database from 'better-sqlite3';
import type { Catalogue } from '../../../src/catalogue/catalogue.js';
import { openCatalogue } from '../../../src/catalogue/open-catalogue.js';
import { checkCatalogue } from '../../../src/catalogue/snapshots/check.js';
import { snapshotFolder } from '../../../src/catalogue/snapshots/pack-snapshot.js';
import { createReadiness } from '../../../src/server/readiness.js';
import { createPooledEncoder } from '../../server/pooled-encoder.js';
import { imageId, newImage } from '../example-images.js';
import { withTemporaryFolder } from '../temporary-folder.js';
import { clusteredVectors } from '../vectors/synthetic-vectors.js';

const DIMENSIONS = 16;
const IMAGES = 12;
/** Number and id of the damaged image. */
const HURT = 5;
const hurt = imageId(`${HURT}`);

const open = (folder: string, warnings: string[] = []): Promise<Catalogue> =>
  openCatalogue({
    ...{ folder, encoderId: 'damage', dimensions: DIMENSIONS, reserveBytes: 65_536 },
    onWarning: (message) => warnings.push(message),
  });

async function fill(folder: string): Promise<Float32Array[]> {
  const draw = clusteredVectors({ dimensions: DIMENSIONS, clusters: 4, seed: 8 });
  const vectors = Array.from({ length: IMAGES }, draw);
  const catalogue = await open(folder);
  for (const [place, vector] of vectors.entries()) {
    const id = imageId(`${place + 1}`);
    const metadata = { kind: place % 2 === 0 ? 'even' : 'odd', all: true };
    await catalogue.add('default', newImage(`${place + 1}`, vector, { id, metadata, original: new Uint8Array(300) }));
  }
  await catalogue.close();
  return vectors;
}

/** Flips one bit of a stored value, as a disk does: the length stays. */
function flip(folder: string, column: string, table: string, { at = 3, bit = 0, image = HURT } = {}): void {
  const database = new Database(join(folder, 'catalogue.db'));
  const row = database.prepare(`SELECT ${column} AS value FROM ${table} WHERE sequence = ?`).get(image) as {
    value: Buffer | string;
  };
  const bytes = Buffer.from(row.value as string);
  bytes[at < 0 ? bytes.length + at : at]! ^= 1 << bit;
  const value = typeof row.value === 'string' ? bytes.toString() : bytes;
  database.prepare(`UPDATE ${table} SET ${column} = ? WHERE sequence = ?`).run(value, image);
  database.close();
}

const DAMAGES: readonly {
  readonly what: string;
  readonly isInRow: boolean;
  readonly make: (folder: string) => void;
}[] = [
  { what: 'a thumbnail', isInRow: false, make: (folder) => flip(folder, 'thumbnail', 'thumbnails') },
  { what: 'an original', isInRow: false, make: (folder) => flip(folder, 'original', 'originals') },
  {
    what: 'a low bit of an embedding',
    isInRow: false,
    make: (folder) => flip(folder, 'embedding', 'embeddings', { at: 0 }),
  },
  {
    what: 'a sign of an embedding',
    isInRow: false,
    make: (folder) => flip(folder, 'embedding', 'embeddings', { bit: 7 }),
  },
  { what: 'a perceptual hash', isInRow: true, make: (folder) => flip(folder, 'perceptual_hash', 'images') },
  { what: 'a SHA-256', isInRow: true, make: (folder) => flip(folder, 'sha256', 'images') },
  { what: 'a letter of the metadata', isInRow: true, make: (folder) => flip(folder, 'metadata', 'images') },
  {
    what: 'the brace of the metadata',
    isInRow: true,
    make: (folder) => flip(folder, 'metadata', 'images', { at: 0, bit: 1 }),
  },
  {
    what: 'the end of the metadata',
    isInRow: true,
    make: (folder) => flip(folder, 'metadata', 'images', { at: -1, bit: 2 }),
  },
];

describe('one flipped bit of one record', () => {
  for (const { what, isInRow, make } of DAMAGES) {
    it(`${what}: is found by check, kept out of snapshots, left out by name, and replaced`, () =>
      withTemporaryFolder(async (parent) => {
        const folder = join(parent, 'data');
        const vectors = await fill(folder);
        make(folder);
        for (const deep of [false, true]) {
          const { ok, storeProblems } = checkCatalogue(folder, { deep });
          assert.equal(ok, false);
          assert.match(storeProblems.join(), /number 5.*not as it was stored/);
        }
        const out = join(parent, 'out.tar');
        await assert.rejects(snapshotFolder({ folder, out }), { code: 'CATALOGUE_DAMAGED', message: /number 5/ });
        assert.ok(!existsSync(out));

        const warnings: string[] = [];
        const catalogue = await open(folder, warnings);
        try {
          const others = vectors.map((_, place) => `${place + 1}`).filter((id) => id !== hurt);
          const all = { field: 'all', equals: true } as const;
          const isListed = !isInRow;
          const expected = isListed ? [...others, hurt].sort() : others.sort();
          const ids = (items: readonly { readonly id: string }[]): string[] => items.map(({ id }) => id).sort();
          assert.deepEqual(ids((await catalogue.list('default', { limit: 100 })).items), expected);
          assert.deepEqual(ids((await catalogue.list('default', { limit: 100, filter: all })).items), expected);
          const query = { collection: 'default', embedding: vectors[0]!, k: 100 };
          const isFound = isListed && !what.includes('embedding');
          const found = isFound ? expected : others.sort();
          assert.deepEqual(ids(await catalogue.neighbours(query)), found);
          assert.deepEqual(ids(await catalogue.neighbours({ ...query, filter: all })), found);
          const part = what.includes('thumbnail') ? 'thumbnail' : what.includes('original') ? 'original' : 'embedding';
          await assert.rejects(catalogue[isInRow ? 'get' : part]('default', hurt), { code: 'CATALOGUE_DAMAGED' });
          assert.deepEqual(await catalogue.get('default', imageId('4')).then((record) => record?.id), '4');
          assert.match(warnings.join('\n'), /Image ("5" \(number 5\)|number 5) is damaged and is left out/);
          // It stays possible to replace and to remove it.
          const again = newImage('again', vectors[HURT - 1]!, { id: hurt, metadata: { all: true }, replace: true });
          assert.equal((await catalogue.add('default', again)).status, 'replaced');
          assert.equal((await catalogue.neighbours({ ...query, filter: all })).length, IMAGES);
          assert.equal(await catalogue.remove('default', hurt), true);
        } finally {
          await catalogue.close();
        }
        assert.deepEqual(checkCatalogue(folder, { deep: true }).storeProblems, []);
      }));
  }
});

describe('readiness', () => {
  for (const [column, table, at] of [
    ['metadata', 'images', 0],
    ['embedding', 'embeddings', 3],
  ] as const)
    it(`is not lost where ${column} of the oldest images is damaged`, () =>
      withTemporaryFolder(async (folder) => {
        await fill(folder);
        for (const image of [1, 2, 3]) flip(folder, column, table, { at, bit: 1, image });
        const catalogue = await open(folder);
        try {
          const { canary } = await createReadiness({ encoder: createPooledEncoder(), catalogue }).check();
          assert.equal(canary, 'found');
        } finally {
          await catalogue.close();
        }
      }));
});

describe('a database that is gone', () => {
  it('is no empty catalogue where other files of one are there', () =>
    withTemporaryFolder(async (folder) => {
      await fill(folder);
      const path = join(folder, 'catalogue.db');
      renameSync(path, `${path}.away`);
      await assert.rejects(open(folder), { code: 'CATALOGUE_DAMAGED', message: /missing or empty/ });
      assert.ok(!existsSync(path));
      writeFileSync(path, '');
      await assert.rejects(open(folder), { code: 'CATALOGUE_DAMAGED', message: /missing or empty/ });
      assert.throws(() => checkCatalogue(folder, { deep: false }), { code: 'NOT_FOUND' });
      renameSync(`${path}.away`, path);
      const catalogue = await open(folder);
      assert.equal((await catalogue.statistics()).collections[0]?.images, IMAGES);
      await catalogue.close();
    }));

  for (const [how, take] of [
    ['removed', rmSync],
    [
      'replaced',
      (path: string) => {
        rmSync(path);
        writeFileSync(path, 'another');
      },
    ],
  ] as const) {
    it(`is noticed before anything is acknowledged when it was ${how} under a running service`, () =>
      withTemporaryFolder(async (folder) => {
        const vectors = await fill(folder);
        const catalogue = await open(folder);
        take(join(folder, 'catalogue.db'));
        await assert.rejects(catalogue.statistics(), { code: 'CATALOGUE_DAMAGED', message: /removed or replaced/ });
        await assert.rejects(catalogue.add('default', newImage('new', vectors[0]!)), { code: 'CATALOGUE_DAMAGED' });
        await catalogue.close();
      }));
  }

  it('is noticed by the first add too', () =>
    withTemporaryFolder(async (folder) => {
      const vectors = await fill(folder);
      const catalogue = await open(folder);
      rmSync(join(folder, 'catalogue.db'));
      await assert.rejects(catalogue.add('default', newImage('new', vectors[0]!)), { code: 'CATALOGUE_DAMAGED' });
      await catalogue.close();
      assert.deepEqual(readdirSync(folder).includes('catalogue.db'), false);
    }));
});
