import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEYS, picture, raw, startApplication } from './application.js';

type Statistics = {
  readonly version: string;
  readonly encoder: { readonly name: string; readonly dimensions: number; readonly hasFeatures: boolean };
  readonly collections: readonly { readonly name: string; readonly images: number }[];
  readonly scores: unknown;
};

test('tells over a real connection what runs and what it holds', async (context) => {
  const server = await startApplication(context);
  const { url } = await server.listen();
  for (const collection of ['default', 'shop']) {
    const stored = await fetch(`${url}/index?collection=${collection}`, {
      method: 'POST',
      body: Uint8Array.from(await picture(1)),
      headers: { 'content-type': 'image/png' },
    });
    assert.equal(stored.status, 201);
  }
  const answer = await server.ask({ url: '/stats' });
  assert.equal(answer.statusCode, 200, answer.body);
  const statistics = (await (await fetch(`${url}/stats`)).json()) as Statistics;
  assert.deepEqual(
    [statistics.encoder.name, statistics.encoder.dimensions, statistics.encoder.hasFeatures],
    ['pooled-test', 48, false],
  );
  assert.deepEqual(
    statistics.collections.map(({ name, images }) => [name, images]),
    [
      ['default', 1],
      ['shop', 1],
    ],
  );
  assert.equal(statistics.scores, null, 'nothing was fitted for the test encoder');
});

test('a key limited to collections learns of those alone', async (context) => {
  const limited = 'limited-key-0123456789';
  const server = await startApplication(context, { apiKeys: `admin:${KEYS.admin},read@shop:${limited}` });
  for (const collection of ['default', 'shop']) {
    const { payload, headers } = raw(await picture(1));
    const stored = await server.ask({
      method: 'POST',
      url: `/index?collection=${collection}`,
      payload,
      headers: { ...headers, 'x-api-key': KEYS.admin },
    });
    assert.equal(stored.statusCode, 201, stored.body);
  }
  const answer = await server.ask({ url: '/stats', headers: { 'x-api-key': limited } });
  assert.equal(answer.statusCode, 200, answer.body);
  assert.deepEqual(
    (answer.json() as Statistics).collections.map(({ name }) => name),
    ['shop'],
  );
});
