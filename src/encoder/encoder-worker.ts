/**
 * The encoder's thread: owns the runtime, turns batches of pixels into embeddings. ONNX Runtime's run() blocks the thread it is called on,
 * and turning pixels into numbers takes time too; here both delay nobody. Started by EncoderThread, which holds the other end.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { type SearchErrorData, toErrorData } from '../errors.js';
import { writeInputTensor } from '../images/preprocessing.js';
import { chooseDevice, type DeviceNotTaken, type DeviceRequest, probeBatch } from './choose-device.js';
import type { Device } from './encoder.js';
import type { Runtime } from './runtime.js';
import type { SavedEncoder } from './saved-encoder.js';

/** What a worker is started with. */
export type WorkerStart = {
  readonly encoder: SavedEncoder;
  readonly device: DeviceRequest;
  readonly threads: number;
  readonly batchSizeMax: number;
};

/** To the worker: `count` images, each height x width x 3 bytes, one after the other; or null: close. */
export type WorkerRequest = {
  readonly id: number;
  readonly pixels: Uint8Array;
  readonly count: number;
  /** Answer the feature maps too, of an encoder that has them. */
  readonly features?: boolean;
} | null;

/** From the worker: ready (once), no start (once), the embeddings [count, D] of a batch (with feature maps where asked for), or the failure of a whole batch. */
export type WorkerResponse =
  | { readonly kind: 'ready'; readonly device: Device; readonly runtime: string; readonly notTaken: readonly DeviceNotTaken[] }
  | { readonly kind: 'not-started'; readonly error: SearchErrorData }
  | { readonly kind: 'embeddings'; readonly id: number; readonly embeddings: Float32Array; readonly features?: Float32Array }
  | { readonly kind: 'failed'; readonly id: number; readonly error: SearchErrorData };

type Port = NonNullable<typeof parentPort>;

async function work(port: Port, start: WorkerStart): Promise<void> {
  const { encoder, batchSizeMax } = start;
  const respond = (response: WorkerResponse, transfer: readonly ArrayBuffer[] = []) => port.postMessage(response, transfer);
  let runtime: Runtime;
  try {
    const choice = await chooseDevice(encoder, { requested: start.device, threads: start.threads });
    runtime = choice.runtime;
    // The first run of each size allocates and may compile: nobody should wait for that later.
    for (const size of new Set([1, Math.min(8, batchSizeMax), batchSizeMax])) await runtime.run(probeBatch(encoder, size), size);
    respond({ kind: 'ready', device: runtime.device, runtime: runtime.version, notTaken: choice.notTaken });
  } catch (error) {
    respond({ kind: 'not-started', error: toErrorData(error, 'ENCODER_FAILED') });
    return;
  }

  const { preprocessing } = encoder.manifest;
  const { width, height } = preprocessing;
  const imageSize = width * height * 3;
  const input = new Float32Array(batchSizeMax * imageSize);
  port.on('message', async (request: WorkerRequest) => {
    if (request === null) {
      await runtime.close();
      port.close();
      return;
    }
    const { id, pixels, count, features: wantsFeatures = false } = request;
    try {
      for (let index = 0; index < count; index++) {
        const rgb = pixels.subarray(index * imageSize, (index + 1) * imageSize);
        writeInputTensor({ pixels: { width, height, rgb }, preprocessing, target: input, index });
      }
      const batch = input.subarray(0, count * imageSize);
      const outputs = wantsFeatures ? await runtime.runWithFeatures(batch, count) : { embeddings: await runtime.run(batch, count) };
      // Copied: the runtime may own the memory it answered with, and only our own can be given away.
      const owned = outputs.embeddings.slice();
      const features = 'features' in outputs ? outputs.features.slice() : undefined;
      const transfer = [owned.buffer, ...(features === undefined ? [] : [features.buffer])];
      respond({ kind: 'embeddings', id, embeddings: owned, ...(features !== undefined && { features }) }, transfer);
    } catch (error) {
      respond({ kind: 'failed', id, error: toErrorData(error, 'ENCODER_FAILED') });
    }
  });
}

// Only EncoderThread starts this file; it always gives a WorkerStart.
if (parentPort !== null) await work(parentPort, workerData as WorkerStart);
