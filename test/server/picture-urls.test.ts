/** Searching and storing by URL, through a listening service and a real web server beside it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import sharp from 'sharp';
import { readSettings } from '../../src/config.js';
import { createMonitoring } from '../../src/server/monitoring.js';
import { createPictureUrls } from '../../src/server/picture-urls.js';
import { API_KEYS, form, KEYS, picture, startApplication } from './application.js';

type Answer = {
  readonly status: number;
  readonly body: { readonly [name: string]: unknown } & { readonly code?: string };
};
type Found = { readonly results: readonly { readonly id: string; readonly copy: string }[] };

test('a picture by its URL is searched for as if it were sent, by link, JSON or form', async (context) => {
  const { site, service } = await start(context);
  await service.ask({
    method: 'POST',
    url: '/index?id=one',
    payload: await picture(1),
    headers: { 'content-type': 'image/png' },
  });
  await service.ask({
    method: 'POST',
    url: '/index?id=two',
    payload: await picture(2),
    headers: { 'content-type': 'image/png' },
  });
  const url = `${site.url}/1.png`;
  const fields = form({ name: 'url', content: url }, { name: 'k', content: '1' });
  const answers = [
    await service.fetch(`/search?k=1&url=${encodeURIComponent(url)}`),
    await service.fetch('/search?k=1', { method: 'POST', json: { url } }),
    await service.fetch('/search', { method: 'POST', body: fields.payload, headers: fields.headers }),
    await service.fetch(`/search?k=1&url=${encodeURIComponent(url)}`, {
      method: 'POST',
      body: await picture(1),
      headers: { 'content-type': 'image/png' },
    }),
  ];
  for (const { status, body } of answers.slice(0, 3)) {
    assert.equal(status, 200, JSON.stringify(body));
    const [first] = (body as unknown as Found).results;
    assert.equal(first?.id, 'one');
    assert.equal(first?.copy, 'exact');
  }
  assert.equal(
    (answers[3]!.body as unknown as Found).results[0]?.id,
    'one',
    'together with a sent one it is one of two examples',
  );
  const without = await service.fetch('/search', { method: 'POST', json: { url, negativeId: ['two'], k: 2 } });
  assert.deepEqual(
    (without.body as unknown as Found).results.map(({ id }) => id),
    ['one'],
  );
  const cropped = await service.fetch(`/search?k=1&crop=0,0,0.5,0.5&url=${encodeURIComponent(url)}`);
  assert.equal(cropped.status, 200, JSON.stringify(cropped.body));
  assert.equal(service.uploadMemory(), 0, 'all memory is given back');
});

test('a picture is stored by its URL, with id, metadata and the name it has there', async (context) => {
  const { site, service } = await start(context);
  const stored = await service.fetch('/index?collection=web', {
    method: 'POST',
    json: { url: `${site.url}/a%20b/3.png?size=l`, id: 'three', metadata: { tag: 'x' } },
  });
  assert.equal(stored.status, 201, JSON.stringify(stored.body));
  const record = (await service.fetch('/images/three?collection=web')).body;
  assert.equal(record.fileName, '3.png');
  assert.deepEqual(record.metadata, { tag: 'x' });
  const again = await service.fetch('/index?collection=web', { method: 'POST', json: { url: `${site.url}/3.png` } });
  assert.deepEqual([again.status, again.body.existing], [201, 1]);
  const taken = await service.fetch('/index?collection=web', {
    method: 'POST',
    json: { url: `${site.url}/4.png`, id: 'three' },
  });
  assert.deepEqual([taken.status, taken.body.code], [409, 'ID_EXISTS']);
  const deep = await service.fetch('/index?id=a', { method: 'POST', json: { url: `${site.url}/4.png`, id: 'b' } });
  assert.deepEqual([deep.status, deep.body.code], [400, 'INVALID_REQUEST']);
  const odd = await service.fetch('/index', { method: 'POST', json: { url: `${site.url}/4.png`, path: '/etc' } });
  assert.equal(odd.status, 400);
  assert.equal(service.uploadMemory(), 0);
});

test('the content decides what a fetched file is, and nothing of it comes back in the answer', async (context) => {
  const secret = 'root:x:0:0:the secret of an inner host';
  const { service, site } = await start(context, {}, async (request, response) => {
    if (request.url === '/lie.png')
      response.writeHead(200, { 'content-type': 'image/png', 'x-inner': secret }).end(`<html>${secret}</html>`);
    else if (request.url === '/svg.jpg')
      response.writeHead(200, { 'content-type': 'image/jpeg' }).end('<svg xmlns="http://www.w3.org/2000/svg"/>');
    else if (request.url === '/cut.png') response.end((await picture(1)).subarray(0, 100));
    else if (request.url === '/empty') response.end();
    else if (request.url === '/honest.html')
      response.writeHead(200, { 'content-type': 'text/html' }).end(await picture(1));
    else if (request.url === '/large')
      response.end(
        await sharp(Buffer.alloc(300 * 300 * 3), { raw: { width: 300, height: 300, channels: 3 } })
          .png({ compressionLevel: 0 })
          .toBuffer(),
      );
    else response.writeHead(503).end(secret);
  });
  const expected = {
    '/lie.png': [415, 'UNSUPPORTED_FORMAT'],
    '/svg.jpg': [415, 'UNSUPPORTED_FORMAT'],
    '/cut.png': [422, 'UNREADABLE_IMAGE'],
    '/empty': [415, 'UNSUPPORTED_FORMAT'],
    '/honest.html': [200, undefined],
    '/large': [413, 'UPLOAD_TOO_LARGE'],
    '/gone': [422, 'URL_FETCH_FAILED'],
  };
  for (const [path, [status, code]] of Object.entries(expected)) {
    const url = `${site.url}${path}`;
    for (const answer of [
      await service.fetch(`/search?url=${encodeURIComponent(url)}`),
      await service.fetch('/index', { method: 'POST', json: { url } }),
    ]) {
      assert.deepEqual(
        [answer.status === 201 ? 200 : answer.status, answer.body.code],
        [status, code],
        `${path} ${JSON.stringify(answer.body)}`,
      );
      assert.doesNotMatch(JSON.stringify(answer.body), /secret|x-inner|ECONN|127\.0\.0\.1/);
    }
  }
  assert.equal(service.uploadMemory(), 0);
  const metrics = await service.metrics();
  assert.match(metrics, /likeness_url_fetches_total\{outcome="fetched"\} 10/);
  assert.match(metrics, /likeness_url_fetches_total\{outcome="URL_FETCH_FAILED"\} 2/);
});

test('nothing is fetched where it is not allowed: off, without a key, or on a special address', async (context) => {
  const off = await start(context, { allowUrlFetch: false });
  const url = `${off.site.url}/1.png`;
  for (const answer of [
    await off.service.fetch(`/search?url=${encodeURIComponent(url)}`),
    await off.service.fetch('/search', { method: 'POST', json: { url } }),
    await off.service.fetch('/index', { method: 'POST', json: { url } }),
  ]) {
    assert.deepEqual([answer.status, answer.body.code], [403, 'URL_FETCH_OFF']);
  }
  assert.equal(off.site.requests(), 0);

  const strict = await start(context, { urlFetchNetworks: '', apiKeys: API_KEYS });
  const inner = `${strict.site.url}/1.png`;
  const search = `/search?url=${encodeURIComponent(inner)}`;
  assert.equal((await strict.service.fetch(search)).status, 401);
  assert.equal(
    (
      await strict.service.fetch('/index', {
        method: 'POST',
        json: { url: inner },
        headers: { 'x-api-key': KEYS.read },
      })
    ).status,
    403,
  );
  const refused = await strict.service.fetch(search, { headers: { 'x-api-key': KEYS.read } });
  assert.deepEqual([refused.status, refused.body.code], [403, 'URL_REFUSED']);
  assert.equal(strict.site.requests(), 0);
});

test('a fetched picture is one of the quota, and a wrong setting stops the start', async (context) => {
  const { service, site } = await start(context, { rateLimit: 1 });
  const search = `/search?url=${encodeURIComponent(`${site.url}/1.png`)}`;
  assert.equal((await service.fetch(search)).status, 200);
  assert.equal((await service.fetch(search)).status, 429);
  assert.equal(site.requests(), 1);
  for (const wrong of [{ urlFetchPorts: '80,x' }, { urlFetchPorts: '' }, { urlFetchNetworks: '10.0.0.0' }]) {
    const settings = { ...readSettings({}, {}), ...wrong };
    const memory = { held: 0, limit: 1, reserve: () => {}, release: () => {} };
    assert.throws(() => createPictureUrls({ settings, memory, monitoring: createMonitoring(), version: '0' }), {
      code: 'INVALID_SETTINGS',
    });
  }
});

async function start(
  context: TestContext,
  flags: Parameters<typeof startApplication>[1] = {},
  listener: RequestListener = async (request, response) =>
    void response.end(await picture(Number(/(\d+)\.png/.exec(request.url!)?.[1]))),
) {
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    listener(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo; // a TCP server's address is an object
  const application = await startApplication(context, {
    ...{
      allowUrlFetch: true,
      urlFetchPorts: `80,443,${port}`,
      urlFetchNetworks: '127.0.0.0/8',
      maxUploadBytes: 100_000,
    },
    ...flags,
  });
  const { url } = await application.listen();
  const gauge = async (): Promise<string> => application.monitoring.registry.metrics();
  let held = 0;
  return {
    site: { url: `http://127.0.0.1:${port}`, requests: () => requests },
    service: {
      ask: application.ask,
      metrics: gauge,
      uploadMemory: () => held,
      async fetch(
        path: string,
        options: { method?: string; json?: unknown; body?: Buffer; headers?: Record<string, string> } = {},
      ): Promise<Answer> {
        const { json, body, method = 'GET', headers = {} } = options;
        const response = await fetch(url + path, {
          method,
          ...(json === undefined ? body !== undefined && { body } : { body: JSON.stringify(json) }),
          headers: { ...(json !== undefined && { 'content-type': 'application/json' }), ...headers },
        });
        const answer = { status: response.status, body: (await response.json()) as Answer['body'] };
        held = Number(/^likeness_upload_memory_bytes (\d+)$/m.exec(await gauge())?.[1] ?? Number.NaN);
        return answer;
      },
    },
  };
}
