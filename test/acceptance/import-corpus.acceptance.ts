/** Every bad and odd file through imports, in a zip, in a tar.gz and by URL: never a fault of ours, and the same answer as by POST /index. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { tarOf, zipOf } from '../importing/archives.js';
import { peakMemoryBytes, type ServiceProcess, sharedData, startService } from '../service-process.js';
import { inLanes } from './lanes.js';

const corpus = sharedData('bad-images');

type Job = { readonly id: string; readonly status: string; readonly counts: { readonly [name: string]: number } };

test('the corpus of bad images through imports', { skip: corpus === undefined && '../shared is absent' }, async () => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-corpus-'));
  const [header = '', ...rows] = (await readFile(join(corpus!, 'manifest.tsv'), 'utf8')).trimEnd().split('\n');
  const column = header.split('\t').indexOf('file');
  const names = rows.map((row) => row.split('\t')[column]!);
  const files = await Promise.all(
    names.map(async (name, number) => ({ name: `${number}/${name}`, content: await readFile(join(corpus!, name)) })),
  );
  const site = createServer((request, response) => void response.end(files[Number(/^\/(\d+)\//.exec(request.url!)?.[1])]?.content)).listen(
    0,
    '127.0.0.1',
  );
  await once(site, 'listening');
  const { port } = site.address() as AddressInfo; // a TCP server's address is an object
  const flags = [
    // Long enough that no answer depends on how busy the machine is.
    ...['--decode-timeout-ms', '60000', '--request-timeout-ms', '120000'],
    '--allow-url-fetch',
    '--url-fetch-ports',
    String(port),
    '--url-fetch-networks',
    '127.0.0.1/32',
    '--import-concurrency',
    '8',
  ];
  const service = await startService({ data, flags });
  try {
    const direct: string[] = [];
    await inLanes(files, 4, async (file) => {
      const form = new FormData();
      form.set('image', new Blob([new Uint8Array(file.content)]), 'x');
      const response = await fetch(`${service.url}/index?collection=direct`, { method: 'POST', body: form });
      const { code = '' } = (await response.json()) as { code?: string };
      direct[files.indexOf(file)] = response.ok ? 'stored' : code;
    });
    const urls = files.map(({ name }) => `http://127.0.0.1:${port}/${name.split('/').map(encodeURIComponent).join('/')}`);
    const ways: [string, RequestInit][] = [
      ['zip', { body: new Uint8Array(zipOf(files, { isPacked: true })), headers: { 'content-type': 'application/zip' } }],
      ['tar.gz', { body: new Uint8Array(gzipSync(await tarOf(files))), headers: { 'content-type': 'application/gzip' } }],
      ['url', { body: JSON.stringify({ urls }), headers: { 'content-type': 'application/json' } }],
    ];
    for (const [way, init] of ways) {
      const job = await ended(service, await ask<Job>(service, `/imports?collection=${way}`, { method: 'POST', ...init }));
      const failures = await failuresOf(service, job.id);
      const answers = files.map(({ name }, number) => failures.get(way === 'url' ? urls[number]! : name) ?? 'stored');
      const others = answers.flatMap((answer, number) =>
        answer === direct[number] ? [] : [`${names[number]}: ${direct[number]} by itself, ${answer} in ${way}`],
      );
      const ours = answers.filter((code) =>
        ['INTERNAL', 'DECODER_FAILED', 'ENCODER_FAILED', 'DEADLINE_EXCEEDED', 'OVERLOADED'].includes(code),
      );
      console.log(
        `${way}: ${JSON.stringify(job.counts)}, ${others.length} other answers, service peak ${(peakMemoryBytes(service.process.pid!) / 2 ** 20).toFixed(0)} MiB`,
      );
      for (const other of others) console.log(`  ${other}`);
      assert.deepEqual(ours, []);
      assert.equal(job.counts.found, files.length);
      assert.deepEqual(
        others.filter((text) => !isExpected(text)),
        [],
      );
      const [stored, expected] = await Promise.all([hashesOf(service, way), hashesOf(service, 'direct')]);
      assert.deepEqual(stored, expected);
    }
  } finally {
    await service.stop();
    site.close();
    await rm(data, { recursive: true, force: true });
  }
});

/** An archive inside an archive is refused as such, and is no picture by itself either. */
function isExpected(text: string): boolean {
  return /UNSUPPORTED_FORMAT by itself, ENTRY_REFUSED/.test(text);
}

async function ended(service: ServiceProcess, { id }: Job): Promise<Job> {
  for (;;) {
    const job = await ask<Job>(service, `/imports/${id}`);
    if (job.status !== 'running') return job;
    await sleep(100);
  }
}

async function failuresOf(service: ServiceProcess, id: string): Promise<ReadonlyMap<string, string>> {
  const failures = new Map<string, string>();
  let cursor: string | undefined;
  do {
    const page: { failures: { name: string; code: string }[]; nextCursor?: string } = await ask(
      service,
      `/imports/${id}/failures?limit=1000${cursor === undefined ? '' : `&cursor=${cursor}`}`,
    );
    for (const { name, code } of page.failures) failures.set(name, code);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return failures;
}

async function hashesOf(service: ServiceProcess, collection: string): Promise<readonly string[]> {
  const { images } = await ask<{ images: { sha256: string }[] }>(service, `/images?limit=1000&collection=${collection}`);
  return images.map(({ sha256 }) => sha256).sort();
}

async function ask<T>(service: ServiceProcess, path: string, init?: RequestInit): Promise<T> {
  const response = await fetch(service.url + path, init);
  const body: unknown = await response.json();
  assert.ok(response.ok, `${path}: ${JSON.stringify(body)}`);
  return body as T;
}
