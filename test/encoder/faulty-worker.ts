/**
 * An encoder worker that misbehaves on command, for tests: the first byte of an image says how. 0 to 199: its one-hot place (mod D) is the
 * embedding. 200: the batch fails. 201: the thread dies. 202: the thread hangs. 203: an embedding of NaN.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { WorkerRequest, WorkerResponse, WorkerStart } from '../../src/encoder/encoder-worker.js';

const { encoder } = workerData as WorkerStart; // Started by EncoderThread only.
const { dimensions, preprocessing } = encoder.manifest;
const respond = (response: WorkerResponse) => parentPort?.postMessage(response);

parentPort?.on('message', (request: WorkerRequest) => {
  if (request === null) {
    parentPort?.close();
    return;
  }
  const { id, pixels, count } = request;
  const size = preprocessing.width * preprocessing.height * 3;
  const firsts = Array.from({ length: count }, (_, index) => pixels[index * size]!);
  if (firsts.includes(201)) process.exit(1);
  if (firsts.includes(202)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); // As in native code, until the process ends.
  if (firsts.includes(200)) {
    respond({ kind: 'failed', id, error: { code: 'ENCODER_FAILED', message: 'poison' } });
    return;
  }
  const embeddings = new Float32Array(count * dimensions);
  for (const [index, first] of firsts.entries()) embeddings[index * dimensions + (first % dimensions)] = first === 203 ? Number.NaN : 1;
  respond({ kind: 'embeddings', id, embeddings });
});
respond({ kind: 'ready', device: 'cpu', runtime: 'faulty', notTaken: [] });
