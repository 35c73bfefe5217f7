import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { CallPort, portChannel, serveCalls, Transferred } from '../src/call-port.js';
import { SearchError } from '../src/errors.js';

type Sums = {
  add(a: number, b: number): number;
  zeros(count: number): Uint8Array;
  fail(code: 'OVERLOADED' | 'unknown'): void;
  slow(ms: number): number;
};

function connect(options: { readonly sequential?: boolean } = {}) {
  const { port1, port2 } = new MessageChannel();
  const events: string[] = [];
  const emit = serveCalls<Sums, string>(
    portChannel(port2),
    {
      add: (a, b) => a + b,
      zeros: (count) => {
        const zeros = new Uint8Array(count);
        return new Transferred(zeros, [zeros.buffer]);
      },
      fail: (code) => {
        if (code === 'unknown') throw new Error('a bug');
        throw new SearchError(code, 'Full.', { retryAfterSeconds: 3 });
      },
      slow: (ms) => new Promise((resolve) => setTimeout(() => resolve(ms), ms)),
    },
    options,
  );
  const port = new CallPort<Sums, string>(portChannel(port1), {
    onEvent: (event) => events.push(event),
    toGoneError: (reason) => new Error(`gone: ${reason.message}`),
  });
  return { port, emit, events, close: () => port2.close() };
}

test('a call resolves with what its handler returns', async () => {
  const { port, close } = connect();
  assert.equal(await port.call('add', [2, 3]), 5);
  assert.deepEqual(await port.call('zeros', [4]), new Uint8Array(4));
  close();
});

test('errors keep their code, message and retry time; others become INTERNAL', async () => {
  const { port, close } = connect();
  await assert.rejects(port.call('fail', ['OVERLOADED']), {
    code: 'OVERLOADED',
    message: 'Full.',
    retryAfterSeconds: 3,
  });
  await assert.rejects(port.call('fail', ['unknown']), { code: 'INTERNAL', message: /a bug/ });
  close();
});

test('the end of the peer rejects waiting and later calls', async () => {
  const { port, close } = connect();
  const waiting = port.call('slow', [60_000]);
  assert.equal(port.pending, 1);
  close();
  await assert.rejects(waiting, { message: /^gone: / });
  await assert.rejects(port.call('add', [1, 1]), { message: /^gone: / });
  assert.equal(port.pending, 0);
  assert.match((await port.gone).message, /^gone: /);
});

test('calls run side by side, or one after the other where the server says so', async () => {
  for (const sequential of [false, true]) {
    const { port, close } = connect({ sequential });
    const order: string[] = [];
    const slow = port.call('slow', [20]).then(() => order.push('slow'));
    const quick = port.call('add', [1, 1]).then(() => order.push('quick'));
    await Promise.all([slow, quick]);
    assert.deepEqual(order, sequential ? ['slow', 'quick'] : ['quick', 'slow']);
    close();
  }
});

test('events reach the caller in order with results', async () => {
  const { port, emit, events, close } = connect();
  emit('first');
  await port.call('add', [1, 1]);
  assert.deepEqual(events, ['first']);
  close();
});
