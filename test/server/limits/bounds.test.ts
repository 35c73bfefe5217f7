import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBudget, reservationOf } from '../../../src/server/limits/budget.js';
import { createTokenBuckets } from '../../../src/server/limits/token-buckets.js';
import { cleanFileName, parseImageId } from '../../../src/server/names.js';
import { createReadiness } from '../../../src/server/readiness.js';
import { picture, raw, startApplication } from '../application.js';
import { createPooledEncoder } from '../pooled-encoder.js';

test('a budget never exceeds its limit, and a reservation that ends gives back just what it held', () => {
  const budget = createBudget({ limit: 10, message: 'full' });
  const reservation = reservationOf(budget);
  reservation.grow(4);
  budget.reserve(6);
  assert.throws(() => reservation.grow(1), { code: 'OVERLOADED', retryAfterSeconds: 1 });
  reservation.shrink(1);
  reservation.grow(1);
  reservation.end();
  assert.equal(budget.held, 6);
  reservation.shrink(4);
  reservation.grow(4);
  reservation.end();
  assert.equal(budget.held, 6, 'what ended counts no more');
  assert.throws(() => budget.release(7), /bug/);
});

test('a bucket fills steadily, tells when to come back, and forgets the least recent caller first', () => {
  let now = 0;
  const buckets = createTokenBuckets({ perMinute: 60, burst: 2, maxCallers: 2, now: () => now });
  assert.equal(buckets.take('a', 2), 0);
  assert.equal(buckets.take('a', 2), 2);
  now += 1000;
  assert.equal(buckets.take('a', 1), 0);
  assert.equal(buckets.take('a', 1), 1);
  assert.equal(buckets.take('b', 2), 0);
  assert.equal(buckets.take('a', 1), 1);
  buckets.take('c', 1);
  assert.equal(buckets.take('b', 2), 0, 'b was forgotten and starts full');
  now += 3_600_000;
  assert.equal(buckets.take('c', 3), 1, 'never more than the burst');
});

test('file names are cleaned and kept short; ids are taken as they are or refused', () => {
  assert.equal(cleanFileName('a\u0000b\u202ec/d\\e\u200b.png'), 'abcde.png');
  assert.equal(cleanFileName('e\u0301.png'), '\u00e9.png');
  assert.equal(cleanFileName(' \n '), null);
  assert.equal(cleanFileName(undefined), null);
  assert.ok(Buffer.byteLength(cleanFileName('😀'.repeat(300))!) <= 255);
  assert.equal(parseImageId('x'.repeat(255)), 'x'.repeat(255));
  assert.equal(parseImageId('e\u0301'), 'e\u0301', "not normalised: an id is the caller's");
});

test('readiness is looked at once a second at most, and fails where encoder or canary fails', async (context) => {
  const server = await startApplication(context);
  await server.ask({ method: 'POST', url: '/index', ...raw(await picture(1)) });
  const { catalogue } = server;
  const encoder = createPooledEncoder();
  const readiness = createReadiness({ encoder, catalogue });
  const [first, second] = await Promise.all([readiness.check(), readiness.check()]);
  assert.equal(first.canary, 'found');
  assert.equal(first, second);
  assert.equal(encoder.calls, 1);

  const broken = createPooledEncoder();
  broken.fail = new Error('no device');
  await assert.rejects(createReadiness({ encoder: broken, catalogue }).check(), { code: 'NOT_READY' });
  const blind = { ...bound(catalogue), neighbours: async () => [] };
  await assert.rejects(createReadiness({ encoder, catalogue: blind }).check(), { code: 'NOT_READY' });
  readiness.startDraining();
  await assert.rejects(readiness.check(), { code: 'SHUTTING_DOWN' });
});

/** The catalogue's methods as plain properties, so that one can be replaced. */
function bound<T extends object>(part: T): T {
  return new Proxy({} as T, {
    get: (own, name) => Reflect.get(own, name) ?? bindTo(part, name),
    ownKeys: () => methodNames(part),
    getOwnPropertyDescriptor: (_own, name) => ({ value: bindTo(part, name), enumerable: true, configurable: true }),
  });
}

function bindTo(part: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(part, name);
  return typeof value === 'function' ? value.bind(part) : value;
}

function methodNames(part: object): string[] {
  return Object.getOwnPropertyNames(Object.getPrototypeOf(part)).filter((name) => name !== 'constructor');
}
