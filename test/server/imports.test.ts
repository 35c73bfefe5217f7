/** Import jobs through a listening service: every picture of a source is accounted for, whatever it is. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import type { ImportJob } from '../../src/client/client.js';
import { tarOf, zipOf } from '../importing/archives.js';
import { API_KEYS, eventually, form, KEYS, picture, startApplication, type TestApplication } from './application.js';

type Job = {
  readonly id: string;
  readonly status: string;
  readonly counts: ImportJob['counts'];
  readonly error: { readonly code: string } | null;
} & {
  readonly [name: string]: unknown;
};
type Failure = { readonly name: string; readonly code: string; readonly message: string };

test('an archive of any kind becomes a job whose pictures are stored, found, or failed with their reasons', async (context) => {
  const service = await start(context);
  const files = await mixedFiles();
  const tar = await tarOf(files);
  const archives: [string, string, Buffer, string][] = [
    ['zip', 'application/zip', zipOf(files), 'raw'],
    ['tar', 'application/x-tar', tar, 'raw'],
    ['packed', 'application/gzip', gzipSync(tar), 'raw'],
    ['unnamed', 'application/octet-stream', zipOf(files, { isPacked: true }), 'raw'],
    ['formed', 'application/zip', zipOf(files), 'form'],
  ];
  for (const [collection, type, bytes, way] of archives) {
    const sent = form({ name: 'archive', fileName: '../my pictures.zip', type, content: bytes });
    const body =
      way === 'form'
        ? { body: sent.payload, headers: sent.headers }
        : { body: bytes, headers: { 'content-type': type } };
    const started = await service.ask(`/imports?collection=${collection}`, { method: 'POST', ...body });
    assert.equal(started.status, 202, JSON.stringify(started.body));
    const job = await service.ended(started.body as Job);
    assert.deepEqual([job.status, job.outcome], ['done', 'done with failures']);
    assert.deepEqual(job.skipped, { hidden: 1, 'not a picture by its name': 1 });
    assert.deepEqual(job.counts, { found: 8, added: 3, existing: 1, waiting: 0, failed: 4 });
    assert.equal((job.source as { name: string }).name, way === 'form' ? 'my pictures.zip' : 'archive');
    const failures = (await service.ask(`/imports/${job.id}/failures`)).body.failures as Failure[];
    assert.deepEqual(
      failures.map(({ name, code }) => [name, code]),
      [
        ['folder/broken.png', 'UNREADABLE_IMAGE'],
        ['folder/page.jpg', 'UNSUPPORTED_FORMAT'],
        ['inner.zip', 'ENTRY_REFUSED'],
        ['huge.png', 'IMAGE_TOO_LARGE'],
      ],
    );
    const images = (await service.ask(`/images?collection=${collection}`)).body.images as {
      fileName: string;
      metadata: object;
    }[];
    assert.deepEqual(images.map(({ fileName }) => fileName).sort(), ['1.png', '2.png', '3.png']);
    assert.ok(
      images.some(
        ({ fileName, metadata }) => fileName === '2.png' && JSON.stringify(metadata) === '{"folder":"folder"}',
      ),
    );
  }
  assert.equal(((await service.ask('/imports')).body.imports as Job[]).length, 5);
});

test('what cannot be an import is refused before there is a job, and leaves nothing on the disk', async (context) => {
  const service = await start(context, { importMaxArchiveBytes: 5000 });
  const zip = zipOf([{ name: 'a', content: 'x' }]);
  const large = zipOf([{ name: 'a', content: Buffer.alloc(6000) }]);
  const cases: [number, string, Asking][] = [
    [415, 'ARCHIVE_UNSUPPORTED', raw(await picture(1))],
    [415, 'ARCHIVE_UNSUPPORTED', raw(Buffer.from('Rar!\u001a\u0007'), 'application/octet-stream')],
    [415, 'UNSUPPORTED_MEDIA_TYPE', raw(zip, 'image/png')],
    [415, 'UNSUPPORTED_MEDIA_TYPE', raw(zip, 'text/plain')],
    [413, 'UPLOAD_TOO_LARGE', raw(Buffer.alloc(200_000))],
    [413, 'UPLOAD_TOO_LARGE', toBody(form({ name: 'a', fileName: 'a', content: large }))],
    [400, 'NO_IMAGE', toBody(form())],
    [400, 'MALFORMED_MULTIPART', toBody({ ...form({ name: 'a', fileName: 'a', content: zip }), cut: 30 })],
    [400, 'INVALID_REQUEST', { json: {} }],
    [400, 'INVALID_REQUEST', { json: { urls: [] } }],
    [400, 'INVALID_REQUEST', { json: { urls: ['http://a/'], demo: true } }],
    [400, 'INVALID_REQUEST', { json: { demo: true, path: '/etc' } }],
    [400, 'INVALID_REQUEST', { json: { demo: true, collection: '../x' } }],
    [403, 'URL_FETCH_OFF', { json: { urls: ['http://example.org/a.png'] } }],
  ];
  for (const [status, code, request] of cases) {
    const answer = await service.ask('/imports', { method: 'POST', ...request });
    assert.deepEqual([answer.status, answer.body.code], [status, code], JSON.stringify(answer.body));
  }
  assert.deepEqual((await service.ask('/imports')).body, { imports: [] });
  assert.deepEqual(service.spooled(), []);
});

test('an archive that is damaged or a bomb fails as a whole, and nothing of it is stored', async (context) => {
  const service = await start(context, { importMaxEntries: 5 });
  const tar = await tarOf([1, 2, 3].map((number) => ({ name: `${number}.png`, content: Buffer.alloc(3000, number) })));
  for (const [bytes, code] of [
    [tar.subarray(0, 4000), 'ARCHIVE_DAMAGED'],
    [gzipSync(await tarOf([{ name: 'zeros', content: Buffer.alloc(120e6) }])), 'ARCHIVE_TOO_LARGE'],
    [zipOf(Array.from({ length: 6 }, (_, number) => ({ name: `${number}`, content: 'x' }))), 'ARCHIVE_TOO_LARGE'],
  ] as const) {
    const job = await service.ended(
      (await service.ask('/imports', { method: 'POST', ...raw(Buffer.from(bytes)) })).body as Job,
    );
    assert.deepEqual([job.status, job.error?.code], ['failed', code]);
    assert.equal(job.counts.added + job.counts.waiting, 0);
  }
  assert.deepEqual((await service.ask('/collections')).body, { collections: [] });
});

test('URLs become a job; each is fetched under the same rules and fails alone', async (context) => {
  const site = await serve(context);
  const service = await start(context, fetchingFrom(site));
  const at = (path: string): string => `http://127.0.0.1:${site.port}/${path}`;
  const urls = [
    at('1.png?key=secret'),
    at('2.png'),
    at('2.png'),
    at('missing'),
    at('page.html'),
    'file:///etc/passwd',
    'no url',
    `http://127.0.0.2:${site.port}/1.png`,
  ];
  const job = await service.ended(
    (await service.ask('/imports', { method: 'POST', json: { urls, collection: 'web' } })).body as Job,
  );
  assert.deepEqual([job.status, job.counts], ['done', { found: 8, added: 2, existing: 1, waiting: 0, failed: 5 }]);
  const failures = (await service.ask(`/imports/${job.id}/failures`)).body.failures as Failure[];
  assert.deepEqual(
    failures.map(({ name, code }) => [name, code]),
    [
      [urls[3], 'URL_FETCH_FAILED'],
      [urls[4], 'UNSUPPORTED_FORMAT'],
      [urls[5], 'URL_REFUSED'],
      [urls[6], 'INVALID_REQUEST'],
      [urls[7], 'URL_REFUSED'],
    ],
  );
  const images = (await service.ask('/images?collection=web')).body.images as { metadata: object; fileName: string }[];
  assert.ok(
    images.some(({ metadata }) => JSON.stringify(metadata) === JSON.stringify({ source: at('1.png') })),
    'without the secret of the query',
  );

  // The server learns what was missing; what is refused stays refused.
  site.pictures.set('/missing', await picture(9));
  const again = await service.ask(`/imports/${job.id}/retry`, { method: 'POST' });
  assert.deepEqual([again.status, again.body.status], [202, 'running']);
  const retried = await service.ended(again.body as Job);
  assert.deepEqual(retried.counts, { found: 8, added: 3, existing: 1, waiting: 0, failed: 4 });
});

test('failures come in pages', async (context) => {
  const service = await start(context);
  const files = Array.from({ length: 7 }, (_, number) => ({ name: `${number}.jpg`, content: `no picture ${number}` }));
  const job = await service.ended(
    (await service.ask('/imports', { method: 'POST', ...raw(zipOf(files)) })).body as Job,
  );
  const names: string[] = [];
  let cursor: unknown;
  do {
    const page = (
      await service.ask(`/imports/${job.id}/failures?limit=3${cursor === undefined ? '' : `&cursor=${cursor}`}`)
    ).body;
    names.push(...(page.failures as Failure[]).map(({ name }) => name));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  assert.deepEqual(
    names,
    files.map(({ name }) => name),
  );
});

test('the demo pictures are a job like any other', {
  skip: !existsSync('examples/demo/README.md') && 'no demo pictures here',
}, async (context) => {
  const service = await start(context);
  const names = readdirSync('examples/demo', { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.jpg'),
  );
  const started = await service.ask('/imports', { method: 'POST', json: { demo: true } });
  assert.equal(started.status, 202, JSON.stringify(started.body));
  const job = await service.ended(started.body as Job);
  assert.deepEqual(
    [job.status, job.counts.found, job.counts.added + job.counts.existing],
    ['done', names.length, names.length],
  );
});

test('a cancelled import keeps what it stored, and can be gone on with or forgotten', async (context) => {
  const site = await serve(context);
  const service = await start(context, { ...fetchingFrom(site), importConcurrency: 1 });
  site.hold = true;
  const urls = [1, 2, 3].map((number) => `http://127.0.0.1:${site.port}/${number}.png`);
  const job = (await service.ask('/imports', { method: 'POST', json: { urls } })).body as Job;
  await eventually(() => site.requests() === 1);
  assert.equal((await service.ask(`/imports/${job.id}/retry`, { method: 'POST' })).body.code, 'IMPORT_RUNNING');
  const cancelled = (await service.ask(`/imports/${job.id}`, { method: 'DELETE' })).body as Job;
  assert.deepEqual(
    [cancelled.status, cancelled.counts],
    ['cancelled', { found: 3, added: 0, existing: 0, waiting: 3, failed: 0 }],
  );
  site.hold = false;
  const going = (await service.ask(`/imports/${job.id}/retry`, { method: 'POST' })).body as Job;
  assert.equal((await service.ended(going)).counts.added, 3);
  assert.equal((await service.ask(`/imports/${job.id}`, { method: 'DELETE' })).status, 200);
  assert.equal((await service.ask(`/imports/${job.id}`)).status, 404);
  assert.equal(((await service.ask('/images')).body.images as unknown[]).length, 3, 'what was stored stays');
});

test('events tell of a job until it ends; they are bounded, and end when the service stops', async (context) => {
  const service = await start(context);
  const files = await Promise.all(
    Array.from({ length: 12 }, async (_, number) => ({ name: `${number}.png`, content: await picture(number + 1) })),
  );
  const job = (await service.ask('/imports', { method: 'POST', ...raw(zipOf(files)) })).body as Job;
  const response = await fetch(`${service.url}/imports/${job.id}/events`);
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  const told = (await response.text())
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => JSON.parse(event.slice(6)) as Job);
  for (const { counts } of told)
    assert.equal(counts.added + counts.existing + counts.waiting + counts.failed, counts.found);
  assert.deepEqual([told.at(-1)?.status, told.at(-1)?.counts.added], ['done', 12]);
  const late = await (await fetch(`${service.url}/imports/${job.id}/events`)).text();
  assert.equal(late.match(/^data: /gm)?.length, 1, 'of a job that has ended: its state, and the end');

  const release = service.application.encoder.hold();
  const held = (
    await service.ask('/imports', { method: 'POST', ...raw(zipOf([{ name: 'a.png', content: await picture(99) }])) })
  ).body as Job;
  const streams = await Promise.all(
    Array.from({ length: 50 }, () => fetch(`${service.url}/imports/${held.id}/events`)),
  );
  assert.equal((await service.ask(`/imports/${held.id}/events`)).body.code, 'OVERLOADED');
  await streams[0]!.body!.cancel();
  await eventually(async () =>
    /likeness_import_listeners 49\n/.test(await service.application.monitoring.registry.metrics()),
  );
  service.application.startDraining();
  await Promise.all(streams.slice(1).map((stream) => stream.text()));
  release();
});

test('keys: a reader may not import, and a key sees and touches jobs of its own collections only', async (context) => {
  const own = 'own-key-0123456789abc';
  const service = await start(context, { apiKeys: `${API_KEYS},write@own:${own}` });
  const archive = zipOf([{ name: 'a.png', content: await picture(1) }]);
  const as = (key: string, body = {}): Asking => ({
    ...body,
    headers: { 'content-type': 'application/zip', 'x-api-key': key },
  });
  const send = { method: 'POST', body: archive };
  assert.equal((await service.ask('/imports', as('', send))).status, 401);
  assert.equal((await service.ask('/imports', as(KEYS.read, send))).status, 403);
  assert.equal((await service.ask('/imports', as(KEYS.read))).status, 403);
  assert.equal((await service.ask('/imports?collection=secret', as(own, send))).status, 404);
  const secret = (await service.ask('/imports?collection=secret', as(KEYS.write, send))).body as Job;
  const mine = (await service.ask('/imports', as(own, send))).body as Job;
  assert.equal(mine.collection, 'own', 'a key of one collection need not name it');
  const seen = (await service.ask('/imports', as(own))).body.imports as Job[];
  assert.deepEqual(
    seen.map(({ id }) => id),
    [mine.id],
  );
  for (const [method, path] of [
    ['GET', ''],
    ['GET', '/failures'],
    ['GET', '/events'],
    ['POST', '/retry'],
    ['DELETE', ''],
  ] as const) {
    const { status, body } = await service.ask(`/imports/${secret.id}${path}`, {
      method,
      headers: { 'x-api-key': own },
    });
    const none = await service.ask(`/imports/${randomUUID()}${path}`, { method, headers: { 'x-api-key': own } });
    assert.deepEqual([status, body], [404, none.body], `${method} ${path}`);
  }
  await service.ended(secret, KEYS.write);
  await service.ended(mine, own);
});

test('an import waits while the service is full, and searches go first', async (context) => {
  const service = await start(context, { maxImagesInFlight: 1 });
  const release = service.application.encoder.hold();
  const search = fetch(`${service.url}/search`, {
    method: 'POST',
    body: new Blob([(await picture(50)) as Uint8Array<ArrayBuffer>], { type: 'image/png' }),
  });
  await eventually(() => service.application.encoder.calls === 1);
  const files = zipOf([{ name: 'a.png', content: await picture(1) }]);
  const job = (await service.ask('/imports', { method: 'POST', ...raw(files) })).body as Job;
  await eventually(async () => ((await service.ask(`/imports/${job.id}`)).body as Job).error?.code === 'OVERLOADED');
  release();
  assert.equal((await search).status, 200);
  const ended = await service.ended(job);
  assert.deepEqual([ended.counts.added, ended.error], [1, null]);
});

async function mixedFiles(): Promise<{ readonly name: string; readonly content: Buffer }[]> {
  const huge = await sharp({ create: { width: 8000, height: 8000, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  return [
    { name: '1.png', content: await picture(1) },
    { name: 'folder/2.png', content: await picture(2) },
    { name: 'folder/again.png', content: await picture(2) },
    { name: 'folder/broken.png', content: (await picture(4)).subarray(0, 100) },
    { name: 'folder/page.jpg', content: Buffer.from('<html>no picture</html>') },
    { name: 'inner.zip', content: zipOf([{ name: 'x.png', content: await picture(5) }]) },
    { name: 'huge.png', content: huge },
    { name: '../../3.png', content: await picture(3) },
    { name: 'readme.txt', content: Buffer.from('words') },
    { name: '.DS_Store', content: Buffer.from('x') },
  ];
}

type Asking = {
  readonly method?: string;
  readonly body?: Buffer;
  readonly json?: unknown;
  readonly headers?: Record<string, string>;
};

async function start(context: TestContext, flags: Parameters<typeof startApplication>[1] = {}) {
  const application: TestApplication = await startApplication(context, flags);
  const { url } = await application.listen();
  const ask = async (path: string, { json, body, method = 'GET', headers = {} }: Asking = {}) => {
    const response = await fetch(url + path, {
      method,
      ...(json === undefined ? body !== undefined && { body: new Uint8Array(body) } : { body: JSON.stringify(json) }),
      headers: { ...(json !== undefined && { 'content-type': 'application/json' }), ...headers },
    });
    return { status: response.status, body: (await response.json()) as { readonly [name: string]: unknown } };
  };
  return {
    application,
    url,
    ask,
    spooled: () =>
      existsSync(join(application.folder, 'imports')) ? readdirSync(join(application.folder, 'imports')) : [],
    /** Watches a job to its end; the account is right at every look. */
    async ended({ id }: Job, key?: string): Promise<Job> {
      let job: Job | undefined;
      await eventually(async () => {
        job = (await ask(`/imports/${id}`, key === undefined ? {} : { headers: { 'x-api-key': key } })).body as Job;
        const { found, added, existing, waiting, failed } = job.counts;
        assert.equal(found, added + existing + waiting + failed);
        return job.status !== 'running';
      });
      return job!;
    },
  };
}

function raw(
  body: Buffer,
  type = 'application/zip',
): { readonly body: Buffer; readonly headers: Record<string, string> } {
  return { body, headers: { 'content-type': type } };
}

function toBody({
  payload,
  headers,
  cut = 0,
}: {
  payload: Buffer;
  headers: { 'content-type': string };
  cut?: number;
}): Asking {
  return { body: payload.subarray(0, payload.length - cut), headers };
}

/** A web server of pictures `/N.png`. While `hold` is set it does not answer. */
async function serve(context: TestContext) {
  let requests = 0;
  const site = { port: 0, hold: false, pictures: new Map<string, Buffer>(), requests: () => requests };
  const server = createServer(async (request, response) => {
    requests += 1;
    if (site.hold) return;
    const path = request.url!.split('?')[0]!;
    const number = /^\/(\d+)\.png$/.exec(path)?.[1];
    const bytes = site.pictures.get(path) ?? (number === undefined ? undefined : await picture(Number(number)));
    if (bytes !== undefined) response.end(bytes);
    else if (path === '/page.html') response.end('<html></html>');
    else response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  site.port = (server.address() as AddressInfo).port;
  return site;
}

/** Settings that allow pictures of a site of this test, and no other. */
function fetchingFrom({ port }: { readonly port: number }) {
  return { allowUrlFetch: true, urlFetchPorts: String(port), urlFetchNetworks: '127.0.0.1/32' };
}
