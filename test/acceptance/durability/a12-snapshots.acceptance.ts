/**
 * Snapshots (A12): kill -9 while they are made and restored, 20 times each; a snapshot made under writes, restored and
 * compared with what it was made of; 300 flipped bits, cuts and tails refused. Forged manifests, paths, links and size
 * bombs stand in test/catalogue/snapshots/hostile-snapshot.test.ts, which the suite of `npm test` runs.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import type { DurableCatalogue, ImageId, ImageRecord } from '../../../src/catalogue/catalogue.js';
import { openCatalogue } from '../../../src/catalogue/open-catalogue.js';
import { checkCatalogue } from '../../../src/catalogue/snapshots/check.js';
import { restoreSnapshot } from '../../../src/catalogue/snapshots/restore.js';
import { Snapshots } from '../../../src/catalogue/snapshots/snapshots.js';
import { SearchError } from '../../../src/errors.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { newImage } from '../../catalogue/example-images.js';
import { snapshotKills } from '../../catalogue/snapshots/snapshot-kills.js';
import { withTemporaryFolder } from '../../catalogue/temporary-folder.js';
import { clusteredVectors } from '../../catalogue/vectors/synthetic-vectors.js';
import { atLeast, atMost, record, roundSeed, seedOf } from '../record.js';

const ROUNDS = 20;
const IMAGES = 5000;
const QUERIES = 200;
const DAMAGES = 300;
const OPTIONS = { encoderId: 'a12', dimensions: 64 } as const;
const MAX_BYTES = 2 ** 40;

it(`${ROUNDS} kills while snapshots are made, ${ROUNDS} while one is restored`, () =>
  withTemporaryFolder(async (folder) => {
    const seed = seedOf(20261122);
    const { made, unfinished, restoresCut } = await snapshotKills(folder, { rounds: ROUNDS, seed });
    record({
      criterion: 'A12',
      part: 'kills',
      given: `SIGKILL at a random moment: ${ROUNDS} times while a writer adds and snapshots are made (${made} were made whole, ${unfinished} cut), ${ROUNDS} times in a restore (${restoresCut} cut)`,
      seed,
      measures: [
        atLeast('kills of each', ROUNDS, 20),
        atMost('whole snapshots lost or changed, catalogues not whole, folders half restored', 0, 0),
      ],
    });
  }));

it('a snapshot under writes is the state at its sequence number, and a damaged one is refused', () =>
  withTemporaryFolder(async (folder) => {
    const seed = seedOf(20261122);
    const draw = clusteredVectors({ dimensions: OPTIONS.dimensions, clusters: 40, seed });
    const data = join(folder, 'live');
    const live = await openCatalogue({ folder: data, ...OPTIONS });
    for (let from = 0; from < IMAGES; from += 500)
      await Promise.all(Array.from({ length: 500 }, (_, at) => live.add('default', newImage(`${from + at}`, draw()))));
    await live.saveIndexes();
    const snapshots = new Snapshots({ folder: join(data, 'snapshots'), copyTo: (stage) => live.copyTo(stage) });
    let isDone = false;
    let during = 0;
    const writing = (async () => {
      for (; !isDone; during++) await live.add('default', newImage(`during-${during}`, draw()));
    })();
    const { name } = await snapshots.create();
    isDone = true;
    await writing;

    const file = join(data, 'snapshots', `${name}.tar`);
    const { lastSequence } = await restoreSnapshot({ file, folder: join(folder, 'back'), maxBytes: MAX_BYTES });
    const check = checkCatalogue(join(folder, 'back'), { deep: true });
    assert.ok(check.ok && check.collections.every(({ index }) => index === 'good'), JSON.stringify(check));
    const back = await openCatalogue({ folder: join(folder, 'back'), ...OPTIONS });
    const wanted = new Map([...(await recordsOf(live))].filter(([, { sequence }]) => sequence <= lastSequence));
    const restored = await recordsOf(back);
    assert.deepEqual(restored, wanted);
    let shared = 0;
    for (let query = 0; query < QUERIES; query++) {
      const embedding = draw();
      const before = (await live.neighbours({ collection: 'default', embedding, k: 1000 })).filter(
        ({ sequence }) => sequence <= lastSequence,
      );
      const found = new Set((await back.neighbours({ collection: 'default', embedding, k: 10 })).map(({ id }) => id));
      shared += before.slice(0, 10).filter(({ id }) => found.has(id)).length;
    }
    await back.close();

    const good = readFileSync(file);
    const bad = join(folder, 'bad.tar');
    for (let damage = 0; damage < DAMAGES; damage++) {
      const random = seededRandom(roundSeed(seed, damage));
      const place = Math.floor(random() * good.length);
      const flipped = Buffer.from(good);
      flipped[place]! ^= 1 << Math.floor(random() * 8);
      writeFileSync(bad, damage % 3 === 0 ? good.subarray(0, place) : flipped);
      const isRefused = (error: unknown): boolean =>
        error instanceof SearchError && error.httpStatus >= 400 && error.httpStatus < 500;
      await assert.rejects(
        restoreSnapshot({ file: bad, folder: join(folder, 'none'), maxBytes: MAX_BYTES }),
        isRefused,
        `damage ${damage} at ${place}`,
      );
      assert.ok(!existsSync(join(folder, 'none')));
    }
    assert.deepEqual((await recordsOf(live)).size, IMAGES + during);
    await live.close();
    record({
      criterion: 'A12',
      part: 'restored',
      given: `${IMAGES} images, ${during} more added while the snapshot was made; restored into an empty folder; then ${DAMAGES} damaged copies of its file`,
      seed,
      measures: [
        atMost('records that differ from the state at its sequence number', 0, 0),
        atLeast(`of the ten nearest of ${QUERIES} queries, found again`, shared / (10 * QUERIES), 0.99),
        atMost('damaged copies not refused', 0, 0),
      ],
    });
  }));

async function recordsOf(catalogue: DurableCatalogue): Promise<Map<ImageId, ImageRecord>> {
  const records = new Map<ImageId, ImageRecord>();
  for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
    const page = await catalogue.list('default', { limit: 1000, ...(cursor !== undefined && { cursor }) });
    for (const each of page.items) records.set(each.id, each);
    cursor = page.nextCursor;
  }
  return records;
}
