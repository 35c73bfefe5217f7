/**
 * An encoder worker that misbehaves on command, for tests: the first byte of an image says how. 0 to 199: its one-hot
 * place (mod D) is the embedding. 200: the batch fails. 201: the thread dies. 202: the thread hangs. 203: an embedding
 * of NaN.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { portChannel, serveCalls } from '../../src/call-port.js';
import type { EncoderCalls, WorkerStart } from '../../src/encoder/encoder-worker.js';
import { SearchError } from '../../src/errors.js';

const { encoder } = workerData as WorkerStart; // Started by EncoderThread only.
const { dimensions, preprocessing } = encoder.manifest;
const port = parentPort;
if (port === null) throw new Error('This is a worker.');

serveCalls<EncoderCalls>(portChannel(port), {
  start: () => ({ device: 'cpu', runtime: 'faulty', notTaken: [] }),
  run(pixels, count) {
    const size = preprocessing.width * preprocessing.height * 3;
    const firsts = Array.from({ length: count }, (_, index) => pixels[index * size]!);
    if (firsts.includes(201)) process.exit(1);
    // As in native code, until the process ends.
    if (firsts.includes(202)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    if (firsts.includes(200)) throw new SearchError('ENCODER_FAILED', 'poison');
    const embeddings = new Float32Array(count * dimensions);
    for (const [index, first] of firsts.entries())
      embeddings[index * dimensions + (first % dimensions)] = first === 203 ? Number.NaN : 1;
    return { embeddings };
  },
  close: () => port.close(),
});
