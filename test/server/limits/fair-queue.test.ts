import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { test } from 'node:test';
import { createFairQueue, type FairQueue } from '../../../src/server/limits/fair-queue.js';
import { eventually } from '../application.js';

const never = new AbortController().signal;

/** A queue under a clock that moves only by `pass`. */
function turnstile(options: { readonly limit?: number; readonly window?: number; readonly maxWaitMs?: number } = {}) {
  let now = 0;
  const queue = createFairQueue({
    unit: 'images',
    flags: '--limit',
    limit: 100,
    window: 1,
    maxWaitMs: 1e6,
    now: () => now,
    ...options,
  });
  const pass = (ms: number): void => {
    now += ms;
  };
  return { queue, pass };
}

/** Acquires all slots and releases each at once; returns the callers in the order in which they were served. */
async function orderOf(
  queue: FairQueue,
  wishes: readonly { readonly caller: string; readonly slots?: number }[],
): Promise<string[]> {
  const order: string[] = [];
  const first = await queue.acquire({ caller: 'before', slots: 1, signal: never });
  const all = wishes.map(async ({ caller, slots = 1 }) => {
    const release = await queue.acquire({ caller, slots, signal: never });
    order.push(caller);
    release();
  });
  first();
  await Promise.all(all);
  return order;
}

test('callers take queue, however many images one of them has sent before the others', async () => {
  const { queue } = turnstile();
  const order = await orderOf(
    queue,
    [...'aaaaaabbc'].map((caller) => ({ caller })),
  );
  assert.equal(order.join(''), 'abcabaaaa');
  assert.equal(queue.held, 0);
});

test('whoever takes many slots at once is given fewer queue', async () => {
  const { queue } = turnstile({ window: 4 });
  const order = await orderOf(queue, [
    { caller: 'wide', slots: 4 },
    { caller: 'wide', slots: 4 },
    ...[...'nnnnnn'].map((caller) => ({ caller })),
  ]);
  assert.equal(order.map((caller) => caller[0]).join(''), 'wnnnnwnn');
});

test('one caller fills four fifths; another still finds room, and always some is left', async () => {
  const { queue } = turnstile({ limit: 50 });
  const takeAll = async (caller: string): Promise<number> => {
    for (let taken = 0; ; taken++) {
      const place = queue.acquire({ caller, slots: 1, signal: never });
      const isRefused = await Promise.race([
        place.then(() => false),
        new Promise<boolean>((resolve) => setImmediate(() => resolve(false))),
      ]).catch((error: { code: string; retryAfterSeconds: number }) => {
        assert.equal(error.code, 'OVERLOADED');
        assert.ok(error.retryAfterSeconds >= 1);
        return true;
      });
      if (isRefused) return taken;
    }
  };
  const greedy = await takeAll('greedy');
  assert.equal(greedy, 40);
  assert.throws(() => queue.requireRoom('greedy'), { code: 'OVERLOADED' });
  queue.requireRoom('modest');
  assert.ok((await takeAll('modest')) >= 5);
  queue.requireRoom('third');
  assert.ok(queue.held < 50);
});

test('the room shrinks to what can be served within the wait, as measured, and grows again', async () => {
  const { queue, pass } = turnstile({ limit: 1000, maxWaitMs: 100 });
  setMaxListeners(0, never);
  const roomFor = async (msPerImage: number): Promise<number> => {
    // One after the other, always with another waiting, for three seconds and thirty images at least.
    for (let image = 0; image < Math.max(30, 3000 / msPerImage); image++) {
      const release = await queue.acquire({ caller: 'a', slots: 1, signal: never });
      const waits = new AbortController();
      const next = queue.acquire({ caller: 'a', slots: 1, signal: waits.signal });
      pass(msPerImage);
      release();
      (await next)();
    }
    const held: (() => void)[] = [];
    const gone = new AbortController();
    setMaxListeners(0, gone.signal);
    let room = 0;
    const callers = Array.from({ length: 1000 }, (_, at) => `caller-${at}`);
    for (const caller of callers) {
      try {
        queue.requireRoom(caller);
      } catch {
        break;
      }
      queue.acquire({ caller, slots: 1, signal: gone.signal }).then(
        (release) => held.push(release),
        () => {},
      );
      room++;
    }
    gone.abort(new Error('enough'));
    await eventually(() => held.length === 1);
    for (const release of held) release();
    return room;
  };
  assert.ok(Math.abs((await roomFor(1)) - 100) <= 1);
  assert.ok(Math.abs((await roomFor(1.25)) - 80) <= 1);
  assert.equal(await roomFor(1000), 32, 'never less, whatever the wait');
  assert.ok(Math.abs((await roomFor(1)) - 100) <= 6);
});

test('a caller without slots is not refused because of the long queue of another, also where capacity has shrunk since', async () => {
  const { queue, pass } = turnstile({ limit: 1000, maxWaitMs: 1000 });
  setMaxListeners(0, never);
  const waiting = Array.from({ length: 70 }, () => queue.acquire({ caller: 'greedy', slots: 1, signal: never }));
  for (let image = 0; image < 10; image++) {
    const release = await waiting.shift()!;
    pass(100); // A hundred times slower than was guessed: room for ten in a second, for 32 in any case.
    release();
  }
  assert.equal(queue.held, 60);
  assert.throws(() => queue.requireRoom('greedy'), { code: 'OVERLOADED', message: /60 of them of this caller/ });
  const modest = queue.acquire({ caller: 'modest', slots: 1, signal: never });
  await assert.rejects(queue.acquire({ caller: 'wide', slots: 20, signal: never }), { code: 'OVERLOADED' });
  (await waiting.shift()!)();
  // Before the 58 that wait: whose turn it is is held until it is given back, so any other would wait for ever.
  (await modest)();
  for (const turn of waiting) (await turn)();
  assert.equal(queue.held, 0);
});

test('an image whose request has ended is never started and holds no slot', async () => {
  const { queue } = turnstile();
  const release = await queue.acquire({ caller: 'a', slots: 1, signal: never });
  const request = new AbortController();
  const late = queue.acquire({ caller: 'a', slots: 3, signal: request.signal });
  const next = queue.acquire({ caller: 'a', slots: 1, signal: never });
  assert.equal(queue.held, 5);
  request.abort(new Error('deadline'));
  await assert.rejects(late, /deadline/);
  assert.equal(queue.held, 2);
  await assert.rejects(queue.acquire({ caller: 'a', slots: 1, signal: request.signal }), /deadline/);
  release();
  assert.throws(release, /bug/);
  (await next)();
  assert.equal(queue.held, 0);
});
