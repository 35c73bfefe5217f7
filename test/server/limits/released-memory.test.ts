/** Work that has ended leaves no memory behind, also where its signals and timers were collected on the way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import sharp from 'sharp';
import { backgroundScope } from '../../../src/server/limits/request-tracker.js';
import { createComparisonThreads } from '../../../src/server/search/comparison-threads.js';

const ROUNDS = 40;
/** The last ones may still be on a stack. */
const KEPT_MAX = 4;
const FAR_MS = 60_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void; // what the flag adds

/** Objects that are still held after each was used once. */
async function keptOf(use: (round: number) => Promise<object>): Promise<number> {
  const used: WeakRef<object>[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    used.push(new WeakRef(await use(round)));
    if (round % 4 === 0) collect();
  }
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  return used.filter((reference) => reference.deref() !== undefined).length;
}

test('a scope that has ended holds no result of its work', async () => {
  const all = new AbortController();
  const kept = await keptOf(async () => {
    const scope = backgroundScope({ caller: 'a test', signal: all.signal, timeoutMs: FAR_MS });
    const result = await scope.race(Promise.resolve({ picture: new Uint8Array(8) }));
    scope.end();
    return result;
  });
  assert.ok(kept <= KEPT_MAX, `${kept} of ${ROUNDS}`);
});

test('comparisons hold no query that was answered', async (context) => {
  const threads = createComparisonThreads({ threads: 1, onFailure: assert.fail });
  context.after(() => threads.close());
  const picture = sharp({ create: { width: 40, height: 40, channels: 3, background: '#888' } });
  const thumbnail = await picture.webp().toBuffer();
  const kept = await keptOf(async (sequence) => {
    const scope = {
      caller: 'a test',
      deadline: performance.now() + FAR_MS,
      signal: new AbortController().signal,
      race: <T>(work: Promise<T>): Promise<T> => work,
      read: <T>(work: () => Promise<T>): Promise<T> => work(),
      debug: () => {},
    };
    const query = { width: 40, height: 40, grey: new Uint8Array(1600) };
    await threads.align(scope, query, [{ sequence, thumbnail, view: 'original' }]);
    return query;
  });
  assert.ok(kept <= KEPT_MAX, `${kept} of ${ROUNDS}`);
});
