import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  assertError,
  eventually,
  form,
  openRaw,
  picture,
  raw,
  startApplication,
  type TestApplication,
} from '../application.js';

type Answer = {
  readonly encoder: { readonly name: string; readonly id: string };
  readonly tookMs: { readonly [stage: string]: number };
  readonly results: readonly {
    readonly id: string;
    readonly score: number;
    readonly metadata: object;
    readonly thumbnailUrl: string;
  }[];
};

async function store(server: TestApplication, count: number): Promise<void> {
  for (let seed = 1; seed <= count; seed++) {
    const metadata = JSON.stringify({ number: seed, parity: seed % 2 === 0 ? 'even' : 'odd' });
    const fields = [
      { name: 'id', content: `picture-${seed}` },
      { name: 'metadata', content: metadata },
    ];
    const file = { name: 'file', fileName: `${seed}.png`, content: await picture(seed) };
    const response = await server.ask({ method: 'POST', url: '/index', ...form(...fields, file) });
    assert.equal(response.statusCode, 201, response.body);
  }
}

test('a picture just stored is found by the very next search, itself first', async (context) => {
  const server = await startApplication(context);
  for (let seed = 1; seed <= 5; seed++) {
    const stored = await server.ask({ method: 'POST', url: `/index?id=picture-${seed}`, ...raw(await picture(seed)) });
    assert.equal(stored.statusCode, 201, stored.body);
    const query = form({ name: 'image', fileName: 'query.jpg', content: await picture(seed, 'jpeg') });
    const response = await server.ask({ method: 'POST', url: '/search?k=3', ...query });
    assert.equal(response.statusCode, 200, response.body);
    const { results, encoder, tookMs } = response.json() as Answer;
    assert.equal(results[0]?.id, `picture-${seed}`);
    assert.ok(results[0].score > 0.99);
    assert.equal(results.length, Math.min(seed, 3));
    assert.deepEqual(encoder, { name: 'pooled-test', id: 'pooled-test-1' });
    assert.ok(tookMs.total! >= tookMs.decode! + tookMs.search!);
    const thumbnail = await server.ask({ url: results[0].thumbnailUrl });
    assert.equal(thumbnail.headers['content-type'], 'image/webp');
  }
});

test('options count alike in the query and in the fields of the form', async (context) => {
  const server = await startApplication(context);
  await store(server, 6);
  const file = { name: 'anything', fileName: 'q.png', content: await picture(2) };
  const filter = JSON.stringify({ field: 'parity', equals: 'odd' });
  const inQuery = await server.ask({
    method: 'POST',
    url: `/search?limit=2&minScore=-1&filter=${encodeURIComponent(filter)}`,
    ...form(file),
  });
  const fields = [
    { name: 'filter', content: filter },
    { name: 'k', content: '2' },
    { name: 'minScore', content: '-1' },
  ];
  const inForm = await server.ask({ method: 'POST', url: '/search', ...form(file, ...fields) });
  for (const response of [inQuery, inForm]) {
    assert.equal(response.statusCode, 200, response.body);
    const { results } = response.json() as Answer;
    assert.equal(results.length, 2);
    for (const { metadata } of results) assert.equal((metadata as { parity: string }).parity, 'odd');
  }
  assert.deepEqual((inQuery.json() as Answer).results, (inForm.json() as Answer).results);
  const near = await server.ask({ method: 'POST', url: '/search?minScore=0.999&exact=true', ...form(file) });
  assert.deepEqual(
    (near.json() as Answer).results.map(({ id }) => id),
    ['picture-2'],
  );
});

test('options that are wrong are refused, wherever they stand', async (context) => {
  const server = await startApplication(context);
  const file = { name: 'image', fileName: 'q.png', content: await picture(1) };
  for (const query of [
    'k=0',
    'k=-1',
    'k=1e9',
    'k=1001',
    'k=ten',
    'k=1&k=2',
    'minScore=2',
    'colour=red',
    'k=3&limit=4',
    'collection=..%2Fx',
    'ef=1',
  ]) {
    const response = await server.ask({ method: 'POST', url: `/search?${query}`, ...form(file) });
    assertError(response, { status: 400, code: 'INVALID_REQUEST' });
  }
  for (const [name, content] of [
    ['k', '0'],
    ['k', 'ten'],
    ['colour', 'red'],
    ['embedding', '[NaN]'],
  ] as const) {
    const response = await server.ask({ method: 'POST', url: '/search', ...form({ name, content }, file) });
    assertError(response, { status: 400, code: 'INVALID_REQUEST' });
  }
  const twice = await server.ask({ method: 'POST', url: '/search?k=3', ...form({ name: 'k', content: '3' }, file) });
  assertError(twice, { status: 400, code: 'INVALID_REQUEST' });
  for (const filter of ['{', '{"field":"a"}', '[]', `{"not":${'{"not":'.repeat(100)}1${'}'.repeat(100)}}`]) {
    const response = await server.ask({
      method: 'POST',
      url: `/search?filter=${encodeURIComponent(filter)}`,
      ...form(file),
    });
    assertError(response, { status: 400, code: 'INVALID_FILTER' });
  }
  assert.equal(server.encoder.calls, 0, 'a wrong request costs no work');
});

test('a client that goes away takes its work with it', async (context) => {
  const server = await startApplication(context);
  const { port } = await server.listen();
  const release = server.encoder.hold();
  const body = await picture(1);
  const client = await openRaw(port);
  client.socket.write(
    `POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\ncontent-length: ${body.length}\r\n\r\n`,
  );
  client.socket.write(body);
  await eventually(() => server.encoder.statistics.active === 1);
  client.socket.destroy();
  await eventually(() => server.encoder.statistics.active === 0);
  await eventually(() => server.log.some((line) => /"status":499.*client gone/.test(line)));
  const metrics = await server.ask({ url: '/metrics' });
  assert.match(metrics.body, /likeness_images_in_flight 0\n/);
  assert.match(metrics.body, /likeness_upload_memory_bytes 0\n/);
  release();
});

test('images in flight are bounded: one more is refused at once with Retry-After', async (context) => {
  const server = await startApplication(context, { maxImagesInFlight: 4, rateLimit: 5 });
  const release = server.encoder.hold();
  const body = raw(await picture(1));
  const first = Array.from({ length: 4 }, () => server.ask({ method: 'POST', url: '/search', ...body }));
  await eventually(() => server.encoder.statistics.active === 4);
  const refused = await server.ask({ method: 'POST', url: '/search', ...body });
  assertError(refused, { status: 503, code: 'OVERLOADED' });
  assert.match(String(refused.headers['retry-after']), /^[1-9]\d*$/);
  const line = server.log.map((text) => JSON.parse(text)).find(({ code }) => code === 'OVERLOADED');
  assert.equal(line?.msg, 'request', 'a refusal is no fault and is logged without cause or stack');
  assert.equal(line?.err, undefined);
  const several = [1, 2, 3].map(async (seed) => ({ name: 'f', fileName: `${seed}.png`, content: await picture(seed) }));
  const index = await server.ask({ method: 'POST', url: '/index', ...form(...(await Promise.all(several))) });
  assertError(index, { status: 503, code: 'OVERLOADED' });
  release();
  for (const response of await Promise.all(first)) assert.equal(response.statusCode, 200, response.body);
  const fifth = await server.ask({ method: 'POST', url: '/search', ...body });
  assert.equal(fifth.statusCode, 200, 'what was refused took nothing of the quota');
});

test('work that outlasts the deadline of its request is given up', async (context) => {
  const server = await startApplication(context, { requestTimeoutMs: 1000, headersTimeoutMs: 500 });
  const release = server.encoder.hold();
  const response = await server.ask({ method: 'POST', url: '/search', ...raw(await picture(1)) });
  assertError(response, { status: 503, code: 'DEADLINE_EXCEEDED' });
  assert.equal(server.encoder.statistics.active, 0);
  release();
});
