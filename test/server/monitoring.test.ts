import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CatalogueStatistics } from '../../src/catalogue/catalogue.js';
import { ERROR_TABLE } from '../../src/errors.js';
import { createMonitoring } from '../../src/server/monitoring.js';
import { eventually, picture, raw, startApplication } from './application.js';
import { createPooledEncoder } from './pooled-encoder.js';

test('every stage, queue and collection has its series, and none of them grows with what strangers ask for', async (context) => {
  const server = await startApplication(context);
  await server.ask({ method: 'POST', url: '/index', ...raw(await picture(1)) });
  await server.ask({ method: 'POST', url: '/search', ...raw(await picture(1)) });
  await server.app.inject({ url: '/nowhere' });
  await server.app.inject({ url: '/images/none' });
  await server.app.inject({ url: '/images/none', method: 'DELETE' });
  await server.ask({ url: '/metrics' });
  const series = async (): Promise<readonly string[]> =>
    (await server.monitoring.registry.metrics())
      .split('\n')
      .filter((line) => line.startsWith('likeness_'))
      .map((line) => line.replace(/ \S+$/, ''));
  const before = await series();
  for (const name of ['queue', 'decode', 'encode', 'search', 'commit'])
    assert.ok(before.includes(`likeness_${name}_seconds_count`), name);
  for (const name of [
    'likeness_decode_queue_images',
    'likeness_encode_queue_images',
    'likeness_catalogue_queue_requests',
    'likeness_decoder_restarts_total',
    'likeness_collection_images{collection="default"}',
    'likeness_batch_images_count',
    'likeness_requests_total{method="GET",route="none",status="404"}',
    'likeness_requests_total{method="POST",route="/search",status="200"}',
    'likeness_images_total{outcome="added"}',
    'likeness_images_total{outcome="searched"}',
  ]) {
    assert.ok(before.includes(name), name);
  }
  const text = await server.monitoring.registry.metrics();
  assert.match(text, /likeness_encoder_info\{name="pooled-test",id="pooled-test-1",device="cpu"[^}]*\} 1/);
  assert.match(text, /likeness_build_info\{version="[^"]+",node="v[^"]+"\} 1/);
  assert.match(text, /nodejs_eventloop_lag_p99_seconds \d/);
  assert.match(text, /likeness_decode_seconds_count 2\n/);
  assert.match(text, /likeness_commit_seconds_count 1\n/);
  for (let index = 0; index < 1000; index++) {
    const noise = `${index}-${Math.imul(index, 2654435761) >>> 0}`;
    await server.app.inject({
      url: index % 2 === 0 ? `/${noise}/x` : `/images/${noise}`,
      method: index % 4 === 1 ? 'DELETE' : 'GET',
    });
  }
  assert.deepEqual((await series()).toSorted(), before.toSorted());
});

test('the first request of a route adds no more than its status; codes and kinds of garbage collection stand at zero from the start', async (context) => {
  const server = await startApplication(context);
  const series = async (): Promise<readonly string[]> =>
    (await server.monitoring.registry.metrics())
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.replace(/ \S+$/, ''));
  const before = await series();
  for (const code of Object.keys(ERROR_TABLE))
    assert.ok(before.includes(`likeness_errors_total{code="${code}"}`), code);
  for (const kind of ['major', 'minor', 'incremental', 'weakcb'])
    assert.ok(before.includes(`nodejs_gc_duration_seconds_count{kind="${kind}"}`), kind);
  assert.ok(before.includes('likeness_request_seconds_count{route="/images/:id/thumbnail"}'));
  for (const url of ['/metrics', '/images', '/images/none', '/stats', '/docs/static/index.html', '/nowhere'])
    await server.ask({ url });
  const grown = (await series()).filter((line) => !before.includes(line));
  assert.deepEqual(
    grown.filter((line) => !/^likeness_(requests_total|collection_)/.test(line)),
    [],
  );
  assert.equal(grown.filter((line) => line.startsWith('likeness_requests_total')).length, 6);
});

test('collections beyond the bound are summed; a catalogue that does not answer does not stop the scrape', async () => {
  const collection = (index: number) => ({
    name: `c${index}`,
    images: 1000 - index,
    indexed: 1,
    deleted: 0,
    rebuilding: false,
  });
  const statistics = (count: number): CatalogueStatistics => ({
    collections: Array.from({ length: count }, (_, index) => collection(index)),
    lastSequence: 7,
    databaseBytes: 1,
    walBytes: 2,
    queued: 3,
  });
  let answer = (): Promise<CatalogueStatistics> => Promise.resolve(statistics(200));
  let asked = 0;
  const monitoring = createMonitoring();
  const budget = { held: 0, limit: 1, reserve: () => {}, release: () => {} };
  monitoring.watch({
    decoder: {
      decode: () => Promise.reject(new Error('unused')),
      statistics: { queued: 1, active: 2, restarts: 3 },
      close: async () => {},
    },
    encoder: createPooledEncoder(),
    catalogue: {
      statistics: () => {
        asked += 1;
        return answer();
      },
    },
    imagesInFlight: budget,
    readsInFlight: budget,
    responseMemory: budget,
    uploadMemory: budget,
    urlFetchesActive: () => 0,
    imports: { running: 0, listeners: 0 },
    requestsInFlight: () => 0,
    version: '1.2.3',
  });
  const text = await monitoring.registry.metrics();
  assert.equal(asked, 1, 'one question a scrape');
  const labels = [...text.matchAll(/^likeness_collection_images\{collection="([^"]+)"\} (\d+)$/gm)];
  assert.equal(labels.length, 51);
  const others = Array.from({ length: 150 }, (_, index) => 1000 - 50 - index).reduce((sum, images) => sum + images, 0);
  assert.equal(labels.find(([, name]) => name === '(others)')?.[2], String(others));
  assert.match(text, /likeness_decoder_restarts_total 3\n/);
  answer = () => Promise.resolve(statistics(1));
  assert.equal(
    [...(await monitoring.registry.metrics()).matchAll(/^likeness_collection_images\{/gm)].length,
    1,
    'a removed collection goes',
  );
  answer = () => Promise.reject(new Error('closed'));
  assert.match(await monitoring.registry.metrics(), /likeness_catalogue_last_sequence 7\n/);
});

test('at level debug the log shows the walk of one request under its id', async (context) => {
  const server = await startApplication(context);
  const response = await server.ask({ method: 'POST', url: '/search', ...raw(await picture(1)) });
  assert.equal(response.statusCode, 200);
  const id = String(response.headers['x-request-id']);
  const stages = (): string[] =>
    server.log
      .map((line) => JSON.parse(line) as { requestId?: string; msg: string })
      .filter(({ requestId }) => requestId === id)
      .map(({ msg }) => msg);
  await eventually(() => stages().includes('request'));
  assert.deepEqual(stages(), [
    'authenticated',
    'admitted',
    'decoded',
    'encoded',
    'read',
    'found',
    'responding',
    'request',
  ]);
});
