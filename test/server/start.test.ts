/** A start that cannot succeed says why in one sentence with its remedy. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readSettings } from '../../src/config.js';
import { startServer } from '../../src/server/serve.js';
import { CLI } from '../service-process.js';
import { eventually } from './application.js';

test('a data folder that is a file and a port in use are told in one sentence', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-start-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'file');
  await writeFile(file, 'x');
  const start = (flags: object) =>
    startServer(readSettings({ decoders: 1, port: 0, ...flags }, {}), { stream: { write() {} } });
  for (const data of [file, join(file, 'under')])
    await assert.rejects(start({ data }), { code: 'INVALID_SETTINGS', message: /--data .* file\. Choose a folder/ });
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  context.after(() => other.close());
  const { port } = other.address() as AddressInfo; // a TCP server's address is an object
  await assert.rejects(start({ data: join(folder, 'data'), port }), { message: /port \d+ .*in use.*--port/ });
});

test('on a terminal the address is one line for people', async (context) => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-terminal-'));
  context.after(() => rm(data, { recursive: true, force: true }));
  const terminal = 'data:text/javascript,process.stdout.isTTY=true';
  const flags = ['--import', terminal, CLI, 'serve', '--port', '0', '--decoders', '1', '--data', data];
  const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'inherit'] });
  context.after(() => void child.kill('SIGKILL'));
  let output = '';
  for await (const text of child.stdout.setEncoding('utf8')) {
    output += text;
    if (output.includes('ready')) break;
  }
  assert.match(output, /^\nLikeness is ready: open http:\/\/127\.0\.0\.1:\d+ in a browser\. Ctrl-C stops it\.\n\n$/);
});

test('SIGTERM to npm start ends the service', async (context) => {
  const { scripts } = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8'));
  const folder = await mkdtemp(join(tmpdir(), 'likeness-npm-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'dist/src'), { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module', scripts: { start: scripts.start } }));
  await writeFile(join(folder, 'dist/src/cli.js'), 'console.log(process.pid); setInterval(() => {}, 1000);');
  const npm = spawn('npm', ['start', '--silent'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(npm.stdout, 'data')) as [Buffer];
  const service = Number(String(line));
  context.after(() => {
    if (isAlive(service)) process.kill(service, 'SIGKILL');
  });
  npm.kill('SIGTERM');
  await eventually(() => !isAlive(service));
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('npm start builds what was changed, and nothing where the build is newer', async (context) => {
  const { scripts } = JSON.parse(await readFile(new URL('../../../package.json', import.meta.url), 'utf8'));
  const folder = await mkdtemp(join(tmpdir(), 'likeness-prestart-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const build = `node --eval "fs.writeFileSync('built', '')"`;
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ type: 'module', scripts: { prestart: scripts.prestart, build } }),
  );
  const program = 'dist/src/development/is-built.js';
  await cp(new URL(`../../../${program}`, import.meta.url), join(folder, program));
  await mkdir(join(folder, 'src/page'), { recursive: true });
  await mkdir(join(folder, 'dist/page'), { recursive: true });
  const source = join(folder, 'src/page/a.ts');
  await writeFile(source, '');
  const isBuilt = async (): Promise<boolean> => {
    await rm(join(folder, 'built'), { force: true });
    execFileSync('npm', ['run', '--silent', 'prestart'], { cwd: folder });
    return existsSync(join(folder, 'built'));
  };
  const later = new Date(Date.now() + 10_000);
  for (const built of ['dist/page/likeness-search.js', 'dist/.tsbuildinfo']) {
    assert.equal(await isBuilt(), true, `${built} is missing`);
    await writeFile(join(folder, built), '');
    await utimes(join(folder, built), later, later);
  }
  assert.equal(await isBuilt(), false);
  await utimes(source, later, new Date(Date.now() + 20_000));
  assert.equal(await isBuilt(), true);
});
