import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { CatalogueStatistics } from '../../src/catalogue/catalogue.js';
import type { ReadRequest, RequestOutcome } from '../../src/catalogue/catalogue-requests.js';
import { RequestScheduler } from '../../src/catalogue/request-scheduler.js';
import { checkedImage, imageId } from './example-images.js';
import { withTemporaryFolder } from './temporary-folder.js';
import { ENGINE_DIMENSIONS, openTestEngine, readNow } from './test-engine.js';
import { clusteredVectors } from './vectors/synthetic-vectors.js';

const drawing = (): (() => Float32Array) => clusteredVectors({ dimensions: ENGINE_DIMENSIONS, clusters: 8, seed: 12 });

it('lets no search wait for more than one group of the adds before it', () =>
  withTemporaryFolder(async (folder) => {
    const draw = drawing();
    const groups: number[] = [];
    const { engine } = openTestEngine(folder, { onCommit: ({ images }) => groups.push(images) });
    const turns = new RequestScheduler(engine);
    let added = 0;
    const waits: number[] = [];
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const search = (): void => {
      const before = added;
      const query = { collection: 'default', embedding: draw(), k: 10 };
      turns.push({ method: 'neighbours', args: [query] }, (outcome) => {
        assert.ok('value' in outcome);
        waits.push(added - before);
        if (added < 1000) search();
        else finish();
      });
    };
    for (let place = 0; place < 1000; place++) {
      turns.push({ method: 'add', args: ['default', checkedImage(`${place}`, draw())] }, (outcome) => {
        assert.ok('value' in outcome);
        added++;
      });
    }
    search();
    await finished;
    await turns.close();
    await engine.close();
    assert.equal(added, 1000);
    assert.equal(waits[0], 0);
    assert.ok(waits.length >= 1000 / 64 && Math.max(...waits) <= 64, `${waits}`);
    assert.ok(groups.length >= 16 && groups.length <= 20, `${groups}`);
  }));

it('goes on with adds when all that was to be indexed has been removed again', () =>
  withTemporaryFolder(async (folder) => {
    const draw = drawing();
    const { engine } = openTestEngine(folder);
    const turns = new RequestScheduler(engine);
    const outcomes: RequestOutcome[] = [];
    const answer = (outcome: RequestOutcome): number => outcomes.push(outcome);
    for (let round = 0; round < 200; round++) {
      turns.push({ method: 'add', args: ['default', checkedImage(`${round}`, draw(), { id: imageId('x') })] }, answer);
      turns.push({ method: 'remove', args: ['default', imageId('x')] }, answer);
    }
    await turns.close();
    assert.equal(outcomes.length, 400);
    assert.ok(outcomes.every((outcome) => 'value' in outcome && outcome.value !== false));
    await engine.close();
  }));

it('saves by itself after so many changes, and adds go on meanwhile', () =>
  withTemporaryFolder(async (folder) => {
    const draw = drawing();
    const { engine } = openTestEngine(folder, { saveEveryChanges: 100 });
    const turns = new RequestScheduler(engine);
    let addedWhileSaving = 0;
    for (let place = 0; place < 1000; place++) {
      turns.push({ method: 'add', args: ['default', checkedImage(`${place}`, draw())] }, () => {
        if (engine.isSaving) addedWhileSaving++;
      });
    }
    await turns.close();
    assert.ok(addedWhileSaving > 0);
    await engine.close();
    const { engine: next, warnings } = openTestEngine(folder);
    assert.deepEqual(warnings, []);
    const { collections } = readNow<CatalogueStatistics>(next, { method: 'statistics', args: [] });
    assert.ok(
      collections[0] !== undefined && collections[0].indexed >= 100,
      `${collections[0]?.indexed} in the index file`,
    );
    await next.close();
  }));

it('serves other reads while the filter of one is evaluated', () =>
  withTemporaryFolder(async (folder) => {
    const draw = drawing();
    const { engine } = openTestEngine(folder);
    const metadata = { tags: Array.from({ length: 20 }, (_, tag) => `tag ${tag}`) };
    engine.write(
      Array.from({ length: 2000 }, (_, place) => {
        const image = checkedImage(`${place}`, draw(), { metadata, thumbnail: new Uint8Array(1) });
        return { method: 'add', args: ['default', image] };
      }),
    );
    const or = Array.from({ length: 63 }, (_, place) => ({ field: 'tags', equals: `none ${place}` }));
    const requests: ReadRequest[] = [
      { method: 'list', args: ['default', { limit: 10, filter: { or } }] },
      { method: 'neighbours', args: [{ collection: 'default', embedding: draw(), k: 5, filter: { or } }] },
    ];
    for (const request of requests) {
      const steps = engine.read(request);
      let slices = 1;
      while (steps.next().done !== true) slices++;
      assert.ok(slices >= 2000 / 512, `${request.method} took ${slices} slices`);
    }
    await engine.close();
  }));
