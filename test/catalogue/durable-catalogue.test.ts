import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { Catalogue } from '../../src/catalogue/catalogue.js';
import { type CatalogueOptions, openCatalogue } from '../../src/catalogue/open-catalogue.js';
import { checkCatalogue } from '../../src/catalogue/snapshots/check.js';
import type { SearchError } from '../../src/errors.js';
import { imageId, newImage } from './example-images.js';
import { withTemporaryFolder } from './temporary-folder.js';
import { clusteredVectors } from './vectors/synthetic-vectors.js';

const DIMENSIONS = 32;

async function withCatalogue(
  folder: string,
  use: (catalogue: Catalogue) => Promise<void>,
  given: Partial<CatalogueOptions> = {},
): Promise<void> {
  const catalogue = await openCatalogue({
    folder,
    encoderId: 'encoder-a',
    dimensions: DIMENSIONS,
    reserveBytes: 65_536,
    ...given,
  });
  try {
    await use(catalogue);
  } finally {
    await catalogue.close();
  }
}

const withNewCatalogue = (
  use: (catalogue: Catalogue) => Promise<void>,
  given: Partial<CatalogueOptions> = {},
): Promise<void> => withTemporaryFolder((folder) => withCatalogue(folder, use, given));

const drawing = (seed = 3): (() => Float32Array) => clusteredVectors({ dimensions: DIMENSIONS, clusters: 12, seed });

describe('the durable catalogue', () => {
  it('hides a removed collection at once, deletes its records meanwhile, and goes on after a restart', () =>
    withTemporaryFolder(async (folder) => {
      const draw = drawing();
      const add = (catalogue: Catalogue, name: string, count: number) =>
        Promise.all(
          Array.from({ length: count }, (_, place) => catalogue.add(name, newImage(`${name} ${place}`, draw()))),
        );
      await withCatalogue(folder, async (catalogue) => {
        await add(catalogue, 'gone', 600);
        await add(catalogue, 'kept', 5);
        await catalogue.saveIndexes();
        assert.equal(await catalogue.removeCollection('gone'), true);
      });
      const path = join(folder, 'catalogue.db');
      const count = (): unknown[] => {
        const database = new Database(path, { readonly: true });
        try {
          const of = (table: string) => database.prepare(`SELECT count(*) FROM ${table}`).pluck().get();
          return ['images', 'embeddings', 'thumbnails', 'collections'].map(of);
        } finally {
          database.close();
        }
      };
      assert.ok(Number(count()[0]) > 5, 'the first run had no time for all');
      const { ok, collections } = checkCatalogue(folder, { deep: true });
      assert.deepEqual([ok, collections.map(({ name, images }) => [name, images])], [true, [['kept', 5]]]);
      await withCatalogue(folder, async (catalogue) => {
        assert.deepEqual(
          (await catalogue.statistics()).collections.map(({ name, images }) => [name, images]),
          [['kept', 5]],
        );
        // Each write is committed between two steps of the deletion.
        for (let turn = 0; turn < 60; turn++) await catalogue.remove('kept', imageId('none'));
      });
      assert.deepEqual(count(), [5, 5, 5, 1]);
      assert.deepEqual(readdirSync(join(folder, 'indexes')), [], 'five images need no graph');
    }));

  it('takes less than 100 kB of memory for a collection of one image', () =>
    withNewCatalogue(
      async (catalogue) => {
        const draw = clusteredVectors({ dimensions: 256, clusters: 12, seed: 3 });
        const add = async (from: number, to: number) => {
          for (let place = from; place < to; place++) await catalogue.add(`c${place}`, newImage(`${place}`, draw()));
        };
        await add(0, 50);
        const before = process.memoryUsage.rss();
        await add(50, 350);
        assert.ok((process.memoryUsage.rss() - before) / 300 < 100_000);
      },
      { dimensions: 256 },
    ));

  it('gives all back after it was closed and opened again', () =>
    withTemporaryFolder(async (folder) => {
      const draw = drawing();
      const vectors = Array.from({ length: 120 }, draw);
      let before: unknown;
      await withCatalogue(folder, async (catalogue) => {
        for (const name of ['default', 'other']) {
          await Promise.all(
            vectors.map((embedding, place) =>
              catalogue.add(name, newImage(`${place}`, embedding, { id: imageId(`${place}`) })),
            ),
          );
        }
        await catalogue.remove('default', imageId('7'));
        before = await catalogue.list('default', { limit: 1000 });
      });
      const warnings: string[] = [];
      await withCatalogue(
        folder,
        async (catalogue) => {
          assert.deepEqual(await catalogue.list('default', { limit: 1000 }), before);
          for (const [place, embedding] of vectors.entries()) {
            const [match] = await catalogue.neighbours({ collection: 'default', embedding, k: 1 });
            assert.equal(match?.id === `${place}`, place !== 7);
          }
          const { collections } = await catalogue.statistics();
          assert.deepEqual(
            collections.map(({ name, images }) => [name, images]),
            [
              ['default', 119],
              ['other', 120],
            ],
          );
        },
        { onWarning: (message) => warnings.push(message) },
      );
      assert.deepEqual(warnings, []);
    }));

  it('commits writes that wait together in few transactions', () =>
    withTemporaryFolder(async (folder) => {
      const commits: number[] = [];
      const draw = drawing();
      await withCatalogue(
        folder,
        async (catalogue) => {
          await Promise.all(
            Array.from({ length: 400 }, (_, place) => catalogue.add('default', newImage(`${place}`, draw()))),
          );
        },
        { onCommit: ({ images }) => commits.push(images) },
      );
      assert.equal(
        commits.reduce((sum, images) => sum + images, 0),
        400,
      );
      assert.ok(commits.length <= 40, `${commits.length} transactions`);
      assert.ok(Math.max(...commits) <= 64);
    }));

  it('refuses what its queue cannot hold and goes on', () =>
    withTemporaryFolder(async (folder) => {
      const draw = drawing();
      let settled: PromiseSettledResult<unknown>[] = [];
      await withCatalogue(
        folder,
        async (catalogue) => {
          const adds = Array.from({ length: 30 }, (_, place) => catalogue.add('default', newImage(`${place}`, draw())));
          const searches = Array.from({ length: 15 }, () =>
            catalogue.neighbours({ collection: 'default', embedding: draw(), k: 1 }),
          );
          settled = await Promise.allSettled([...adds, ...searches]);
          await catalogue.add('default', newImage('later', draw()));
        },
        { queueLimit: 10 },
      );
      const codes = settled.map((result) =>
        result.status === 'fulfilled' ? 'done' : (result.reason as { code: string }).code,
      );
      assert.equal(codes.filter((code) => code === 'done').length, 20);
      assert.equal(codes.filter((code) => code === 'OVERLOADED').length, 25);
      const refusal = settled.find((result) => result.status === 'rejected');
      assert.equal((refusal as PromiseRejectedResult).reason.retryAfterSeconds, 1);
    }));

  it('counts bytes that wait, too, and takes a single image beyond that limit', () =>
    withNewCatalogue(
      async (catalogue) => {
        const draw = drawing();
        const original = new Uint8Array(200_000);
        const first = catalogue.add('default', newImage('a', draw(), { original }));
        await assert.rejects(catalogue.add('default', newImage('b', draw(), { original })), { code: 'OVERLOADED' });
        await first;
        await catalogue.add('default', newImage('b', draw(), { original }));
      },
      { queueBytesLimit: 100_000 },
    ));

  it('refuses a second owner of its folder, and lets the next one in after it closed', () =>
    withTemporaryFolder(async (folder) => {
      await withCatalogue(folder, async () => {
        await assert.rejects(
          withCatalogue(folder, async () => undefined, { lockTimeoutMs: 0 }),
          { code: 'CATALOGUE_LOCKED', message: new RegExp(folder) },
        );
      });
      await withCatalogue(folder, async () => undefined);
    }));

  it('refuses a start with another encoder, names both, and harms nothing', () =>
    withTemporaryFolder(async (folder) => {
      const embedding = drawing()();
      await withCatalogue(folder, async (catalogue) => void (await catalogue.add('default', newImage('a', embedding))));
      const other = { encoderId: 'encoder-b', dimensions: 48 };
      await assert.rejects(
        withCatalogue(folder, async () => undefined, other),
        {
          code: 'ENCODER_MISMATCH',
          message:
            /encoder-a \(32 dimensions\).*encoder-b \(48\).*start with the former, or import the pictures into another data folder/,
        },
      );
      await withCatalogue(folder, async (catalogue) =>
        assert.equal((await catalogue.neighbours({ collection: 'default', embedding, k: 5 })).length, 1),
      );
    }));

  it('says that a damaged record store is damaged', () =>
    withTemporaryFolder(async (folder) => {
      await withCatalogue(
        folder,
        async (catalogue) => void (await catalogue.add('default', newImage('a', drawing()()))),
      );
      const path = join(folder, 'catalogue.db');
      const bytes = readFileSync(path);
      writeFileSync(path, bytes.fill(0x5a, 0, 4096));
      await assert.rejects(
        withCatalogue(folder, async () => undefined),
        { code: 'CATALOGUE_DAMAGED', message: /Restore the data folder from a backup/ },
      );
    }));

  it('refuses a record store of a newer Likeness', () =>
    withTemporaryFolder(async (folder) => {
      await withCatalogue(folder, async () => undefined);
      const database = new Database(join(folder, 'catalogue.db'));
      database.pragma('user_version = 99');
      database.close();
      await assert.rejects(
        withCatalogue(folder, async () => undefined),
        { code: 'CATALOGUE_DAMAGED', message: /newer Likeness/ },
      );
    }));

  it('refuses settings that hnswlib would take and die of', async () => {
    await assert.rejects(
      withNewCatalogue(async () => undefined, { m: 100_000 }),
      { code: 'INVALID_SETTINGS', message: /from 4 to 64/ },
    );
  });

  it('refuses an image beyond the last 32-bit number, and keeps those before it', () =>
    withTemporaryFolder(async (folder) => {
      const draw = drawing();
      await withCatalogue(folder, async (catalogue) => void (await catalogue.add('default', newImage('a', draw()))));
      const database = new Database(join(folder, 'catalogue.db'));
      database.prepare("UPDATE sqlite_sequence SET seq = ? WHERE name = 'images'").run(2 ** 32 - 3);
      database.close();
      const embeddings = Array.from({ length: 4 }, draw);
      await withCatalogue(folder, async (catalogue) => {
        const settled = await Promise.allSettled(
          embeddings.map((embedding, place) =>
            catalogue.add('default', newImage(`${place}`, embedding, { id: imageId(`${place}`) })),
          ),
        );
        assert.deepEqual(
          settled.map((result) => (result.status === 'fulfilled' ? 'added' : (result.reason as { code: string }).code)),
          ['added', 'added', 'CATALOGUE_FULL', 'CATALOGUE_FULL'],
        );
        for (const place of [0, 1]) {
          const [match] = await catalogue.neighbours({ collection: 'default', embedding: embeddings[place]!, k: 1 });
          assert.equal(match?.id, `${place}`);
        }
        assert.equal((await catalogue.statistics()).lastSequence, 2 ** 32 - 1);
        assert.equal(await catalogue.remove('default', imageId('1')), true);
        await assert.rejects(catalogue.add('default', newImage('again', draw())), { code: 'CATALOGUE_FULL' });
      });
    }));

  it('bounds the number of collections', () =>
    withNewCatalogue(
      async (catalogue) => {
        const draw = drawing();
        await catalogue.add('one', newImage('a', draw()));
        await catalogue.add('two', newImage('a', draw()));
        await assert.rejects(catalogue.add('three', newImage('a', draw())), { code: 'CATALOGUE_FULL' });
        assert.equal((await catalogue.add('two', newImage('b', draw()))).status, 'added');
      },
      { collectionsMax: 2 },
    ));

  it('fails every call, at once and later, when its thread dies', () =>
    withTemporaryFolder(async (folder) => {
      const started = new Promise<Worker>((resolve) => process.once('worker', resolve));
      const failures: string[] = [];
      const onFailure = ({ message }: SearchError): number => failures.push(message);
      const catalogue = await openCatalogue({ folder, encoderId: 'encoder-a', dimensions: DIMENSIONS, onFailure });
      const draw = drawing();
      const first = newImage('a', draw());
      await catalogue.add('default', first);
      const waiting = Array.from({ length: 50 }, (_, place) => catalogue.add('default', newImage(`${place}`, draw())));
      const settled = Promise.allSettled(waiting);
      await (await started).terminate();
      assert.ok((await settled).every((result) => result.status === 'fulfilled' || result.reason.code === 'INTERNAL'));
      await assert.rejects(catalogue.get('default', imageId('a')), {
        code: 'INTERNAL',
        message: /thread died.*Start the service again/,
      });
      assert.equal(failures.length, 1);
      await catalogue.close();
      // Its lock went with it, and what it had acknowledged is there.
      await withCatalogue(folder, async (next) =>
        assert.notEqual(await next.findBySha256('default', first.sha256), undefined),
      );
    }));
});
