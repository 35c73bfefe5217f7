import assert from 'node:assert/strict';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Catalogue, ImageId } from '../../../src/catalogue/catalogue.js';
import { openCatalogue } from '../../../src/catalogue/open-catalogue.js';
import { checkCatalogue } from '../../../src/catalogue/snapshots/check.js';
import { newImage } from '../example-images.js';
import { clusteredVectors } from '../vectors/synthetic-vectors.js';

const DIMENSIONS = 32;
const RESERVE_BYTES = 4 * 1024 * 1024;

const draw = clusteredVectors({ dimensions: DIMENSIONS, clusters: 10, seed: 21 });
const stored = new Map<ImageId, Float32Array>();
let made = 0;

const open = (folder: string): Promise<Catalogue> =>
  openCatalogue({ folder, encoderId: 'full', dimensions: DIMENSIONS, reserveBytes: RESERVE_BYTES });

/** Adds until the disk is full; every add says either that it is stored or DISK_FULL. Returns how many were stored. */
async function fillUp(catalogue: Catalogue): Promise<number> {
  const before = stored.size;
  for (let isFull = false; !isFull; ) {
    const group = Array.from({ length: 16 }, async () => {
      const embedding = draw();
      const { id } = await catalogue.add(
        'default',
        newImage(`${made++}`, embedding, { original: new Uint8Array(20_000) }),
      );
      stored.set(id, embedding);
    });
    for (const result of await Promise.allSettled(group)) {
      if (result.status === 'fulfilled') continue;
      assert.equal(result.reason.code, 'DISK_FULL', String(result.reason));
      isFull = true;
    }
  }
  return stored.size - before;
}

async function assertSearchable(catalogue: Catalogue): Promise<void> {
  const { collections } = await catalogue.statistics();
  assert.equal(collections[0]?.images, stored.size);
  for (const [id, embedding] of [...stored].filter((_, place) => place % 7 === 0)) {
    const [match] = await catalogue.neighbours({ collection: 'default', embedding, k: 1 });
    assert.equal(match?.id, id);
  }
}

async function removeSome(catalogue: Catalogue, count: number): Promise<void> {
  for (const id of [...stored.keys()].slice(0, count)) {
    assert.equal(await catalogue.remove('default', id), true);
    stored.delete(id);
  }
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Writes a file of so many bytes, or of what the disk still takes. */
function occupy(path: string, bytes: number): void {
  try {
    writeFileSync(path, Buffer.alloc(bytes, 1));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  }
}

/**
 * Fills the small disk that `folder` lies on, again and again. Each time: searches and removals work, and adding heals
 * by itself.
 */
async function main(folder: string): Promise<void> {
  const data = join(folder, 'data');
  const ballast = join(folder, 'ballast');
  let catalogue = await open(data);
  for (let round = 0; round < 5; round++) {
    // Something else takes the space: 8 MiB now, given back below.
    occupy(ballast, 8 * 1024 * 1024);
    await fillUp(catalogue);
    await assertSearchable(catalogue);
    for (let part = 0; part < 10; part++) occupy(join(folder, `rest-${part}`), freeBytes(folder)); // not a byte is left
    await removeSome(catalogue, 5);
    await assertSearchable(catalogue);
    if (round === 2) {
      // A restart on a full disk: it opens, answers and removes.
      await catalogue.close();
      catalogue = await open(data);
      await assertSearchable(catalogue);
      await removeSome(catalogue, 2);
    }
    rmSync(ballast);
    for (let part = 0; part < 10; part++) rmSync(join(folder, `rest-${part}`), { force: true });
    assert.ok((await fillUp(catalogue)) > 20, `round ${round}: adding did not heal`);
    // Removing makes room by itself, with nothing freed from outside.
    await removeSome(catalogue, Math.floor(stored.size / 2));
    assert.ok((await fillUp(catalogue)) > 10, `round ${round}: removing made no room`);
    await removeSome(catalogue, Math.floor(stored.size / 2));
    process.stdout.write(`round ${round}: ${stored.size} stored\n`);
  }
  await catalogue.close();
  const { storeProblems } = checkCatalogue(data, { deep: true });
  assert.deepEqual(storeProblems, []);
}

const [, , folder] = process.argv;
if (folder !== undefined) await main(folder);
