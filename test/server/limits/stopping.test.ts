/** How the service ends. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { drain } from '../../../src/server/serve.js';
import { assertError, eventually, openRaw, picture, type RawConnection, startApplication } from '../application.js';

const CLI = fileURLToPath(new URL('../../../src/cli.js', import.meta.url));
const REPOSITORY = fileURLToPath(new URL('../../../../', import.meta.url));
const head = (length: number): string =>
  `POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\ncontent-length: ${length}\r\n\r\n`;

test('a stop answers what has arrived, refuses what is new, closes the idle and the half-sent, and ends in time', async (context) => {
  const server = await startApplication(context, { queueWaitMs: 60_000, drainTimeoutMs: 4000 });
  const { port } = await server.listen();
  const bytes = await picture(1);
  const release = server.encoder.hold();
  const working: RawConnection[] = [];
  for (let index = 0; index < 50; index++) {
    const client = await openRaw(port);
    client.socket.write(head(bytes.length));
    client.socket.write(bytes);
    working.push(client);
  }
  const halfSent: RawConnection[] = [];
  for (let index = 0; index < 10; index++) {
    const client = await openRaw(port);
    client.socket.write(head(bytes.length));
    client.socket.write(bytes.subarray(0, 100));
    halfSent.push(client);
  }
  const idle: RawConnection[] = [];
  for (let index = 0; index < 20; index++) {
    const client = await openRaw(port);
    client.socket.write('GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await client.until(/"ok"/);
    idle.push(client);
  }
  const busyKept = await openRaw(port);
  busyKept.socket.write(head(bytes.length));
  busyKept.socket.write(bytes);
  // In flight: the encoder is given no more of them at once than it has use for, and the others wait for their turn.
  await eventually(async () => /likeness_images_in_flight 51\n/.test(await server.monitoring.registry.metrics()));

  const drained = drain(server, server.settings.drainTimeoutMs);
  await Promise.all(idle.map(({ closed }) => closed));
  await assert.rejects(openRaw(port), { code: 'ECONNREFUSED' });
  assertError(await server.app.inject({ url: '/readyz' }), { status: 503, code: 'SHUTTING_DOWN' });
  assertError(await server.app.inject({ url: '/images' }), { status: 503, code: 'SHUTTING_DOWN' });
  release();
  await drained;
  for (const client of [...working, busyKept]) {
    await client.closed;
    assert.match(client.received(), /^HTTP\/1\.1 200 OK[\s\S]*"results"/);
    assert.match(client.received(), /connection: close/i);
  }
  for (const client of halfSent) {
    await client.closed;
    assert.equal(client.received(), '');
  }
});

test('a stop does not wait for ever for work that does not end', async (context) => {
  const server = await startApplication(context, { drainTimeoutMs: 200 });
  const { port } = await server.listen();
  const release = server.encoder.hold();
  const bytes = await picture(1);
  const client = await openRaw(port);
  client.socket.write(head(bytes.length));
  client.socket.write(bytes);
  await eventually(() => server.encoder.statistics.active === 1);
  await drain(server, server.settings.drainTimeoutMs);
  await client.closed;
  await eventually(() => server.encoder.statistics.active === 0); // Its work was cancelled.
  release();
});

test('the process ends with code 0 on SIGTERM, needs no recovery after it, and refuses a door that is open to all', async (context) => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-stop-'));
  context.after(() => rm(data, { recursive: true, force: true }));
  for (let round = 0; round < 2; round++) {
    const { child, url } = await startProcess(context, ['--data', data]);
    const ready = (await (await fetch(`${url}/readyz`)).json()) as {
      status: string;
      catalogue: { images: number };
      canary: string;
    };
    assert.equal(ready.status, 'ready');
    assert.deepEqual([ready.catalogue.images, ready.canary], round === 0 ? [0, 'empty'] : [1, 'found']);
    const body = new Uint8Array(await picture(1));
    const stored = await fetch(`${url}/index`, { method: 'POST', body, headers: { 'content-type': 'image/png' } });
    assert.equal(stored.status, 201);
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
  }
  await assert.rejects(startProcess(context, ['--data', data, '--host', '0.0.0.0']), /no API keys are set/);
});

test('SIGHUP drains like SIGTERM, SIGUSR1 opens no debugger, SIGUSR2 changes nothing, and a crash ends with a line of JSON', async (context) => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-stop-'));
  context.after(() => rm(data, { recursive: true, force: true }));
  const { child, url, output } = await startProcess(context, ['--data', data]);
  assert.equal((await fetch(`${url}/livez`)).status, 200); // The handlers are installed by then.
  child.kill('SIGUSR1');
  child.kill('SIGUSR2');
  await eventually(() => output().includes('SIGUSR1 is ignored') && output().includes('SIGUSR2 is ignored'));
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  assert.doesNotMatch(output(), /Debugger listening/);
  const ended = once(child, 'exit');
  child.kill('SIGHUP');
  assert.deepEqual(await ended, [0, null]);
  assert.match(output(), /"signal":"SIGHUP"/);

  // Loaded before the program: an error that no handler of the service catches, one second after it is ready.
  const fault = `data:text/javascript,${encodeURIComponent(
    "setInterval(() => { if (globalThis.stop ??= false) return; fetch(process.env.CRASH_URL).then(() => { globalThis.stop = true; setTimeout(() => { throw new Error('crashed'); }); }, () => {}); }, 200);",
  )}`;
  const crash = await startProcess(context, ['--data', data, '--port', '18471'], {
    nodeFlags: ['--import', fault],
    env: { CRASH_URL: 'http://127.0.0.1:18471/livez' },
  });
  assert.deepEqual(await once(crash.child, 'close'), [1, null]); // Not 'exit': its last line may still be unread.
  // The request that the fault came with may be logged between the error and the end.
  const last = crash.output().trim().split('\n').slice(-2);
  assert.ok(
    last.some((line) => /^\{"level":60,/.test(line) && line.includes('"message":"crashed"')),
    last.join('\n'),
  );
});

async function startProcess(
  context: TestContext,
  flags: readonly string[],
  { nodeFlags = [], env = {} }: { readonly nodeFlags?: readonly string[]; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<{ readonly child: ChildProcess; readonly url: string; readonly output: () => string }> {
  const child = spawn(process.execPath, [...nodeFlags, CLI, 'serve', '--port', '0', '--decoders', '1', ...flags], {
    cwd: REPOSITORY,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  context.after(() => void child.kill('SIGKILL'));
  let output = '';
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const found = /"url":"([^"]+)"/.exec(output);
        if (found !== null) resolve(found[1]!);
      });
    }
    child.once('close', () => reject(new Error(output)));
  });
  return { child, url, output: () => output };
}
