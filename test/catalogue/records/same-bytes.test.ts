import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCatalogue } from '../../../src/catalogue/open-catalogue.js';
import { newImage } from '../example-images.js';
import { withTemporaryFolder } from '../temporary-folder.js';
import { clusteredVectors } from '../vectors/synthetic-vectors.js';

const DIMENSIONS = 32;
const IMAGES = 3000;
/** Fewer than may wait to be written. */
const AT_ONCE = 500;

test('every stored image is found by its own bytes, also where its graph is searched too narrowly', () =>
  withTemporaryFolder(async (folder) => {
    const catalogue = await openCatalogue({ folder, encoderId: 'noise', dimensions: DIMENSIONS, reserveBytes: 65_536 });
    try {
      // As many clusters as vectors, so hardly any: hard for a graph.
      const draw = clusteredVectors({ dimensions: DIMENSIONS, clusters: IMAGES, seed: 11 });
      const images = Array.from({ length: IMAGES }, (_, each) => newImage(`noise ${each}`, draw()));
      for (let from = 0; from < IMAGES; from += AT_ONCE)
        await Promise.all(images.slice(from, from + AT_ONCE).map((image) => catalogue.add('noise', image)));
      let missed = 0;
      for (const { embedding, sha256, metadata } of images) {
        const ask = { collection: 'noise', embedding, k: 1, ef: 1 };
        const [found] = await catalogue.neighbours({ ...ask, sha256 });
        assert.deepEqual(found?.metadata, metadata);
        const [byGraph] = await catalogue.neighbours(ask);
        if (byGraph?.metadata.content !== metadata?.content) missed++;
      }
      assert.ok(missed > 0, 'the graph misses none, so that this shows nothing');
    } finally {
      await catalogue.close();
    }
  }));
