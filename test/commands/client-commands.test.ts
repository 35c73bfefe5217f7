/** import, search, export and check as a user types them: real processes, real pictures, a real catalogue. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import sharp from 'sharp';
import { tarOf, zipOf } from '../importing/archives.js';
import { CLI, REPOSITORY, runCli, runNode, type ServiceProcess, startService } from '../service-process.js';

const COLOURS = { 'warm/red.png': '#d02010', 'warm/orange.jpg': '#e08010', 'cold/blue.webp': '#1030d0' };

describe('the client commands', () => {
  let work: string;
  let service: ServiceProcess;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), 'likeness-cli-'));
    for (const [name, colour] of Object.entries(COLOURS)) {
      const file = join(work, 'pictures', name);
      await mkdir(join(file, '..'), { recursive: true });
      // A gradient, so that the encoder has something to see: a plain colour and its centre are much alike.
      const overlay = Buffer.from(
        `<svg width="64" height="64"><rect width="32" height="${name.length * 4}" fill="${colour}"/></svg>`,
      );
      await sharp({ create: { width: 64, height: 64, channels: 3, background: '#808080' } })
        .composite([{ input: overlay }])
        .toFile(file);
    }
    await writeFile(join(work, 'pictures', 'broken.jpg'), 'no picture at all');
    await writeFile(join(work, 'metadata.jsonl'), '{"file":"warm/red.png","price":12}\n');
    service = await startService({ data: join(work, 'served') });
  });
  after(async () => {
    await service?.stop();
    await rm(work, { recursive: true, force: true });
  });

  const client = (command: string, ...flags: string[]) => runCli(command, ...flags, '--url', service.url);

  it('import stores every picture, lists the broken file with its reason and says so by exit code 2', async () => {
    const failures = join(work, 'failures.jsonl');
    const { exitCode, output } = await client(
      'import',
      join(work, 'pictures'),
      '--failures',
      failures,
      '--metadata',
      join(work, 'metadata.jsonl'),
    );
    assert.equal(exitCode, 2, output);
    assert.match(output, /4\/4 files: 3 added, 0 replaced, 0 already stored, 1 failed/);
    const listed = (await readFile(failures, 'utf8')).trim().split('\n');
    assert.equal(listed.length, 1);
    const failure = JSON.parse(listed[0]!) as { file: string; code: string };
    assert.equal(failure.file, 'broken.jpg');
    assert.equal(failure.code, 'UNSUPPORTED_FORMAT');
  });

  it('the same import again stores nothing twice', async () => {
    const { output } = await client('import', join(work, 'pictures'), '--failures', join(work, 'failures.jsonl'));
    assert.match(output, /0 added, 0 replaced, 3 already stored, 1 failed/);
  });

  it('search prints the picture itself first, with the metadata it was given', async () => {
    const { exitCode, output } = await client('search', join(work, 'pictures', 'warm/red.png'), '-k', '2');
    assert.equal(exitCode, 0, output);
    const [first = '', ...rest] = output.trim().split('\n');
    assert.match(first, /^exact {3}1\.000 {2}(1\.0000|0\.999\d) {2}warm\/red\.png {2}red\.png {2}/);
    assert.match(first, /"price":12/);
    assert.equal(rest.length, 1);
    const filtered = await client(
      'search',
      join(work, 'pictures', 'warm/red.png'),
      '--filter',
      '{"field":"folder","equals":"cold"}',
    );
    assert.match(filtered.output, /^none {4}0\.\d{3} {2}\S+ {2}cold\/blue\.webp {2}blue\.webp/);
  });

  it('import says what was skipped, which rows matched no file, and goes on without a list of failures', async () => {
    const folder = join(work, 'odd');
    await mkdir(folder);
    await copyFile(join(work, 'pictures', 'warm/red.png'), join(folder, 'Zu\u0308rich.png'));
    await writeFile(join(folder, 'broken.jpg'), 'no picture at all');
    await writeFile(join(folder, 'notes.txt'), 'words');
    const rows = ['{"file":"Z\u00fcrich.png","place":"Zurich"}', '{"file":"missing.png","n":1}'];
    await writeFile(join(work, 'bom.jsonl'), `\uFEFF${rows.join('\n')}`);
    const flags = ['--collection', 'odd', '--failures', folder, '--metadata', join(work, 'bom.jsonl')];
    const { exitCode, output } = await client('import', folder, ...flags);
    assert.equal(exitCode, 2, output);
    assert.match(output, /2\/2 files: 1 added, 0 replaced, 0 already stored, 1 failed/);
    assert.match(output, /The list of failures cannot be written \(choose another with --failures\): .* is a folder/);
    assert.match(output, /"file":"broken.jpg"/);
    assert.match(output, /1 rows of .*bom\.jsonl match no file, such as "missing\.png"/);
    assert.match(output, /1 skipped: 1 not a picture by its name/);
    const found = await client('search', join(folder, 'Zu\u0308rich.png'), '--collection', 'odd');
    assert.match(found.output, /"place":"Zurich"/);
    await writeFile(join(work, 'bad.jsonl'), '{"file":"a"}\n{"file"');
    const bad = await client('import', folder, '--metadata', join(work, 'bad.jsonl'));
    assert.equal(bad.exitCode, 1);
    assert.match(bad.output, /bad\.jsonl, line 2 is not valid JSON/);
  });

  it('an archive is imported like a folder, whatever its names are', async () => {
    const content = await readFile(join(work, 'pictures', 'warm/red.png'));
    const other = await readFile(join(work, 'pictures', 'cold/blue.webp'));
    const files = [
      { name: './a.png', content },
      { name: '../evil.webp', content: other },
    ];
    await writeFile(join(work, 'odd.zip'), zipOf(files));
    await writeFile(join(work, 'odd.tar'), await tarOf(files));
    for (const name of ['odd.zip', 'odd.tar']) {
      const { exitCode, output } = await client('import', join(work, name), '--collection', name);
      assert.equal(exitCode, 0, output);
      assert.match(output, /files: 2 added/);
    }
  });

  it('Ctrl-C stops an import, which says so and can be run again', async () => {
    const folder = join(work, 'many');
    await mkdir(folder);
    const picture = await readFile(join(work, 'pictures', 'warm/red.png'));
    for (let number = 0; number < 400; number++)
      await writeFile(join(folder, `${number}.png`), Buffer.concat([picture, Buffer.from(String(number))]));
    const child = spawn(process.execPath, [CLI, 'import', folder, '--url', service.url, '--collection', 'many']);
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    const isBegun = async (): Promise<boolean> => {
      const answer = await fetch(`${service.url}/images?collection=many`);
      return (((await answer.json()) as { images?: unknown[] }).images ?? []).length > 0;
    };
    while (!(await isBegun())) await new Promise((resolve) => setTimeout(resolve, 50));
    child.kill('SIGINT');
    const [exitCode] = await once(child, 'close');
    assert.equal(exitCode, 130, output);
    assert.match(output, /Stopped\. Run the same command again to go on/);
  });

  it('a collection that does not exist is an error that names those that do', async () => {
    const { exitCode, output } = await client('search', join(work, 'pictures', 'warm/red.png'), '--collection', 'typo');
    assert.equal(exitCode, 1, output);
    assert.match(output, /no collection "?typo"?/i);
  });

  it('the path prefix of a proxy is kept by import, search and snapshot', async (context) => {
    const target = new URL(service.url);
    const proxy = createServer((request, response) => {
      const path = /^\/likeness(\/.*)$/.exec(request.url ?? '')?.[1];
      if (path === undefined) return void response.writeHead(404).end();
      const { method, headers } = request;
      const { hostname, port } = target;
      const forwarded = httpRequest({ hostname, port, path, method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      request.pipe(forwarded);
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    context.after(() => proxy.close());
    const url = ['--url', `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/likeness`]; // it listens on TCP
    const picture = join(work, 'pictures', 'warm/red.png');
    assert.equal((await runCli('import', picture, '--collection', 'prefix', ...url)).exitCode, 0);
    assert.match((await runCli('search', picture, '--collection', 'prefix', ...url)).output, /^exact/);
    const snapshot = await runCli('snapshot', '--out', join(work, 'snapshot.tar'), ...url);
    assert.equal(snapshot.exitCode, 0, snapshot.output);
  });

  it('a refusal is one line that names its reason, and exit code 1', async () => {
    const { exitCode, output } = await client('search', join(work, 'pictures', 'broken.jpg'));
    assert.equal(exitCode, 1);
    assert.match(output, /^likeness: .+/);
    assert.equal(output.trim().split('\n').length, 1);
  });

  it('a folder in use is refused; after the service has stopped, check and export read it, and --data works without a service', async () => {
    const data = join(work, 'served');
    const locked = await runCli('check', '--data', data);
    assert.equal(locked.exitCode, 1);
    assert.equal(await service.stop(), 0);
    const checked = await runCli('check', '--data', data, '--deep');
    assert.equal(checked.exitCode, 0, checked.output);
    assert.match(checked.output, /collection default: 3 images/);

    const exported = await runCli('export', '--data', data, '--embeddings');
    const records = exported.output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; embedding: number[] });
    assert.deepEqual(records.map(({ id }) => id).sort(), Object.keys(COLOURS).sort());
    for (const { embedding } of records) assert.ok(Math.abs(Math.hypot(...embedding) - 1) < 1e-3);

    const searched = await runCli('search', join(work, 'pictures', 'cold/blue.webp'), '--data', data, '-k', '1');
    assert.match(searched.output, /cold\/blue\.webp/);
  });
});

it('wrong settings stop the start and are listed all at once', async () => {
  const { exitCode, output } = await runCli('serve', '--port', '99999', '--device', 'toaster');
  assert.equal(exitCode, 1);
  assert.match(output, /--port=99999/);
  assert.match(output, /--device=toaster/);
});

it('key makes a key whose SHA-256 stands in the line for the keys file', async () => {
  const { output } = await runCli('key', '--role', 'write');
  const key = /once\):\s+(\S+)/.exec(output)?.[1] ?? '';
  const digest = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(key))).toString('hex');
  assert.ok(key.length >= 32);
  assert.ok(output.includes(`write ${digest}`));
});

it('commands that need no native module do not load one', async () => {
  const report = join(REPOSITORY, 'models/photos/report.json');
  const refuse = 'data:text/javascript,process.dlopen=()=>{throw new Error("a native module was loaded")}';
  for (const flags of [['key'], ['compare', report], ['search', '--help']]) {
    const { exitCode, output } = await runNode('--import', refuse, CLI, ...flags);
    assert.equal(exitCode, 0, output);
  }
});

it('search escapes the control characters of a service', async (context) => {
  const result = { id: 'a\u202eb', copy: 'none', probability: 0, score: 0.5, fileName: 'x\u001b[31m', metadata: {} };
  const hostile = createServer((_request, response) => response.end(JSON.stringify({ results: [result] })));
  hostile.listen(0, '127.0.0.1');
  await once(hostile, 'listening');
  context.after(() => hostile.close());
  const { port } = hostile.address() as AddressInfo; // it listens on TCP
  const { output } = await runCli('search', 'package.json', '--url', `http://127.0.0.1:${port}`);
  assert.equal(output, 'none    0.000  0.5000  a\\u{202e}b  x\\u{1b}[31m  {}\n');
});

it('errors of the system are one plain sentence with the remedy', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-errors-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'file');
  await writeFile(file, 'x');
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  context.after(() => taken.close());
  const { port } = taken.address() as AddressInfo; // it listens on TCP
  const cases: [string[], RegExp][] = [
    [['search', join(folder, 'none.jpg')], /^likeness: \S*none\.jpg does not exist\.$/],
    [['search', folder], /^likeness: \S+ is a folder; give a file\.$/],
    [['import', join(folder, 'none')], /^likeness: \S*none does not exist\.$/],
    [['import', folder, '--url', 'localhost:1'], /--url=localhost:1 is not an http\(s\) URL/],
    [
      ['search', 'package.json', '--url', 'http://127.0.0.1:1'],
      /^likeness: No response from http:\/\/127\.0\.0\.1:1: .*\. Check that `likeness serve` runs/,
    ],
    [
      ['serve', '--data', file, '--port', '0'],
      /likeness: The service cannot start: --data \S+ is, or lies under, a file\. Choose a folder/,
    ],
    [
      ['serve', '--data', join(folder, 'data'), '--port', String(port)],
      /port \d+ of 127\.0\.0\.1 is in use already\. Stop the other program or choose another --port/,
    ],
  ];
  for (const [flags, message] of cases) {
    const { exitCode, output } = await runCli(...flags);
    assert.equal(exitCode, 1, output);
    assert.match(output.trim(), message);
    assert.doesNotMatch(output, /^ {4}at /m);
  }
});
