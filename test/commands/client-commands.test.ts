/** import, search, export and check as a user types them: real processes, real pictures, a real catalogue. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import sharp from 'sharp';
import { runCli, type ServiceProcess, startService } from '../service-process.js';

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
      const overlay = Buffer.from(`<svg width="64" height="64"><rect width="32" height="${name.length * 4}" fill="${colour}"/></svg>`);
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
    assert.match(output, /4\/4 files: 3 added, 0 replaced, 0 there already, 1 failed/);
    const listed = (await readFile(failures, 'utf8')).trim().split('\n');
    assert.equal(listed.length, 1);
    const failure = JSON.parse(listed[0]!) as { file: string; code: string };
    assert.equal(failure.file, 'broken.jpg');
    assert.equal(failure.code, 'UNSUPPORTED_FORMAT');
  });

  it('the same import again stores nothing twice', async () => {
    const { output } = await client('import', join(work, 'pictures'), '--failures', join(work, 'failures.jsonl'));
    assert.match(output, /0 added, 0 replaced, 3 there already, 1 failed/);
  });

  it('search prints the picture itself first, with the metadata it was given', async () => {
    const { exitCode, output } = await client('search', join(work, 'pictures', 'warm/red.png'), '-k', '2');
    assert.equal(exitCode, 0, output);
    const [first = '', ...rest] = output.trim().split('\n');
    assert.match(first, /^(1\.0000|0\.999\d) {2}warm\/red\.png {2}/);
    assert.match(first, /"price":12/);
    assert.equal(rest.length, 1);
    const filtered = await client('search', join(work, 'pictures', 'warm/red.png'), '--filter', '{"field":"folder","equals":"cold"}');
    assert.match(filtered.output, /^\S+ {2}cold\/blue\.webp/);
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
