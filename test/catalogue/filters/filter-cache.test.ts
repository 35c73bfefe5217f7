import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ImageRecord, Neighbour, Page } from '../../../src/catalogue/catalogue.js';
import type { CatalogueEngine } from '../../../src/catalogue/catalogue-engine.js';
import type { Filter } from '../../../src/catalogue/filters/filter.js';
import { FilterCache, type MetadataBatch } from '../../../src/catalogue/filters/filter-cache.js';
import { compileFilter } from '../../../src/catalogue/filters/filter-match.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { checkedImage, imageId } from '../example-images.js';
import { withTemporaryFolder } from '../temporary-folder.js';
import { ENGINE_DIMENSIONS, openTestEngine, readNow } from '../test-engine.js';
import { clusteredVectors } from '../vectors/synthetic-vectors.js';

/** Ids that a filtered search finds (through the cache), and those of all images that pass. */
function foundAndListed(engine: CatalogueEngine, filter: Filter, embedding: Float32Array): [string[], string[]] {
  const neighbours = readNow<Neighbour[]>(engine, {
    method: 'neighbours',
    args: [{ collection: 'default', embedding, k: 1000, filter }],
  });
  const all = readNow<Page<ImageRecord>>(engine, { method: 'list', args: ['default', { limit: 1000 }] });
  const matches = compileFilter(filter);
  const passing = all.items.filter(({ metadata }) => matches(metadata));
  return [neighbours.map(({ id }) => id).sort(), passing.map(({ id }) => id).sort()];
}

it('keeps cached filters right through random adds, replacements, patches and removals', () =>
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
      ...(random() < 0.3 ? { gone: undefined } : { gone: null }), // JSON leaves out the former
    });
    const id = (): ReturnType<typeof imageId> => imageId(`${Math.floor(random() * 80)}`);
    for (let step = 0; step < 400; step++) {
      const kind = random();
      if (kind < 0.6) {
        const image = checkedImage(`${step}`, draw(), {
          id: id(),
          metadata: metadata(),
          replace: true,
          thumbnail: new Uint8Array(8),
        });
        engine.write([{ method: 'add', args: ['default', image] }]);
      } else if (kind < 0.8)
        engine.write([
          { method: 'patchMetadata', args: ['default', id(), random() < 0.3 ? { colour: null } : metadata()] },
        ]);
      else engine.write([{ method: 'remove', args: ['default', id()] }]);
      const [found, listed] = foundAndListed(engine, filters[step % filters.length]!, draw());
      assert.deepEqual(found, listed, `seed ${seed}, step ${step}`);
    }
    return engine.close();
  }));

it('scans once for a filter, again after it was evicted, and for each collection apart', () => {
  const cache = new FilterCache();
  let scans = 0;
  function* scan(): Generator<MetadataBatch, void> {
    scans++;
    yield { sequences: [1, 5], metadata: [{ a: 0 }, { a: 0 }] };
  }
  const filter = (value: number): Filter => ({ field: 'a', in: [0, value] });
  const passing = (collection: number, value: number): readonly number[] => {
    const steps = cache.passing(collection, filter(value), scan);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
  };
  assert.deepEqual(passing(1, 0), [1, 5]);
  assert.deepEqual(passing(1, 0), [1, 5]);
  assert.equal(scans, 1);
  passing(2, 0);
  assert.equal(scans, 2);
  cache.put(1, 3, '{"a":0}');
  cache.put(1, 4, '{"a":1}');
  cache.remove(1, 5);
  assert.deepEqual(passing(1, 0), [1, 3]);
  assert.deepEqual(passing(2, 0), [1, 5]);
  for (let value = 1; value <= 32; value++) passing(3, value);
  scans = 0;
  passing(1, 0);
  assert.equal(scans, 1);
});

it('follows changes while a scan is under way, also of records that it has passed, and shares the scan', () => {
  const cache = new FilterCache();
  const filter: Filter = { field: 'a', equals: 0 };
  let scans = 0;
  function* scan(): Generator<MetadataBatch, void> {
    scans++;
    for (const sequence of [1, 2, 3]) yield { sequences: [sequence], metadata: [{ a: sequence === 2 ? 1 : 0 }] };
  }
  const first = cache.passing(1, filter, scan);
  const second = cache.passing(1, filter, scan);
  first.next();
  second.next();
  cache.put(1, 2, '{"a":0}');
  cache.remove(1, 1);
  cache.put(1, 3, '{"a":1}'); // not scanned yet: the scan reads it as it is then
  assert.equal(cache.known(1, filter), undefined);
  first.next();
  second.next();
  const result = first.next();
  assert.deepEqual(result, { done: true, value: [2, 3] });
  assert.deepEqual(second.next(), result);
  assert.equal(scans, 1);
  assert.deepEqual(cache.known(1, filter), [2, 3]);
});
