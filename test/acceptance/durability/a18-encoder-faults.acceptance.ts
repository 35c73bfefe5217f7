/**
 * Encoder faults (A18): the encoder's thread is killed or hangs, 20 times, with requests waiting; and a batch holds one
 * poisoned image. Pictures of one colour tell a faulty worker what to do: their first byte is the command.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { openEncoder } from '../../../src/encoder/open-encoder.js';
import { startApplication } from '../../server/application.js';
import { inLanes } from '../lanes.js';
import { type Hit, openLoop, quantile, type Shot } from '../load.js';
import { atMost, below, figure, record, seedOf } from '../record.js';

const FAULTS = 20;
const DIES = 201;
const HANGS = 202;
const FAILS = 200;
const WAITING = 16;
const BATCH_TIMEOUT_MS = 2000;
const REQUEST_TIMEOUT_MS = 8000;
const RECOVERY_MS = 15_000;
const BATCH = 32;

const flat = async (red: number): Promise<Buffer> =>
  sharp({ create: { width: 32, height: 32, channels: 3, background: { r: red, g: 0, b: 0 } } })
    .png()
    .toBuffer();
const search = (body: Buffer): Shot => ({
  method: 'POST',
  path: '/search',
  headers: { 'content-type': 'image/png' },
  body,
});

test(`${FAULTS} deaths and hangs of the encoder, and one poisoned image of ${BATCH}`, async (context) => {
  seedOf(118);
  const encoder = await openEncoder({
    folder: 'models/whitening-cifar10',
    device: 'cpu',
    batchTimeoutMs: BATCH_TIMEOUT_MS,
    // Long enough that the poisoned image finds the others waiting.
    waitMs: 50,
    workerUrl: new URL('../../encoder/faulty-worker.js', import.meta.url),
  });
  context.after(() => encoder.close());
  const settings = { requestTimeoutMs: REQUEST_TIMEOUT_MS, headersTimeoutMs: 2000, batchSizeMax: 128, decoders: 2 };
  const server = await startApplication(context, settings, { encoder });
  const { url } = await server.listen();
  const pictures = await Promise.all(Array.from({ length: WAITING }, (_, at) => flat(at)));
  const one = async (body: Buffer): Promise<Hit> => {
    const random = () => 0.5;
    const [hit] = await openLoop({ url, perSecond: 1e-9, seconds: 0.001, random, shot: () => search(body) });
    assert.ok(hit);
    return hit;
  };
  assert.equal((await one(pictures[0]!)).status, 200);

  const waits: number[] = [];
  const recoveries: number[] = [];
  let otherwise = 0;
  for (let fault = 0; fault < FAULTS; fault++) {
    const poison = one(await flat(fault % 2 === 0 ? DIES : HANGS));
    const waiting = await Promise.all([poison, ...pictures.map(one)]);
    const diedAt = performance.now();
    waits.push(...waiting.map(({ sinceSentMs }) => sinceSentMs));
    otherwise += waiting.filter(({ status }) => status !== 200 && status !== 503).length;
    for (;;) {
      const { status } = await one(pictures[fault % WAITING]!);
      if (status === 200) break;
      if (performance.now() - diedAt > 2 * RECOVERY_MS) break;
    }
    recoveries.push(performance.now() - diedAt);
  }

  const batch = await Promise.all(Array.from({ length: BATCH }, (_, at) => flat(at === 17 ? FAILS : at)));
  const statuses: number[] = [];
  await inLanes(batch, BATCH, async (picture) => {
    statuses.push((await one(picture)).status);
  });
  record({
    criterion: 'A18',
    given: `the encoder's thread dies or hangs, in turn, ${FAULTS} times with ${WAITING} searches behind; a batch counts as hung after ${BATCH_TIMEOUT_MS} ms; then ${BATCH} images, one of which fails its batch`,
    measures: [
      atMost('answers other than 200 and 503', otherwise, 0),
      atMost('longest wait', quantile(waits, 1), REQUEST_TIMEOUT_MS, 'ms'),
      below('longest recovery', quantile(recoveries, 1), RECOVERY_MS, 'ms'),
      figure('median recovery', quantile(recoveries, 0.5), 'ms'),
      atMost('of the batch failed', statuses.filter((status) => status !== 200).length, 1),
    ],
  });
});
