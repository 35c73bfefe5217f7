import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { test } from 'node:test';
import { createFairTurns, type FairTurns } from '../../src/server/fair-turns.js';
import { eventually } from './application.js';

const never = new AbortController().signal;

/** Turns under a clock that stands still until told. */
function turnstile(options: { readonly limit?: number; readonly window?: number; readonly maxWaitMs?: number } = {}) {
  let now = 0;
  const turns = createFairTurns({ limit: 100, window: 1, maxWaitMs: 1e6, now: () => now, ...options });
  const pass = (ms: number): void => {
    now += ms;
  };
  return { turns, pass };
}

/** Everyone's places, given back as soon as they are had; returns whose turn came in which order. */
async function orderOf(turns: FairTurns, wishes: readonly { readonly caller: string; readonly places?: number }[]): Promise<string[]> {
  const order: string[] = [];
  const first = await turns.take({ caller: 'before', places: 1, signal: never });
  const all = wishes.map(async ({ caller, places = 1 }) => {
    const giveBack = await turns.take({ caller, places, signal: never });
    order.push(caller);
    giveBack();
  });
  first();
  await Promise.all(all);
  return order;
}

test('callers take turns, however many images one of them has sent before the others', async () => {
  const { turns } = turnstile();
  const order = await orderOf(
    turns,
    [...'aaaaaabbc'].map((caller) => ({ caller })),
  );
  assert.equal(order.join(''), 'abcabaaaa');
  assert.equal(turns.held, 0);
});

test('whoever takes many places at once is given fewer turns', async () => {
  const { turns } = turnstile({ window: 4 });
  const order = await orderOf(turns, [
    { caller: 'wide', places: 4 },
    { caller: 'wide', places: 4 },
    ...[...'nnnnnn'].map((caller) => ({ caller })),
  ]);
  assert.equal(order.map((caller) => caller[0]).join(''), 'wnnnnwnn');
});

test('one caller fills four fifths; another still finds room, and always some is left', async () => {
  const { turns } = turnstile({ limit: 50 });
  const takeAll = async (caller: string): Promise<number> => {
    for (let taken = 0; ; taken++) {
      const place = turns.take({ caller, places: 1, signal: never });
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
  assert.throws(() => turns.refuseWhenFull('greedy'), { code: 'OVERLOADED' });
  turns.refuseWhenFull('modest');
  assert.ok((await takeAll('modest')) >= 5);
  turns.refuseWhenFull('third');
  assert.ok(turns.held < 50);
});

test('the room shrinks to what can be served within the wait, as measured, and grows again', async () => {
  const { turns, pass } = turnstile({ limit: 1000, maxWaitMs: 100 });
  setMaxListeners(0, never);
  const roomFor = async (msPerImage: number): Promise<number> => {
    // One after the other, always with another waiting, for three seconds and thirty images at least.
    for (let image = 0; image < Math.max(30, 3000 / msPerImage); image++) {
      const giveBack = await turns.take({ caller: 'a', places: 1, signal: never });
      const waits = new AbortController();
      const next = turns.take({ caller: 'a', places: 1, signal: waits.signal });
      pass(msPerImage);
      giveBack();
      (await next)();
    }
    const held: (() => void)[] = [];
    const gone = new AbortController();
    setMaxListeners(0, gone.signal);
    let room = 0;
    const callers = Array.from({ length: 1000 }, (_, at) => `caller-${at}`);
    for (const caller of callers) {
      try {
        turns.refuseWhenFull(caller);
      } catch {
        break;
      }
      turns.take({ caller, places: 1, signal: gone.signal }).then(
        (giveBack) => held.push(giveBack),
        () => {},
      );
      room++;
    }
    gone.abort(new Error('enough'));
    await eventually(() => held.length === 1);
    for (const giveBack of held) giveBack();
    return room;
  };
  assert.ok(Math.abs((await roomFor(1)) - 100) <= 1);
  assert.ok(Math.abs((await roomFor(1.25)) - 80) <= 1);
  assert.equal(await roomFor(1000), 32, 'never less, whatever the wait');
  assert.ok(Math.abs((await roomFor(1)) - 100) <= 6);
});

test('who holds nothing is not refused for what another has piled up, also where the room has shrunk since', async () => {
  const { turns, pass } = turnstile({ limit: 1000, maxWaitMs: 1000 });
  setMaxListeners(0, never);
  const waiting = Array.from({ length: 70 }, () => turns.take({ caller: 'greedy', places: 1, signal: never }));
  for (let image = 0; image < 10; image++) {
    const giveBack = await waiting.shift()!;
    pass(100); // A hundred times slower than was guessed: room for ten in a second, for 32 in any case.
    giveBack();
  }
  assert.equal(turns.held, 60);
  assert.throws(() => turns.refuseWhenFull('greedy'), { code: 'OVERLOADED', message: /60 of them this caller's/ });
  const modest = turns.take({ caller: 'modest', places: 1, signal: never });
  await assert.rejects(turns.take({ caller: 'wide', places: 20, signal: never }), { code: 'OVERLOADED' });
  (await waiting.shift()!)();
  (await modest)(); // Before the 58 that wait: whose turn it is is held until it is given back, so any other would wait for ever.
  for (const turn of waiting) (await turn)();
  assert.equal(turns.held, 0);
});

test('a place whose request has ended is never begun and leaves no trace', async () => {
  const { turns } = turnstile();
  const giveBack = await turns.take({ caller: 'a', places: 1, signal: never });
  const request = new AbortController();
  const late = turns.take({ caller: 'a', places: 3, signal: request.signal });
  const next = turns.take({ caller: 'a', places: 1, signal: never });
  assert.equal(turns.held, 5);
  request.abort(new Error('deadline'));
  await assert.rejects(late, /deadline/);
  assert.equal(turns.held, 2);
  await assert.rejects(turns.take({ caller: 'a', places: 1, signal: request.signal }), /deadline/);
  giveBack();
  assert.throws(giveBack, /bug/);
  (await next)();
  assert.equal(turns.held, 0);
});
