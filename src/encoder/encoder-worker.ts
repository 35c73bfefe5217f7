/**
 * The encoder's worker thread: owns the runtime and turns batches of pixels into embeddings, since ONNX Runtime's run()
 * blocks its thread. Started by EncoderThread, which holds the other end.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { type Handlers, portChannel, serveCalls, Transferred } from '../call-port.js';
import { writeInputTensor } from '../images/preprocessing.js';
import { chooseDevice, type DeviceNotTaken, type DeviceRequest, probeBatch } from './choose-device.js';
import type { Device } from './encoder.js';
import { checkGolden } from './golden.js';
import type { Runtime } from './runtime.js';
import type { SavedEncoder } from './saved-encoder.js';

/** Options of a worker. */
export type WorkerStart = {
  readonly encoder: SavedEncoder;
  readonly device: DeviceRequest;
  readonly threads: number;
  readonly batchSizeMax: number;
};

/** What a started worker runs on. */
export type WorkerReady = {
  readonly device: Device;
  readonly runtime: string;
  readonly notTaken: readonly DeviceNotTaken[];
};

/** Embeddings [count, D] of a batch and, where requested, feature maps [count, channels, grid height, grid width]. */
export type BatchOutputs = { readonly embeddings: Float32Array; readonly features?: Float32Array };

/** What a worker serves. */
export type EncoderCalls = {
  /** First and once: opens the device and warms it. */
  start(): WorkerReady;
  /**
   * `pixels`: `count` images, each height x width x 3 bytes, one after the other. `features` only of an encoder that
   * has them.
   */
  run(pixels: Uint8Array, count: number, features: boolean): BatchOutputs;
  /** Releases the device; the thread then ends. */
  close(): void;
};

type Port = NonNullable<typeof parentPort>;

function work(port: Port, { encoder, batchSizeMax, device, threads }: WorkerStart): void {
  const { preprocessing } = encoder.manifest;
  const { width, height } = preprocessing;
  const imageSize = width * height * 3;
  const input = new Float32Array(batchSizeMax * imageSize);
  let runtime: Runtime | undefined;

  const calls: Handlers<EncoderCalls> = {
    async start() {
      const choice = await chooseDevice(encoder, { requested: device, threads });
      runtime = choice.runtime;
      await checkGolden(encoder, runtime);
      // The first run of each size allocates and may compile: no request should wait for that later.
      for (const size of new Set([1, Math.min(8, batchSizeMax), batchSizeMax]))
        await runtime.run(probeBatch(encoder, size), size);
      return { device: runtime.device, runtime: runtime.version, notTaken: choice.notTaken };
    },
    async run(pixels, count, wantsFeatures) {
      if (runtime === undefined) throw new Error('A batch came before the start. This is a bug.');
      for (let index = 0; index < count; index++) {
        const rgb = pixels.subarray(index * imageSize, (index + 1) * imageSize);
        writeInputTensor({ pixels: { width, height, rgb }, preprocessing, target: input, index });
      }
      const batch = input.subarray(0, count * imageSize);
      const outputs = wantsFeatures
        ? await runtime.runWithFeatures(batch, count)
        : { embeddings: await runtime.run(batch, count) };
      // Copied: the runtime may own the memory of its outputs, and only our own can be transferred.
      const embeddings = outputs.embeddings.slice();
      const features = 'features' in outputs ? outputs.features.slice() : undefined;
      return features === undefined
        ? new Transferred({ embeddings }, [embeddings.buffer])
        : new Transferred({ embeddings, features }, [embeddings.buffer, features.buffer]);
    },
    async close() {
      await runtime?.close();
      port.close();
    },
  };
  serveCalls(portChannel(port), calls, { fallback: 'ENCODER_FAILED' });
}

// Only EncoderThread starts this file; it always gives a WorkerStart.
if (parentPort !== null) work(parentPort, workerData as WorkerStart);
