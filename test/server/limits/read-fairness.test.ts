/** Requests that send no picture: their reads are shared fairly, charged, and bounded in memory. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { createSharedBudget } from '../../../src/server/limits/budget.js';
import { assertError, eventually, form, picture, raw, startApplication, type TestApplication } from '../application.js';

test('a budget shared by callers leaves room for another, whatever one of them holds', () => {
  const budget = createSharedBudget({ limit: 10, message: 'full' });
  const releases = Array.from({ length: 8 }, () => budget.reserve('greedy', 1));
  assert.throws(() => budget.reserve('greedy', 1), { code: 'OVERLOADED' });
  const release = budget.reserve('modest', 1);
  release();
  release();
  assert.equal(budget.held, 8, 'released once');
  for (const each of releases) each();
  assert.equal(budget.held, 0);
  budget.reserve('greedy', 1);
});

test('of many dear reads one caller waits for the one that runs, not for the queue of another', async (context) => {
  const server = await startApplication(context, {
    apiKeys: 'read:key-number-one-0123,read:key-number-two-0123,write:key-to-write-with-01',
  });
  const { catalogue } = server;
  const write = { 'x-api-key': 'key-to-write-with-01' };
  const stored = raw(await picture(1));
  await server.app.inject({ method: 'POST', url: '/index?id=a', ...stored, headers: { ...stored.headers, ...write } });
  const order: string[] = [];
  const waiting: (() => void)[] = [];
  const neighbours = catalogue.neighbours.bind(catalogue);
  catalogue.neighbours = async (query) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return neighbours(query);
  };
  const search = async (key: string, url: string): Promise<void> => {
    const response = await server.app.inject({ url, headers: { 'x-api-key': key } });
    assert.equal(response.statusCode, 200, response.body);
    order.push(key);
  };
  const dear = '/search?id=a&k=1000&exact=true&include=vector';
  const greedy = Array.from({ length: 6 }, () => search('key-number-one-0123', dear));
  await eventually(() => waiting.length > 0);
  const modest = search('key-number-two-0123', '/search?id=a');
  await eventually(() => {
    waiting.shift()?.();
    return order.length === 7;
  });
  await Promise.all([...greedy, modest]);
  // Behind the one that ran, and one more where its example was still being read.
  assert.ok(order.indexOf('key-number-two-0123') <= 2, order.join());
});

test('reads are charged to the quota by what they cost', async (context) => {
  const server = await startApplication(context, { rateLimit: 48, maxFilesPerRequest: 1 });
  await server.ask({ method: 'POST', url: '/index?id=a', ...raw(await picture(1)) });
  const url = '/search?id=a&k=1000&exact=true&include=vector';
  // All at once: the quota refills by one image a second.
  const responses = await Promise.all(Array.from({ length: 5 }, () => server.ask({ url })));
  const statuses = responses.map(({ statusCode }) => statusCode).sort();
  assert.deepEqual(statuses, [200, 200, 429, 429, 429], 'each costs 3.2 of eight images, one of which was the upload');
});

/** Stores pictures with metadata of 60 kB each. */
async function storeLongRecords(server: TestApplication, count: number): Promise<void> {
  const metadata = { name: 'metadata', content: JSON.stringify({ text: 'x'.repeat(60_000) }) };
  for (let index = 0; index < count; index++) {
    const image = { name: 'image', fileName: 'a.png', content: await picture(index) };
    await server.app.inject({ method: 'POST', url: `/index?id=image-${index}`, ...form(metadata, image) });
  }
}

test('responses that nobody reads are bounded together; each caller keeps a share', async (context) => {
  const server = await startApplication(context, {
    responseMemoryBytes: 1024 * 1024,
    maxMetadataBytes: 65_536,
  });
  await storeLongRecords(server, 30);
  const { port } = await server.listen();
  const sockets = Array.from({ length: 8 }, () => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.pause();
    socket.on('error', () => {});
    // More than the buffers of the kernel take: what comes after them stays in the service.
    socket.write('GET /images?limit=1000 HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(16));
    return socket;
  });
  context.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  await eventually(() => server.log.some((line) => line.includes('OVERLOADED')));
  assert.equal((await server.ask({ url: '/livez' })).statusCode, 200);
});

test('a page ends where it is long enough, and the next one goes on', async (context) => {
  const server = await startApplication(context, { maxMetadataBytes: 65_536 });
  await storeLongRecords(server, 60);
  const first = (await server.ask({ url: '/images?limit=1000' })).json() as {
    images: { id: string }[];
    nextCursor: string;
  };
  assert.equal(first.images.length, 50);
  const second = (
    await server.ask({ url: `/images?limit=1000&cursor=${encodeURIComponent(first.nextCursor)}` })
  ).json() as typeof first;
  assert.equal(second.images.length, 10);
  assert.equal(second.nextCursor, undefined);
});

test('a request of more images than the service may ever hold is refused for good, not asked to come again', async (context) => {
  const server = await startApplication(context, { maxImagesInFlight: 4 });
  await server.ask({ method: 'POST', url: '/index?id=a', ...raw(await picture(1)) });
  const response = await server.ask({ url: '/search?id=a&views=mirror,turn' });
  assertError(response, { status: 400, code: 'INVALID_REQUEST' });
  assert.match(response.body, /takes at most 4 \(--max-images-in-flight/);
});
