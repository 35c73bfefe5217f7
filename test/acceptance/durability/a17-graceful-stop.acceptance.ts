/**
 * SIGTERM under load (A17): 50 requests in flight are answered, 10 half-sent uploads and 20 idle connections hold
 * nothing up, the process ends with code 0 within 10 s, and the next start needs no recovery. A second SIGTERM ends it
 * at once.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { Agent, get, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { type ServiceProcess, startService } from '../../service-process.js';
import { atLeast, atMost, figure, record } from '../record.js';

const IN_FLIGHT = 50;
const HALF_SENT = 10;
const IDLE = 20;

/** Takes a decoder a few tenths of a second. */
async function largePicture(seed: number): Promise<Buffer> {
  const rgb = Uint8Array.from({ length: 8 * 8 * 3 }, (_, place) => (place * 37 + seed * 101) % 256);
  return sharp(rgb, { raw: { width: 8, height: 8, channels: 3 } })
    .resize(2000, 2000)
    .jpeg({ progressive: true })
    .toBuffer();
}

/**
 * All that are in flight shall be answered with a result, however slow the machine: what is refused for want of room is
 * another criterion's.
 */
const PATIENT = ['--queue-wait-ms', '60000'];

async function withService(
  flags: readonly string[],
  use: (service: ServiceProcess, data: string) => Promise<void>,
): Promise<void> {
  const data = await mkdtemp(join(tmpdir(), 'likeness-stop-'));
  try {
    await use(await startService({ data, flags }), data);
  } finally {
    await rm(data, { recursive: true, force: true });
  }
}

/** Sends a request whole; resolves with its status when it is answered. */
function post(url: string, body: Buffer): { readonly sent: Promise<unknown>; readonly status: Promise<number> } {
  const outgoing = request(url, {
    method: 'POST',
    headers: { 'content-type': 'image/jpeg', 'content-length': body.length },
    agent: false,
  });
  const status = new Promise<number>((resolve, reject) => {
    outgoing.once('error', reject).once('response', (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    });
  });
  status.catch(() => undefined); // awaited below
  outgoing.end(body);
  return { sent: once(outgoing, 'finish'), status };
}

/**
 * Waits until the service has seen so many requests: what still waits in the listening socket when it closes was never
 * in flight.
 */
async function haveArrived(
  service: ServiceProcess,
  requests: readonly { readonly status: Promise<number> }[],
  count: number,
): Promise<void> {
  let answered = 0;
  for (const { status } of requests)
    status.then(
      () => answered++,
      () => undefined,
    );
  for (;;) {
    const metrics = await (await fetch(`${service.url}/metrics`)).text();
    const inFlight = Number(/^likeness_requests_in_flight (\d+)$/m.exec(metrics)?.[1]) - 1; // less this one
    if (inFlight + answered >= count) return;
    await sleep(20);
  }
}

test(`SIGTERM with ${IN_FLIGHT} requests in flight, ${HALF_SENT} half-sent uploads and ${IDLE} idle connections`, () =>
  withService(PATIENT, async (service, data) => {
    const { port } = new URL(service.url);
    const agent = new Agent({ keepAlive: true, maxSockets: IDLE });
    await Promise.all(
      Array.from({ length: IDLE }, async () => {
        const [response] = await once(get(`${service.url}/livez`, { agent }), 'response');
        await once(response.resume(), 'end');
      }),
    );
    const halves = Array.from({ length: HALF_SENT }, () => {
      const socket = connect(Number(port), '127.0.0.1').on('error', () => undefined);
      socket.write(
        'POST /index HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: image/jpeg\r\ncontent-length: 100000\r\n\r\nhalf',
      );
      return socket;
    });
    const pictures = await Promise.all(Array.from({ length: IN_FLIGHT }, (_, seed) => largePicture(seed)));
    const requests = pictures.map((picture, place) => post(`${service.url}/index?id=image-${place}`, picture));
    await Promise.all(requests.map(({ sent }) => sent));
    await haveArrived(service, requests, IN_FLIGHT + HALF_SENT);
    const startedAt = performance.now();
    const exit = service.stop();
    const statuses = await Promise.all(requests.map(({ status }) => status));
    const answeredMs = performance.now() - startedAt;
    assert.equal(await exit, 0, service.log());
    const elapsedMs = performance.now() - startedAt;
    assert.deepEqual(
      statuses,
      Array.from({ length: IN_FLIGHT }, () => 201),
    );
    for (const socket of halves) socket.destroy();
    agent.destroy();
    await assert.rejects(fetch(`${service.url}/livez`));

    assert.ok(!(await readdir(data)).includes('catalogue.db-wal'), 'a log was left that the next start must read');
    const again = await startService({ data });
    assert.doesNotMatch(again.log(), /rebuilt|not used/);
    const { images } = (await (await fetch(`${again.url}/images?limit=100`)).json()) as { images: unknown[] };
    assert.equal(await again.stop(), 0);
    record({
      criterion: 'A17',
      part: 'first',
      given: `SIGTERM with ${IN_FLIGHT} uploads of 4 megapixels in flight, ${HALF_SENT} half-sent uploads and ${IDLE} idle connections; exit code 0; the next start finds no log to recover and reads its index`,
      measures: [
        atLeast('of those in flight, answered 201 and stored', images.length, IN_FLIGHT),
        figure('the last of them answered after', answeredMs / 1000, 's'),
        atMost('ended after', elapsedMs / 1000, 10, 's'),
      ],
    });
  }));

test('a second SIGTERM ends the process at once', () =>
  withService(['--drain-timeout-ms', '60000', '--decoders', '1'], async (service) => {
    const pictures = await Promise.all(Array.from({ length: IN_FLIGHT }, (_, seed) => largePicture(seed)));
    const requests = pictures.map((picture) => post(`${service.url}/search`, picture));
    await Promise.all(requests.map(({ sent }) => sent));
    await haveArrived(service, requests, IN_FLIGHT);
    const exit = service.stop();
    while (!/stopping/.test(service.log()) && service.process.exitCode === null) {
      // At log level warn the signal is not logged; new requests tell that it was heard.
      const response = await fetch(`${service.url}/livez`).catch(() => undefined);
      if (response?.status !== 200) break;
      await sleep(20);
    }
    const startedAt = performance.now();
    service.process.kill('SIGTERM');
    assert.equal(await exit, 1);
    const elapsedMs = performance.now() - startedAt;
    await Promise.allSettled(requests.map(({ status }) => status));
    record({
      criterion: 'A17',
      part: 'second',
      given: `a second SIGTERM while ${IN_FLIGHT} searches are still answered`,
      measures: [atMost('ended after', elapsedMs / 1000, 1, 's')],
    });
  }));
