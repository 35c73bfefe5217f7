/**
 * What an embedding costs: images per second of the bare runtime (pixels already numbers, one thread that does nothing
 * else) against the whole encoder (batcher, worker thread, pixels turned into numbers), side by side in one process.
 *
 *   node dist/bench/encode.js [SAVED_ENCODER]
 */
import { openOnnxRuntime } from '../src/encoder/onnx-runtime.js';
import { openEncoder } from '../src/encoder/open-encoder.js';
import { readSavedEncoder } from '../src/encoder/saved-encoder.js';
import type { Pixels } from '../src/images/pixels.js';

const SECONDS = 0.1;
const ROUNDS = 30;
const BATCHES = [1, 8, 32];
const THREADS = [1, 2];

const folder = process.argv[2] ?? 'models/whitening-cifar10';
const saved = await readSavedEncoder(folder);
const { width, height } = saved.manifest.preprocessing;
const size = width * height * 3;
const pixels: Pixels = { width, height, rgb: Uint8Array.from({ length: size }, (_, at) => (at * 37) % 256) };

console.log(`${saved.manifest.name}: images per second, best of ${ROUNDS} x ${SECONDS} s`);
console.log('threads  batch   bare runtime   encoder   ratio   added per batch');
for (const threads of THREADS) {
  for (const batch of BATCHES) {
    const runtime = await openOnnxRuntime(saved, { device: 'cpu', threads });
    const input = new Float32Array(batch * size).fill(0.1);
    const encoder = await openEncoder({ folder, device: 'cpu', threads, batchSizeMax: batch });
    const runBare = () => runtime.run(input, batch);
    // As many callers as a batch holds, each of whom comes back at once: what a busy server looks like from here.
    const runEncoder = () => Promise.all(Array.from({ length: batch }, () => encoder.encode(pixels, {})));
    let bare = 0;
    let whole = 0;
    for (let round = 0; round < ROUNDS; round++) {
      bare = Math.max(bare, await callsPerSecond(runBare));
      whole = Math.max(whole, await callsPerSecond(runEncoder));
    }
    await Promise.all([runtime.close(), encoder.close()]);
    const figures = [threads, batch, (bare * batch).toFixed(0), (whole * batch).toFixed(0), (whole / bare).toFixed(2)];
    const [a, b, c, d, e] = figures.map(String);
    console.log(
      `${a?.padStart(7)}${b?.padStart(7)}${c?.padStart(15)}${d?.padStart(10)}${e?.padStart(8)}${(1000 / whole - 1000 / bare).toFixed(3).padStart(15)} ms`,
    );
  }
}

async function callsPerSecond(call: () => Promise<unknown>): Promise<number> {
  await call();
  const start = performance.now();
  let calls = 0;
  while (performance.now() - start < SECONDS * 1000) {
    await call();
    calls++;
  }
  return (1000 * calls) / (performance.now() - start);
}
