import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import type { Catalogue, DurableCatalogue, ImageRecord } from '../../../src/catalogue/catalogue.js';
import { openCatalogue } from '../../../src/catalogue/open-catalogue.js';
import { checkCatalogue } from '../../../src/catalogue/snapshots/check.js';
import { snapshotFolder } from '../../../src/catalogue/snapshots/pack-snapshot.js';
import { restoreSnapshot } from '../../../src/catalogue/snapshots/restore.js';
import { Snapshots } from '../../../src/catalogue/snapshots/snapshots.js';
import { SearchError } from '../../../src/errors.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { newImage } from '../example-images.js';
import { withTemporaryFolder } from '../temporary-folder.js';
import { clusteredVectors } from '../vectors/synthetic-vectors.js';

const DIMENSIONS = 32;
const MAX_BYTES = 2 ** 30;
const OPTIONS = {
  encoderId: 'snapshot',
  dimensions: DIMENSIONS,
  m: 8,
  efConstruction: 60,
  saveEveryChanges: 300,
  reserveBytes: 65_536,
};

const open = (folder: string): Promise<DurableCatalogue> => openCatalogue({ folder, ...OPTIONS });

function snapshotsOf(folder: string, catalogue: DurableCatalogue): Snapshots {
  return new Snapshots({ folder: join(folder, 'snapshots'), copyTo: (stage) => catalogue.copyTo(stage) });
}

async function recordsOf(catalogue: Catalogue): Promise<Map<string, ImageRecord>> {
  const records = new Map<string, ImageRecord>();
  let cursor: string | undefined;
  do {
    const page = await catalogue.list('default', { limit: 1000, ...(cursor !== undefined && { cursor }) });
    for (const record of page.items) records.set(record.id, record);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return records;
}

it('restores the state at its sequence number, taken while eight writers add and remove', (test) =>
  withTemporaryFolder(async (folder) => {
    const live = await open(join(folder, 'live'));
    const draw = clusteredVectors({ dimensions: DIMENSIONS, clusters: 20, seed: 5 });
    // When each add and removal was asked for and answered, by a clock that ticks with every event.
    let clock = 0;
    const added = new Map<string, number>();
    const removals = new Map<string, { readonly asked: number; answered: number }>();
    let isStopping = false;
    const writer = async (number: number): Promise<void> => {
      for (let count = 0; !isStopping; count++) {
        const { id } = await live.add('default', newImage(`${number}-${count}`, draw()));
        added.set(id, clock++);
        if (count % 4 !== 3) continue;
        removals.set(id, { asked: clock++, answered: Number.POSITIVE_INFINITY });
        await live.remove('default', id);
        removals.get(id)!.answered = clock++;
      }
    };
    const writers = Array.from({ length: 8 }, (_, number) => writer(number));
    while (added.size < 1000) await new Promise(setImmediate);
    const begun = clock;
    const snapshot = await snapshotsOf(join(folder, 'live'), live).create();
    const ended = clock;
    isStopping = true;
    await Promise.all(writers);

    const file = join(folder, 'live', 'snapshots', `${snapshot.name}.tar`);
    const manifest = await restoreSnapshot({ file, folder: join(folder, 'back'), maxBytes: MAX_BYTES });
    const check = checkCatalogue(join(folder, 'back'), { deep: true, m: OPTIONS.m });
    assert.deepEqual(check.storeProblems, []);
    assert.ok(
      check.collections.every(({ index }) => index === 'good'),
      JSON.stringify(check.collections),
    );
    const back = await open(join(folder, 'back'));
    const [liveRecords, restored] = [await recordsOf(live), await recordsOf(back)];
    test.diagnostic(
      `${begun} events before, ${ended - begun} during; ${restored.size} images up to ${manifest.lastSequence}`,
    );
    assert.ok(ended > begun, 'nothing was written while the snapshot was made');
    assert.equal(restored.size, manifest.images);
    for (const record of restored.values()) {
      const { id } = record;
      assert.ok(record.sequence <= manifest.lastSequence);
      assert.ok((removals.get(id)?.answered ?? clock) >= begun, `${id} had been removed`);
      const now = liveRecords.get(id);
      if (now !== undefined) assert.deepEqual(record, now);
      const [match] = await back.neighbours({
        collection: 'default',
        embedding: (await back.embedding('default', id))!,
        k: 1,
      });
      assert.equal(match?.id, id);
    }
    for (const [id, at] of added)
      if (at < begun && (removals.get(id)?.asked ?? clock) >= ended) assert.ok(restored.has(id), `${id} is missing`);
    for (const [id, record] of liveRecords)
      assert.equal(restored.has(id), record.sequence <= manifest.lastSequence, `${id} at ${record.sequence}`);
    // The numbers go on where they were: none of the restored is given out again.
    const { id } = await back.add('default', newImage('after', draw()));
    assert.equal((await back.get('default', id))?.sequence, manifest.lastSequence + 1);
    await Promise.all([live.close(), back.close()]);
  }));

it('finds after a restore what was found before it: 200 queries, ten nearest', () =>
  withTemporaryFolder(async (folder) => {
    const live = await open(join(folder, 'live'));
    const draw = clusteredVectors({ dimensions: DIMENSIONS, clusters: 20, seed: 6 });
    for (let group = 0; group < 20; group++) {
      await Promise.all(
        Array.from({ length: 100 }, (_, place) => live.add('default', newImage(`${group}-${place}`, draw()))),
      );
    }
    const { name } = await snapshotsOf(join(folder, 'live'), live).create();
    await restoreSnapshot({
      file: join(folder, 'live', 'snapshots', `${name}.tar`),
      folder: join(folder, 'back'),
      maxBytes: MAX_BYTES,
    });
    const back = await open(join(folder, 'back'));
    let shared = 0;
    for (let query = 0; query < 200; query++) {
      const embedding = draw();
      const wanted = await live.neighbours({ collection: 'default', embedding, k: 10 });
      const found = new Set((await back.neighbours({ collection: 'default', embedding, k: 10 })).map(({ id }) => id));
      shared += wanted.filter(({ id }) => found.has(id)).length;
    }
    assert.ok(shared >= 0.99 * 2000, `${shared} of 2000`);
    await Promise.all([live.close(), back.close()]);
  }));

it('makes one at a time, lists and removes them, and cleans up what a kill left', () =>
  withTemporaryFolder(async (folder) => {
    const catalogue = await open(folder);
    await catalogue.add('default', newImage('a', clusteredVectors({ dimensions: DIMENSIONS, clusters: 2, seed: 1 })()));
    const snapshots = snapshotsOf(folder, catalogue);
    assert.deepEqual(await snapshots.list(), []);
    mkdirSync(join(folder, 'snapshots', 'copy.tmp'), { recursive: true });
    writeFileSync(join(folder, 'snapshots', 'copy.tmp', 'catalogue.db'), 'half');
    writeFileSync(join(folder, 'snapshots', '20260101T000000000Z.tar.tmp'), 'half');
    const first = snapshots.create();
    await assert.rejects(snapshots.create(), { code: 'SNAPSHOT_IN_PROGRESS' });
    const { name } = await first;
    assert.deepEqual(readdirSync(join(folder, 'snapshots')), [`${name}.tar`]);
    const path = join(folder, 'snapshots', `${name}.tar`);
    const { bytes, content } = await snapshots.open(name);
    const parts: Buffer[] = [];
    for await (const part of content) parts.push(part as Buffer);
    assert.equal(bytes, Buffer.concat(parts).length);
    assert.ok(Buffer.concat(parts).equals(readFileSync(path)));
    assert.deepEqual(
      (await snapshots.list()).map(({ name, manifest }) => [name, manifest?.images]),
      [[name, 1]],
    );
    writeFileSync(path, readFileSync(path).fill(0, 600, 700));
    assert.deepEqual(
      (await snapshots.list()).map(({ name, manifest }) => [name, manifest]),
      [[name, undefined]],
    );
    for (const other of ['../catalogue', name.replace('Z', 'X'), `${name}.tar`, '']) {
      await assert.rejects(snapshots.open(other), { code: 'NOT_FOUND' });
      await assert.rejects(snapshots.remove(other), { code: 'NOT_FOUND' });
    }
    await snapshots.remove(name);
    assert.deepEqual(await snapshots.list(), []);
    // A catalogue that closes meanwhile ends the copying.
    const late = snapshots.create();
    const closing = catalogue.close();
    await Promise.allSettled([late, closing]);
    await assert.rejects(snapshots.create(), { code: 'SHUTTING_DOWN' });
    assert.deepEqual(
      readdirSync(join(folder, 'snapshots')).filter((file) => file.endsWith('.tmp')),
      [],
    );
  }));

it('refuses every flipped byte, every cut and every tail, and leaves the folder alone', (test) =>
  withTemporaryFolder(async (folder) => {
    const good = await smallSnapshot(folder);
    const seed = Number(process.hrtime.bigint() % 1_000_000n);
    const random = seededRandom(seed);
    const file = join(folder, 'bad.tar');
    const wanted = join(folder, 'wanted');
    const before = readdirSync(folder).concat('bad.tar').sort();
    const isRefused = async (bytes: Buffer, what: string): Promise<void> => {
      writeFileSync(file, bytes);
      const isOurs = (error: unknown): boolean =>
        error instanceof SearchError &&
        ['SNAPSHOT_DAMAGED', 'SNAPSHOT_FORMAT', 'SNAPSHOT_TOO_LARGE'].includes(error.code);
      await assert.rejects(
        restoreSnapshot({ file, folder: wanted, maxBytes: MAX_BYTES }),
        isOurs,
        `seed ${seed}: ${what}`,
      );
      assert.ok(!existsSync(wanted), what);
    };
    // Every 7th byte of what tells the rest apart, and 150 anywhere: headers, contents, padding, end.
    const places = [
      ...Array.from({ length: 400 }, (_, place) => place * 7),
      ...Array.from({ length: 150 }, () => Math.floor(random() * good.length)),
      ...Array.from({ length: 20 }, (_, place) => good.length - 1 - place * 97),
    ];
    for (const place of places) {
      const bytes = Buffer.from(good);
      bytes[place]! ^= 1 << Math.floor(random() * 8);
      await isRefused(bytes, `byte ${place} flipped`);
    }
    for (let cut = 0; cut < 40; cut++) {
      const length = cut < 5 ? cut * 512 : Math.floor(random() * good.length);
      await isRefused(good.subarray(0, length), `cut at ${length}`);
    }
    for (const less of [1, 512, 1024]) await isRefused(good.subarray(0, good.length - less), `${less} bytes less`);
    await isRefused(Buffer.concat([good, Buffer.alloc(512)]), 'a tail');
    test.diagnostic(`seed ${seed}: ${places.length} flips and 44 lengths refused`);
    assert.deepEqual(readdirSync(folder).sort(), before);
  }));

it('restores into an empty folder and into none, and refuses any other', () =>
  withTemporaryFolder(async (folder) => {
    const file = join(folder, 'good.tar');
    await smallSnapshot(folder);
    mkdirSync(join(folder, 'empty'));
    mkdirSync(join(folder, 'filled'));
    writeFileSync(join(folder, 'filled', 'a letter'), 'kept');
    for (const name of ['empty', 'none', join('deep', 'below')]) {
      await restoreSnapshot({ file, folder: join(folder, name), maxBytes: MAX_BYTES });
      assert.ok(checkCatalogue(join(folder, name), { deep: true, m: OPTIONS.m }).ok);
    }
    for (const name of ['filled', 'empty', join('filled', 'a letter')]) {
      await assert.rejects(restoreSnapshot({ file, folder: join(folder, name), maxBytes: MAX_BYTES }), {
        code: 'FOLDER_NOT_EMPTY',
      });
    }
    assert.deepEqual(readdirSync(join(folder, 'filled')), ['a letter']);
    await assert.rejects(restoreSnapshot({ file, folder: join(folder, 'small'), maxBytes: 1000 }), {
      code: 'SNAPSHOT_TOO_LARGE',
    });
    await assert.rejects(
      restoreSnapshot({ file: join(folder, 'nothing.tar'), folder: join(folder, 'x'), maxBytes: 1 }),
      {
        code: 'SNAPSHOT_DAMAGED',
      },
    );
    assert.deepEqual(readdirSync(folder).sort(), ['data', 'deep', 'empty', 'filled', 'good.tar', 'none']);
  }));

/** Makes `data` and `good.tar` in the folder: a catalogue of 20 images and its snapshot, whose bytes are returned. */
async function smallSnapshot(folder: string): Promise<Buffer> {
  const data = join(folder, 'data');
  const draw = clusteredVectors({ dimensions: DIMENSIONS, clusters: 2, seed: 3 });
  const catalogue = await open(data);
  await Promise.all(
    Array.from({ length: 20 }, (_, place) =>
      catalogue.add('default', newImage(`${place}`, draw(), { thumbnail: new Uint8Array(9) })),
    ),
  );
  await catalogue.saveIndexes();
  await catalogue.close();
  await snapshotFolder({ folder: data, out: join(folder, 'good.tar') });
  return readFileSync(join(folder, 'good.tar'));
}
