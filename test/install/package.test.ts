/**
 * The package as a user gets it: packed, installed into an empty folder with npm alone, started from elsewhere, asked.
 * Compiling the native modules takes minutes, so they are copied from this installation unless PACKAGE_INSTALL=full;
 * continuous integration does both.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort, REPOSITORY } from '../service-process.js';

const MEBIBYTE = 1024 * 1024;
const npm = (args: readonly string[], cwd: string) => promisify(execFile)('npm', args, { cwd, timeout: 900_000 });

test('npm pack, npm install in an empty folder and npx likeness serve', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-package-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  // Already built by this run; `prepack` would build again below the other tests.
  await npm(['pack', '--ignore-scripts', '--pack-destination', folder], REPOSITORY);
  const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as { version: string };
  const tarball = join(folder, `likeness-search-${version}.tgz`);
  assert.ok(statSync(tarball).size < 15 * MEBIBYTE, `the package has ${statSync(tarball).size} bytes`);

  const project = join(folder, 'project');
  await mkdir(project);
  const reached = await npm(['view', 'fastify', 'version'], project).then(
    () => true,
    () => false,
  );
  if (!reached) return context.skip('no npm registry can be reached: the package was packed, but not installed');
  const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball];
  if (process.env.PACKAGE_INSTALL === 'full') await npm(install, project);
  else {
    await npm([...install, '--ignore-scripts'], project);
    for (const name of ['better-sqlite3', 'hnswlib-node'])
      await cp(join(REPOSITORY, 'node_modules', name, 'build'), join(project, 'node_modules', name, 'build'), {
        recursive: true,
      });
    // Their scripts in npm's order: ours must keep the other from downloading.
    await npm(['rebuild', 'likeness-search', 'onnxruntime-node'], project);
  }
  const runtime = join(project, 'node_modules', 'onnxruntime-node', 'bin', 'napi-v6', 'linux', 'x64');
  const cuda = join(runtime, 'libonnxruntime_providers_cuda.so');
  if (existsSync(cuda)) assert.equal(statSync(cuda).size, 0, 'CUDA libraries were downloaded');

  const port = await freePort();
  const elsewhere = join(folder, 'elsewhere');
  await mkdir(elsewhere);
  const bin = join(project, 'node_modules', '.bin', 'likeness'); // What npx runs.
  const service = spawn(bin, ['serve', '--port', String(port), '--data', join(folder, 'data')], { cwd: elsewhere });
  context.after(() => service.kill('SIGKILL'));
  let log = '';
  for (const stream of [service.stdout, service.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (log += text));
  const url = `http://127.0.0.1:${port}`;
  for (let attempt = 0; ; attempt++) {
    if ((await fetch(`${url}/readyz`).catch(() => undefined))?.ok) break;
    assert.ok(service.exitCode === null && attempt < 3000, `the service did not become ready:\n${log}`);
    await sleep(100);
  }

  const picture = readFileSync(join(REPOSITORY, 'examples', 'demo', 'shoes', 'shoes-01.jpg'));
  const send = { method: 'POST', body: picture, headers: { 'content-type': 'image/jpeg' } };
  assert.equal((await fetch(`${url}/index?id=first`, send)).status, 201);
  const { results } = (await (await fetch(`${url}/search?k=1`, send)).json()) as { results: { id: string }[] };
  assert.equal(results[0]?.id, 'first');
  assert.equal((await fetch(url, { headers: { accept: 'text/html' } })).status, 200);
  assert.equal((await fetch(`${url}/likeness-search.js`)).status, 200);
  const ended = once(service, 'exit');
  service.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
});
