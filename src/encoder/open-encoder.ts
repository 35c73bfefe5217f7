import { availableParallelism } from 'node:os';
import { SearchError } from '../errors.js';
import type { Pixels } from '../images/pixels.js';
import { Batcher } from './batcher.js';
import type { DeviceRequest } from './choose-device.js';
import type { Embedding, Encoder, FeatureMap } from './encoder.js';
import { BatchHungError, EncoderThread } from './encoder-thread.js';
import { readSavedEncoder } from './saved-encoder.js';

export type OpenEncoderOptions = {
  /** Folder of a saved encoder. */
  readonly folder: string;
  readonly device: DeviceRequest;
  /** CPU threads of one operation. Default: one per processor. */
  readonly threads?: number;
  readonly batchSizeMax?: number;
  readonly waitMs?: number;
  /** Default 100,000: the callers' admission is the bound. */
  readonly queueSizeMax?: number;
  /**
   * A batch that takes longer is taken to hang, and its thread is replaced. For services; default: none, since a busy
   * machine may take any time.
   */
  readonly batchTimeoutMs?: number;
  /** Longest start. Default: none. */
  readonly startTimeoutMs?: number;
  /** Called after every batch, for /metrics: its images, and milliseconds from request to response. */
  readonly onBatch?: (size: number, ms: number) => void;
  /** For tests: another worker. */
  readonly workerUrl?: URL;
};

/** Range of norms that count as 1, with room for a half-precision device. */
const NORM_MIN = 0.99;
const NORM_MAX = 1.01;

/**
 * Opens a saved encoder: verifies its folder, starts its worker thread, chooses the device there and warms it. When
 * this resolves, the encoder runs at full speed. Rejects with INVALID_ENCODER, DEVICE_UNAVAILABLE or ENCODER_FAILED.
 */
export async function openEncoder(options: OpenEncoderOptions): Promise<Encoder> {
  const {
    folder,
    device,
    threads = availableParallelism(),
    batchSizeMax = 32,
    waitMs = 2,
    queueSizeMax = 100_000,
    onBatch,
    workerUrl,
  } = options;
  const { batchTimeoutMs, startTimeoutMs } = options;
  const encoder = await readSavedEncoder(folder);
  const { name, id, dimensions, preprocessing } = encoder.manifest;
  const thread = await EncoderThread.start({
    start: { encoder, device, threads, batchSizeMax },
    batchTimeoutMs,
    startTimeoutMs,
    ...(workerUrl !== undefined && { workerUrl }),
  });

  const maps = encoder.manifest.outputs.features;
  const run = async (items: readonly Item[]): Promise<readonly (Encoded | Error)[]> => {
    const start = performance.now();
    try {
      const wantsFeatures = maps !== undefined && items.some((item) => item.features);
      const outputs = await thread.run(joinPixels(items.map(({ pixels }) => pixels)), items.length, wantsFeatures);
      onBatch?.(items.length, performance.now() - start);
      return items.map((item, index) => {
        const embedding = unitVector(
          outputs.embeddings.slice(index * dimensions, (index + 1) * dimensions),
          dimensions,
        );
        if (embedding instanceof Error || maps === undefined || outputs.features === undefined || !item.features) {
          return embedding instanceof Error ? embedding : { embedding };
        }
        const { channels, grid } = maps;
        const size = channels * grid.width * grid.height;
        return {
          embedding,
          features: { channels, ...grid, values: outputs.features.slice(index * size, (index + 1) * size) },
        };
      });
    } catch (error) {
      if (error instanceof BatchHungError) return items.map(() => error);
      throw error;
    }
  };
  const batcher = new Batcher({ run, batchSizeMax, waitMs, queueSizeMax });

  return {
    get description() {
      const { device: taken, runtime, notTaken } = thread.ready;
      return {
        name,
        id,
        dimensions,
        hasFeatures: maps !== undefined,
        preprocessing,
        device: taken,
        runtime,
        devicesNotTaken: notTaken,
      };
    },
    get statistics() {
      return { ...batcher.statistics, restarts: thread.restarts };
    },
    async encode(pixels, request) {
      const { width, height } = preprocessing;
      // Checked here, since in its batch the other images would fail with it.
      if (pixels.width !== width || pixels.height !== height || pixels.rgb.length !== width * height * 3) {
        throw new Error(
          `Pixels are ${pixels.width}x${pixels.height}; the encoder takes ${width}x${height}. This is a bug.`,
        );
      }
      const { value, queueMs, runMs } = await batcher.add({ pixels, features: request.features ?? false }, request);
      return { ...value, queueMs, encodeMs: runMs };
    },
    async close() {
      await batcher.close();
      await thread.close();
    },
  };
}

type Item = { readonly pixels: Pixels; readonly features: boolean };
type Encoded = { readonly embedding: Embedding; readonly features?: FeatureMap };

/** One buffer, so that a batch is transferred to the worker as a whole. */
function joinPixels(items: readonly Pixels[]): Uint8Array<ArrayBuffer> {
  const size = items[0]?.rgb.length ?? 0;
  const joined = new Uint8Array(items.length * size);
  for (const [index, { rgb }] of items.entries()) joined.set(rgb, index * size);
  return joined;
}

/** An embedding whose norm is not 1 must not reach the catalogue; it fails its own image only. */
function unitVector(embedding: Embedding, dimensions: number): Embedding | Error {
  let squares = 0;
  for (const value of embedding) squares += value * value;
  const norm = Math.sqrt(squares);
  if (embedding.length === dimensions && norm > NORM_MIN && norm < NORM_MAX) return embedding; // NaN is neither
  return new SearchError('ENCODER_FAILED', `The embedding of this image has norm ${norm}, not 1.`);
}
