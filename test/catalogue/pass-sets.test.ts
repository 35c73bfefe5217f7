import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ImageRecord, Neighbour, Page } from '../../src/catalogue/catalogue.js';
import type { CatalogueEngine } from '../../src/catalogue/catalogue-engine.js';
import type { Filter } from '../../src/catalogue/filter.js';
import { PassSets } from '../../src/catalogue/pass-sets.js';
import { imageId, newImage } from './example-images.js';
import { clusteredVectors, seededRandom } from './synthetic-vectors.js';
import { withTemporaryFolder } from './temporary-folder.js';
import { ENGINE_DIMENSIONS, openTestEngine } from './test-engine.js';

/** Ids that a filtered search finds (through remembered pass sets), and those that a filtered list does (through SQL each time). */
function foundAndListed(engine: CatalogueEngine, filter: Filter, embedding: Float32Array): [string[], string[]] {
  const neighbours = engine.read({ method: 'neighbours', args: [{ collection: 'default', embedding, k: 1000, filter }] }) as Neighbour[]; // its answer
  const page = engine.read({ method: 'list', args: ['default', { limit: 1000, filter }] }) as Page<ImageRecord>; // its answer
  return [neighbours.map(({ id }) => id).sort(), page.items.map(({ id }) => id).sort()];
}

it('keeps remembered pass sets as SQL would find them, through random adds, replacements, patches and removals', () =>
  withTemporaryFolder((folder) => {
    const seed = 31;
    const random = seededRandom(seed);
    const draw = clusteredVectors({ dimensions: ENGINE_DIMENSIONS, clusters: 4, seed });
    const { engine } = openTestEngine(folder);
    const filters: Filter[] = [
      { field: 'colour', equals: 'red' },
      { not: { field: 'colour', equals: 'red' } },
      { field: 'size', range: { gte: 3, lt: 7 } },
      { field: 'gone', exists: false },
    ];
    const metadata = (): { [key: string]: unknown } => ({
      colour: random() < 0.5 ? 'red' : ['blue', 'red'].slice(0, 1 + Math.floor(random() * 2)),
      size: Math.floor(random() * 10),
      ...(random() < 0.3 ? { gone: undefined } : { gone: Number.NaN }), // JSON keeps neither as it is
    });
    const id = (): ReturnType<typeof imageId> => imageId(`${Math.floor(random() * 80)}`);
    for (let step = 0; step < 400; step++) {
      const kind = random();
      if (kind < 0.6) {
        const image = newImage(`${step}`, draw(), { id: id(), metadata: metadata(), replace: true, thumbnail: new Uint8Array(8) });
        engine.write([{ method: 'add', args: ['default', image] }]);
      } else if (kind < 0.8)
        engine.write([{ method: 'patchMetadata', args: ['default', id(), random() < 0.3 ? { colour: null } : metadata()] }]);
      else engine.write([{ method: 'remove', args: ['default', id()] }]);
      const [found, listed] = foundAndListed(engine, filters[step % filters.length]!, draw());
      assert.deepEqual(found, listed, `seed ${seed}, step ${step}`);
    }
    return engine.close();
  }));

it('asks once for a filter, again after it was pushed out, and for each collection apart', () => {
  const sets = new PassSets();
  let asked = 0;
  const find = (): number[] => {
    asked++;
    return [1, 5];
  };
  const filter = (value: number): Filter => ({ field: 'a', equals: value });
  sets.passing(1, filter(0), find);
  assert.deepEqual(sets.passing(1, filter(0), find), [1, 5]);
  assert.equal(asked, 1);
  sets.passing(2, filter(0), find);
  assert.equal(asked, 2);
  sets.put(1, 3, '{"a":0}');
  sets.put(1, 4, '{"a":1}');
  sets.remove(1, 5);
  assert.deepEqual(sets.passing(1, filter(0), find), [1, 3]);
  assert.deepEqual(sets.passing(2, filter(0), find), [1, 5]);
  for (let value = 1; value <= 32; value++) sets.passing(3, filter(value), find);
  asked = 0;
  sets.passing(1, filter(0), find);
  assert.equal(asked, 1);
});
