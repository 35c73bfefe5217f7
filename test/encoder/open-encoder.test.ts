import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Encoder } from '../../src/encoder/encoder.js';
import { openOnnxRuntime } from '../../src/encoder/onnx-runtime.js';
import { type OpenEncoderOptions, openEncoder } from '../../src/encoder/open-encoder.js';
import { readSavedEncoder, writeSavedEncoder } from '../../src/encoder/saved-encoder.js';
import { SearchError } from '../../src/errors.js';
import type { Pixels } from '../../src/images/pixels.js';
import { writeInputTensor } from '../../src/images/preprocessing.js';
import { seededRandom } from '../../src/seeded-random.js';
import { firstPixels, randomPixels } from './programs.js';

const DIMENSIONS = 256;
const SHIPPED = 'models/whitening-cifar10';
let root: string;
let folder: string;

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'likeness-encoder-'));
  folder = join(root, 'small');
  const { manifest, onnx } = firstPixels(64);
  await writeSavedEncoder({ folder, manifest, onnx, card: '# test\n' });
});
after(() => rm(root, { recursive: true }));

async function withEncoder(
  options: Partial<OpenEncoderOptions>,
  check: (encoder: Encoder) => Promise<void>,
): Promise<void> {
  const encoder = await openEncoder({ folder, device: 'cpu', threads: 1, ...options });
  try {
    await check(encoder);
  } finally {
    await encoder.close();
  }
}

const workerUrl = new URL('./faulty-worker.js', import.meta.url);
const withFaulty = (options: Partial<OpenEncoderOptions>, check: (encoder: Encoder) => Promise<void>) =>
  withEncoder({ workerUrl, ...options }, check);

/** An image for the faulty worker. */
const command = (first: number): Pixels => ({ width: 8, height: 8, rgb: new Uint8Array(192).fill(first, 0, 1) });
const codeOf = (error: unknown) => (error instanceof SearchError ? error.code : String(error));
const outcome = (encoder: Encoder, first: number, deadline?: number) =>
  encoder
    .encode(command(first), deadline === undefined ? {} : { deadline })
    .then(({ embedding }) => embedding.indexOf(1), codeOf);

test('answers with the embeddings that the bare runtime computes, each for its own image, whatever the batch', async () => {
  const random = seededRandom(5, 'open-encoder');
  const images = Array.from({ length: 100 }, () => randomPixels(32, random));
  const saved = await readSavedEncoder(SHIPPED);
  const { preprocessing } = saved.manifest;
  const runtime = await openOnnxRuntime(saved, { device: 'cpu', threads: 1 });
  const batch = new Float32Array(images.length * 3072);
  for (const [index, pixels] of images.entries()) writeInputTensor({ pixels, preprocessing, target: batch, index });
  const expected = await runtime.run(batch, images.length);
  await runtime.close();
  const sizes: number[] = [];
  await withEncoder({ folder: SHIPPED, device: 'auto', onBatch: (size) => sizes.push(size) }, async (encoder) => {
    const answers = await Promise.all(images.map((pixels) => encoder.encode(pixels, {})));
    for (const [index, { embedding, queueMs, encodeMs }] of answers.entries()) {
      assert.equal(embedding.buffer.byteLength, DIMENSIONS * 4, 'an embedding owns its memory and can be given away');
      for (let at = 0; at < DIMENSIONS; at++)
        assert.ok(Math.abs(embedding[at]! - expected[index * DIMENSIONS + at]!) < 1e-5);
      assert.ok(queueMs >= 0 && encodeMs > 0);
    }
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      100,
    );
    assert.equal(Math.max(...sizes), 32);
    const { name, id, dimensions, device, runtime: version, devicesNotTaken } = encoder.description;
    assert.deepEqual([name, id, dimensions], ['whitening-cifar10', saved.manifest.id, DIMENSIONS]);
    assert.match(version, /onnxruntime \d/);
    assert.ok(device !== 'cpu' || devicesNotTaken?.length === 3);
    assert.deepEqual(encoder.statistics, { queued: 0, active: 0, restarts: 0 });
  });
});

test('a folder that is no saved encoder, and a device that is not there, keep it from opening', async () => {
  await assert.rejects(openEncoder({ folder: root, device: 'cpu' }), { code: 'INVALID_ENCODER' });
  const { manifest } = firstPixels(64);
  const broken = join(root, 'broken');
  await writeSavedEncoder({ folder: broken, manifest, onnx: Buffer.from('no program'), card: '' });
  await assert.rejects(openEncoder({ folder: broken, device: 'cpu' }), {
    code: 'INVALID_ENCODER',
    message: /encoder\.onnx does not load/,
  });
});

test('pixels of another size are refused before they meet a batch', () =>
  withEncoder({}, async (encoder) => {
    await assert.rejects(
      encoder.encode({ width: 4, height: 4, rgb: new Uint8Array(48) }, {}),
      /4x4; the encoder takes 8x8/,
    );
  }));

test('31 of 32 images succeed beside one that makes its batch fail, and beside one whose embedding is no vector', () =>
  withFaulty({}, async (encoder) => {
    for (const poison of [200, 203]) {
      const outcomes = await Promise.all(
        Array.from({ length: 32 }, (_, index) => outcome(encoder, index === 17 ? poison : index)),
      );
      assert.deepEqual(
        outcomes,
        Array.from({ length: 32 }, (_, index) => (index === 17 ? 'ENCODER_FAILED' : index)),
        `poison ${poison}`,
      );
    }
    assert.equal(encoder.statistics.restarts, 0);
  }));

test('a thread that dies is replaced, twenty times; only the image that killed it fails', () =>
  withFaulty({ batchSizeMax: 4 }, async (encoder) => {
    for (let round = 0; round < 20; round++) {
      const outcomes = await Promise.all([1, 201, 2, 3].map((first) => outcome(encoder, first)));
      assert.deepEqual(outcomes, [1, 'ENCODER_FAILED', 2, 3], `round ${round}`);
    }
    assert.ok((encoder.statistics.restarts ?? 0) >= 20);
  }));

test('a thread that hangs is replaced: its batch fails within its time, the next one succeeds', () =>
  withFaulty({ batchTimeoutMs: 100 }, async (encoder) => {
    for (let round = 0; round < 5; round++) {
      const hung = [outcome(encoder, 202), outcome(encoder, 1)];
      assert.deepEqual(await Promise.all(hung), ['ENCODER_FAILED', 'ENCODER_FAILED']);
      assert.equal(await outcome(encoder, 7), 7, `round ${round}`);
    }
    assert.equal(encoder.statistics.restarts, 5);
  }));

test('a batch that is given up while ONNX Runtime computes it takes no one with it', async () => {
  // Every batch is late: its thread is replaced in the middle of native code, which must not abort the process when
  // it returns.
  const encoder = await openEncoder({
    folder: 'models/closed-form-cifar10',
    device: 'cpu',
    threads: 1,
    batchSizeMax: 64,
    batchTimeoutMs: 2,
  });
  const { width, height } = encoder.description.preprocessing;
  const pixels = { width, height, rgb: new Uint8Array(width * height * 3).map((_, index) => index % 251) };
  for (let round = 0; round < 2; round++) {
    const results = await Promise.allSettled(Array.from({ length: 64 }, () => encoder.encode(pixels, {})));
    for (const result of results) assert.equal(result.status, 'rejected');
  }
  await encoder.close();
});

test('a caller with a deadline does not wait for a hung batch to be given up', () =>
  withFaulty({ batchTimeoutMs: 1000 }, async (encoder) => {
    assert.equal(await outcome(encoder, 202, performance.now() + 50), 'DEADLINE_EXCEEDED');
  }));

test('a worker whose every batch fails is replaced, in case it is the device', () =>
  withFaulty({}, async (encoder) => {
    for (let i = 0; i < 3; i++) assert.equal(await outcome(encoder, 200), 'ENCODER_FAILED');
    assert.equal(encoder.statistics.restarts, 1);
    assert.equal(await outcome(encoder, 9), 9);
  }));

test('close answers what was accepted and refuses what comes later', async () => {
  const encoder = await openEncoder({ folder, device: 'cpu', threads: 1, workerUrl });
  const accepted = [1, 2, 3].map((first) => outcome(encoder, first));
  const closed = encoder.close();
  assert.equal(await outcome(encoder, 4), 'SHUTTING_DOWN');
  await closed;
  assert.deepEqual(await Promise.all(accepted), [1, 2, 3]);
});
