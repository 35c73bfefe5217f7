/**
 * The entrances by which many files come in at once: import jobs of a zip, a tar.gz and URLs, and the command line with
 * a folder and an archive.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { tarOf, zipOf } from '../importing/archives.js';
import { runCli } from '../service-process.js';

/** A file under a name of its own that every entrance takes for a picture's; what it is, its bytes say. */
export type CorpusFile = { readonly name: string; readonly content: Buffer };

/** Sends all files in and returns the answer to each, in their order: "stored", or the code of its failure. */
export type Entrance = { readonly name: string; send(collection: string): Promise<readonly string[]> };

type Job = { readonly id: string; readonly status: string; readonly counts: { readonly [name: string]: number } };

/** A site that has the files, for imports by URL. */
export async function serveFiles(files: readonly CorpusFile[]): Promise<{ readonly port: number; close(): void }> {
  const contents = new Map(files.map(({ name, content }) => [`/${name}`, content]));
  const site = createServer((request, response) => void response.end(contents.get(request.url ?? ''))).listen(
    0,
    '127.0.0.1',
  );
  await once(site, 'listening');
  const { port } = site.address() as AddressInfo; // A TCP server's address is an object.
  return { port, close: () => void site.close() };
}

/**
 * All of them, into a running service; `sitePort` is that of {@link serveFiles}. `close` removes what was written
 * for them.
 */
export async function corpusEntrances(parts: {
  readonly url: string;
  readonly files: readonly CorpusFile[];
  readonly sitePort: number;
}): Promise<{ readonly entrances: readonly Entrance[]; close(): Promise<void> }> {
  const { url, files, sitePort } = parts;
  const zip = zipOf(files.map((file) => ({ ...file, isPacked: true })));
  const tarball = gzipSync(await tarOf(files));
  const urls = files.map(({ name }) => `http://127.0.0.1:${sitePort}/${name}`);
  const work = await mkdtemp(join(tmpdir(), 'likeness-entrances-'));
  const folder = join(work, 'files');
  await mkdir(folder);
  for (const { name, content } of files) await writeFile(join(folder, name), content);
  await writeFile(join(work, 'files.tar.gz'), tarball);
  const names = files.map(({ name }) => name);
  const ofJob =
    (body: string | Uint8Array<ArrayBuffer>, type: string, shownAs: readonly string[]) =>
    async (collection: string) => {
      const init = { method: 'POST', body, headers: { 'content-type': type } };
      const job = await ended(url, await ask<Job>(url, `/imports?collection=${collection}`, init));
      assert.equal(job.status, 'done');
      assert.equal(job.counts.found, files.length);
      const failures = await failuresOf(url, job.id);
      return shownAs.map((name) => failures.get(name) ?? 'stored');
    };
  const ofCommand = (path: string) => async (collection: string) => {
    const list = join(work, 'failures.jsonl');
    const { exitCode, output } = await runCli(
      'import',
      path,
      '--url',
      url,
      '--collection',
      collection,
      '--failures',
      list,
    );
    assert.ok(exitCode === 0 || exitCode === 2, output);
    const lines = (await readFile(list, 'utf8')).trim().split('\n').filter(Boolean);
    const failures = new Map(
      lines.map((line) => JSON.parse(line) as { file: string; code: string }).map(({ file, code }) => [file, code]),
    );
    return names.map((name) => failures.get(name) ?? 'stored');
  };
  const entrances = [
    { name: 'zip to POST /imports', send: ofJob(new Uint8Array(zip), 'application/zip', names) },
    { name: 'tar.gz to POST /imports', send: ofJob(new Uint8Array(tarball), 'application/gzip', names) },
    { name: 'URLs to POST /imports', send: ofJob(JSON.stringify({ urls }), 'application/json', urls) },
    { name: 'folder to likeness import', send: ofCommand(folder) },
    { name: 'tar.gz to likeness import', send: ofCommand(join(work, 'files.tar.gz')) },
  ];
  return { entrances, close: () => rm(work, { recursive: true, force: true }) };
}

/** SHA-256 of all that a collection holds, sorted. */
export async function storedHashes(url: string, collection = 'default'): Promise<readonly string[]> {
  const hashes: string[] = [];
  let cursor: string | undefined;
  do {
    const after = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page = await ask<{ images: { sha256: string }[]; nextCursor?: string }>(
      url,
      `/images?limit=100&collection=${collection}${after}`,
    );
    hashes.push(...page.images.map(({ sha256 }) => sha256));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return hashes.sort();
}

async function ended(url: string, { id }: Job): Promise<Job> {
  for (;;) {
    const job = await ask<Job>(url, `/imports/${id}`);
    if (job.status !== 'running') return job;
    await sleep(100);
  }
}

async function failuresOf(url: string, id: string): Promise<ReadonlyMap<string, string>> {
  const failures = new Map<string, string>();
  let cursor: string | undefined;
  do {
    const after = cursor === undefined ? '' : `&cursor=${cursor}`;
    const page = await ask<{ failures: { name: string; code: string }[]; nextCursor?: string }>(
      url,
      `/imports/${id}/failures?limit=1000${after}`,
    );
    for (const { name, code } of page.failures) failures.set(name, code);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return failures;
}

async function ask<T>(url: string, path: string, init?: RequestInit): Promise<T> {
  const response = await fetch(url + path, init);
  const body: unknown = await response.json();
  assert.ok(response.ok, `${path}: ${JSON.stringify(body)}`);
  return body as T;
}
