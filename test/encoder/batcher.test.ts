import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Batcher, type BatcherOptions, type Clock, type RunBatch } from '../../src/encoder/batcher.js';
import { SearchError } from '../../src/errors.js';
import { seededRandom } from '../../src/seeded-random.js';

/** Time that moves only when told to; timers fire in order, and everything they set off has run before the next. */
class FakeClock implements Clock {
  private time = 0;
  private timers: { at: number; act: () => void }[] = [];

  now(): number {
    return this.time;
  }

  after(ms: number, act: () => void): () => void {
    const timer = { at: this.time + ms, act };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  get pending(): number {
    return this.timers.length;
  }

  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settled();
    for (;;) {
      const next = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.time = Math.max(this.time, next.at);
      this.timers = this.timers.filter((other) => other !== next);
      next.act();
      await settled();
    }
    this.time = end;
  }
}

/** Until every promise that can settle has. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A three-line encoder: takes `runMs` of the fake time for a batch, doubles its items, and notes the batches. */
function doubling(clock: FakeClock, runMs: number) {
  const batches: number[][] = [];
  const run: RunBatch<number, number> = async (items) => {
    batches.push([...items]);
    await new Promise<void>((resolve) => clock.after(runMs, resolve));
    return items.map((item) => item * 2);
  };
  return { batches, run };
}

function batcherOf(
  clock: FakeClock,
  run: RunBatch<number, number>,
  options: Partial<BatcherOptions<number, number>> = {},
) {
  return new Batcher({ run, clock, batchSizeMax: 4, waitMs: 2, queueSizeMax: 100, ...options });
}

const codeOf = (error: unknown) => (error instanceof SearchError ? error.code : String(error));
const outcome = (promise: Promise<{ value: number }>) => promise.then(({ value }) => value, codeOf);

test('an item that meets an idle runner does not wait', async () => {
  const clock = new FakeClock();
  const { run, batches } = doubling(clock, 10);
  const answer = batcherOf(clock, run).add(21);
  await settled();
  assert.deepEqual(batches, [[21]]);
  await clock.advance(10);
  assert.deepEqual(await answer, { value: 42, queueMs: 0, runMs: 10 });
});

test('items of one turn share a batch, and items gather while a batch runs', async () => {
  const clock = new FakeClock();
  const { run, batches } = doubling(clock, 10);
  const batcher = batcherOf(clock, run);
  const answers = [1, 2].map((item) => batcher.add(item));
  await clock.advance(5);
  answers.push(...[3, 4, 5, 6, 7].map((item) => batcher.add(item)));
  assert.deepEqual(batcher.statistics, { queued: 5, active: 2 });
  await clock.advance(30);
  assert.deepEqual(batches, [[1, 2], [3, 4, 5, 6], [7]]);
  assert.deepEqual(
    (await Promise.all(answers)).map(({ value }) => value),
    [2, 4, 6, 8, 10, 12, 14],
  );
  assert.equal((await answers[2]!).queueMs, 5);
});

test('just after a batch the next one gathers until it is full or its oldest item has waited its time', async () => {
  const clock = new FakeClock();
  const { run, batches } = doubling(clock, 10);
  const batcher = batcherOf(clock, run);
  const add = (item: number) => void batcher.add(item);
  add(1);
  await clock.advance(9);
  add(2); // waits since 9: at 10 the runner is free, at 11 its time is up
  await clock.advance(1.5);
  assert.equal(batches.length, 1);
  add(3);
  await clock.advance(0.5);
  assert.deepEqual(batches[1], [2, 3]);
  await clock.advance(9.5);
  add(4);
  await clock.advance(0.6);
  for (const item of [5, 6, 7]) add(item);
  await settled();
  assert.deepEqual(batches[2], [4, 5, 6, 7], 'a full batch goes before the wait is over');
});

test('an item beyond the queue limit is a bug of the admission before it', async () => {
  const clock = new FakeClock();
  const { run } = doubling(clock, 4000);
  const batcher = batcherOf(clock, run, { queueSizeMax: 3, batchSizeMax: 1 });
  const accepted = [batcher.add(0)];
  await settled();
  accepted.push(...[1, 2, 3].map((item) => batcher.add(item)));
  await assert.rejects(batcher.add(4), /This is a bug/);
  await clock.advance(20_000);
  assert.deepEqual(
    (await Promise.all(accepted)).map(({ value }) => value),
    [0, 2, 4, 6],
  );
});

test('a cancelled request leaves its batch, an expired one too, and both are told at once', async () => {
  const clock = new FakeClock();
  const { run, batches } = doubling(clock, 10);
  const batcher = batcherOf(clock, run);
  const first = batcher.add(1);
  await settled();
  const abort = new AbortController();
  const cancelled = outcome(batcher.add(2, { signal: abort.signal }));
  const expired = outcome(batcher.add(3, { deadline: 6 }));
  const kept = batcher.add(4, {
    deadline: 60,
    signal: abort.signal.aborted ? abort.signal : new AbortController().signal,
  });
  abort.abort(new Error('gone'));
  assert.equal(await cancelled, 'Error: gone');
  await clock.advance(6);
  assert.equal(await expired, 'DEADLINE_EXCEEDED');
  assert.equal(batcher.statistics.queued, 1);
  await clock.advance(30);
  assert.deepEqual(batches, [[1], [4]]);
  assert.equal((await kept).value, 8);
  assert.equal((await first).value, 2);
  assert.equal(clock.pending, 0, 'no timer of a settled item is left');
});

test('a caller whose batch hangs is answered at its deadline', async () => {
  const clock = new FakeClock();
  const batcher = batcherOf(clock, () => new Promise(() => undefined));
  const running = outcome(batcher.add(1, { deadline: 50 }));
  await settled();
  const waiting = outcome(batcher.add(2, { deadline: 60 }));
  await clock.advance(60);
  assert.deepEqual(await Promise.all([running, waiting]), ['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED']);
});

test('an item already cancelled or expired is not accepted', async () => {
  const clock = new FakeClock();
  const { run, batches } = doubling(clock, 1);
  const batcher = batcherOf(clock, run);
  await assert.rejects(batcher.add(1, { signal: AbortSignal.abort(new Error('gone')) }), /gone/);
  assert.equal(await outcome(batcher.add(2, { deadline: 0 })), 'DEADLINE_EXCEEDED');
  await clock.advance(10);
  assert.deepEqual(batches, []);
});

test('one poisoned item fails alone: the batch that threw is run again item by item', async () => {
  const clock = new FakeClock();
  const run: RunBatch<number, number> = async (items) => {
    if (items.includes(13)) throw new Error('poison');
    return items.map((item) => item * 2);
  };
  const batcher = batcherOf(clock, run, { batchSizeMax: 32 });
  const outcomes = await Promise.all(Array.from({ length: 32 }, (_, item) => outcome(batcher.add(item))));
  assert.deepEqual(
    outcomes,
    Array.from({ length: 32 }, (_, item) => (item === 13 ? 'Error: poison' : item * 2)),
  );
});

test("an Error in place of an answer is that item's own", async () => {
  const run: RunBatch<number, number> = async (items) => items.map((item) => (item === 2 ? new Error('two') : item));
  const batcher = batcherOf(new FakeClock(), run);
  assert.deepEqual(await Promise.all([1, 2, 3].map((item) => outcome(batcher.add(item)))), [1, 'Error: two', 3]);
});

test('a runner that answers the wrong number of results is named as a bug', async () => {
  const batcher = batcherOf(new FakeClock(), async () => [1]);
  const outcomes = await Promise.all([1, 2].map((item) => outcome(batcher.add(item))));
  for (const each of outcomes) assert.match(String(each), /gave 1 results for 2 items. This is a bug./);
});

test('close answers what was accepted, refuses what comes later, and does not wait for stragglers', async () => {
  const clock = new FakeClock();
  const { run, batches } = doubling(clock, 10);
  const batcher = batcherOf(clock, run, { batchSizeMax: 2 });
  const accepted = [1, 2, 3].map((item) => outcome(batcher.add(item)));
  await settled();
  let closed = false;
  void batcher.close().then(() => {
    closed = true;
  });
  assert.equal(await outcome(batcher.add(4)), 'SHUTTING_DOWN');
  await clock.advance(19);
  assert.equal(closed, false);
  await clock.advance(1);
  assert.equal(closed, true);
  assert.deepEqual(await Promise.all(accepted), [2, 4, 6]);
  assert.deepEqual(batches, [[1, 2], [3]]);
  await batcher.close();
});

test('whatever comes when, every item is answered once, in order, within its time, and only by its own fault not', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seededRandom(seed);
    const clock = new FakeClock();
    const options = {
      batchSizeMax: 1 + Math.floor(random() * 6),
      waitMs: random() * 5,
      queueSizeMax: 1 + Math.floor(random() * 12),
    };
    const gone = new Set<number>();
    const deadlines = new Map<number, number>();
    const tried = new Map<number, number>();
    let highest = -1;
    let runs = 0;
    const run: RunBatch<number, number> = async (items) => {
      assert.equal(runs++, 0, `seed ${seed}: one batch at a time`);
      assert.ok(items.length >= 1 && items.length <= options.batchSizeMax, `seed ${seed}: batch of ${items.length}`);
      for (const item of items) {
        assert.ok(!gone.has(item), `seed ${seed}: ${item} had gone`);
        assert.ok((deadlines.get(item) ?? Infinity) > clock.now(), `seed ${seed}: ${item} had expired`);
        tried.set(item, (tried.get(item) ?? 0) + 1);
        if (tried.get(item) === 1) {
          assert.ok(item > highest, `seed ${seed}: ${item} after ${highest}`);
          highest = item;
        }
      }
      await new Promise<void>((resolve) => clock.after(random() * 8, resolve));
      runs--;
      if (items.some((item) => item % 11 === 10)) throw new Error('poison');
      return items.map((item) => (item % 7 === 6 ? new Error('own') : item * 2));
    };
    const batcher = new Batcher({ ...options, clock, run });
    const outcomes: Promise<unknown>[] = [];
    const settledAt: number[] = [];
    for (let item = 0; item < 80; item++) {
      const abort = new AbortController();
      const deadline = random() < 0.3 ? clock.now() + random() * 20 : undefined;
      if (deadline !== undefined) deadlines.set(item, deadline);
      const added = batcher.add(item, { signal: abort.signal, ...(deadline !== undefined && { deadline }) });
      outcomes.push(
        outcome(added).finally(() => {
          settledAt[item] = clock.now();
        }),
      );
      assert.ok(batcher.statistics.queued <= options.queueSizeMax, `seed ${seed}: queue`);
      if (random() < 0.15)
        clock.after(random() * 10, () => {
          gone.add(item);
          abort.abort(new Error('gone'));
        });
      if (random() < 0.7) await clock.advance(random() * 4);
    }
    const closed = batcher.close();
    await clock.advance(10_000);
    await closed;
    for (const [item, result] of (await Promise.all(outcomes)).entries()) {
      const place = `seed ${seed}, item ${item}: ${String(result)}`;
      if (typeof result === 'number') assert.equal(result, item * 2, place);
      else if (result === 'Error: poison') assert.equal(item % 11, 10, place);
      else if (result === 'Error: own') assert.equal(item % 7, 6, place);
      else if (result === 'Error: gone') assert.ok(gone.has(item), place);
      else if (result === 'DEADLINE_EXCEEDED') assert.ok(deadlines.has(item), place);
      else assert.ok(/This is a bug/.test(String(result)) && !tried.has(item), place);
      assert.ok(settledAt[item]! <= (deadlines.get(item) ?? Infinity), place);
    }
    assert.equal(clock.pending, 0, `seed ${seed}: no timer is left`);
    assert.deepEqual(batcher.statistics, { queued: 0, active: 0 });
  }
});
