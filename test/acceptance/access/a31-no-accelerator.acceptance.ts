/**
 * Without an accelerator (A31): the service starts on the CPU and says so; one that was asked for and is not there is
 * an error at the start; both runtimes agree.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openOnnxRuntime } from '../../../src/encoder/onnx-runtime.js';
import { readSavedEncoder } from '../../../src/encoder/saved-encoder.js';
import { openTensorFlowRuntime } from '../../../src/encoder/tensorflow-runtime.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { runCli, startService } from '../../service-process.js';
import { demoPictures } from '../filled-service.js';
import { atLeast, atMost, record, seedOf } from '../record.js';

const IMAGES = 64;

test('without an accelerator', async () => {
  const seed = seedOf(131);
  const data = await mkdtemp(join(tmpdir(), 'likeness-device-'));
  try {
    const service = await startService({ data, flags: ['--device', 'auto'] });
    const ready = (await (await fetch(`${service.url}/readyz`)).json()) as {
      encoder: { id: string; device: string; runtime: string };
    };
    const picture = new Uint8Array(demoPictures()[0]!);
    const served = await fetch(`${service.url}/search`, {
      method: 'POST',
      body: picture,
      headers: { 'content-type': 'image/jpeg' },
    });
    assert.equal(await service.stop(), 0);
    const absent =
      ready.encoder.device === 'cpu'
        ? await runCli('serve', '--port', '0', '--data', join(data, 'other'), '--device', 'cuda')
        : undefined;
    const other = await runCli('serve', '--port', '0', '--data', data, '--model', 'models/closed-form-cifar10');
    for (const run of [absent, other]) console.log(run?.output.trim().split('\n').at(-1));

    // What a graph is executed by must not change what it says: the runtime of the accelerators against the one of
    // the CPU.
    const saved = await readSavedEncoder('models/whitening-cifar10');
    const { width, height } = saved.manifest.preprocessing;
    const random = seededRandom(seed);
    const tensor = Float32Array.from({ length: IMAGES * 3 * width * height }, () => random() * 2 - 1);
    const runtimes = await Promise.all([
      openOnnxRuntime(saved, { device: 'cpu', threads: 1 }),
      openTensorFlowRuntime(saved, { device: 'tensorflow' }),
    ]);
    const [onnx, tensorflow] = await Promise.all(runtimes.map((runtime) => runtime.run(tensor.slice(), IMAGES)));
    for (const runtime of runtimes) await runtime.close();
    const { dimensions } = saved.manifest;
    const cosines = Array.from({ length: IMAGES }, (_, image) =>
      cosine(onnx!, tensorflow!, image * dimensions, dimensions),
    );
    record({
      criterion: 'A31',
      given: `--device auto on this machine (${ready.encoder.device}, ${ready.encoder.runtime}); ${IMAGES} random images through both runtimes; a catalogue opened with another encoder`,
      seed,
      measures: [
        atMost('searches not answered 200 by what the service chose', Number(served.status !== 200), 0),
        atMost(
          'an accelerator that is not there and was asked for, not refused by name',
          Number(absent !== undefined && (absent.exitCode === 0 || !/Device cuda cannot be used/.test(absent.output))),
          0,
        ),
        atLeast('least cosine between the embeddings of two runtimes', Math.min(...cosines), 0.999),
        atMost(
          'another encoder not refused',
          Number(other.exitCode === 0 || !/was made with encoder .* cannot be compared/s.test(other.output)),
          0,
        ),
      ],
    });
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});

function cosine(a: Float32Array, b: Float32Array, from: number, length: number): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let at = from; at < from + length; at++) {
    dot += a[at]! * b[at]!;
    aa += a[at]! ** 2;
    bb += b[at]! ** 2;
  }
  return dot / Math.sqrt(aa * bb);
}
