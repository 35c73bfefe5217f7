import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryBudget } from '../../../src/images/decoding/memory-budget.js';

const never = new AbortController().signal;

test('what is acquired never exceeds the total, and the first to come is the first served', async () => {
  const budget = new MemoryBudget(100);
  const order: string[] = [];
  const acquire = (name: string, bytes: number) => budget.acquire(bytes, never).then(() => order.push(name));
  await acquire('a', 60);
  const [b, c] = [acquire('b', 50), acquire('c', 10)];
  assert.equal(budget.usedBytes, 60); // c would fit, but may not overtake b for ever
  budget.release(60);
  await Promise.all([b, c]);
  assert.deepEqual(order, ['a', 'b', 'c']);
  assert.equal(budget.usedBytes, 60);
  budget.release(50);
  budget.release(10);
  assert.equal(budget.usedBytes, 0);
});

test('one that gives up takes nothing and lets the next through', async () => {
  const budget = new MemoryBudget(100);
  await budget.acquire(90, never);
  const caller = new AbortController();
  const [givenUp, next] = [budget.acquire(50, caller.signal), budget.acquire(10, never)];
  caller.abort();
  await assert.rejects(givenUp, { name: 'AbortError' });
  await next;
  assert.equal(budget.usedBytes, 100);
  await assert.rejects(budget.acquire(1, AbortSignal.abort()), { name: 'AbortError' });
});

test('more than the total is refused as a bug, since it could wait for ever', async () => {
  await assert.rejects(new MemoryBudget(10).acquire(11, never), /This is a bug/);
});
