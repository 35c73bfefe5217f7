import type { Pixels } from '../images/pixels.js';
import type { Preprocessing } from '../images/preprocessing.js';

/** A vector of L2 norm 1 with the encoder's `dimensions` elements. Store it with the encoder's id only. */
export type Embedding = Float32Array;

/** Where an encoder can run. `tensorflow`: TensorFlow.js without an accelerator. */
export type Device = 'cpu' | 'cuda' | 'webgpu' | 'tensorflow-gpu' | 'tensorflow';

/** A running encoder, for clients, logs and metrics. */
export type EncoderDescription = {
  readonly name: string;
  /** SHA-256 of program and preprocessing, hex. */
  readonly id: string;
  readonly dimensions: number;
  /** Whether it has a local feature map. Absent: no. */
  readonly hasFeatures?: boolean;
  readonly preprocessing: Preprocessing;
  readonly device: Device;
  /** Name and version of the runtime. */
  readonly runtime: string;
  /** Devices that `--device auto` rejected, with the reason, for the log. */
  readonly devicesNotTaken?: readonly { readonly device: Device; readonly reason: string }[];
};

/**
 * Local features of a picture: `values` [channels, height, width], row by row from the top left. Not normalised;
 * comparable within one encoder only.
 */
export type FeatureMap = {
  readonly channels: number;
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
};

/**
 * One encode. `deadline`: milliseconds of `performance.now()`. `features`: return the feature map too, where the
 * encoder has one.
 */
type EncodeRequest = { readonly deadline?: number; readonly signal?: AbortSignal; readonly features?: boolean };

/**
 * Pixels to embedding, in micro-batches. Rejects with DEADLINE_EXCEEDED, ENCODER_FAILED (only images that fail alone,
 * too), SHUTTING_DOWN, or the reason of the caller's signal.
 */
export interface Encoder {
  readonly description: EncoderDescription;
  encode(
    pixels: Pixels,
    request: EncodeRequest,
  ): Promise<{
    readonly embedding: Embedding;
    readonly features?: FeatureMap;
    readonly queueMs: number;
    readonly encodeMs: number;
  }>;
  /** For /metrics: images that wait, images in the running batch, and replacements of the encoder's thread. */
  readonly statistics: { readonly queued: number; readonly active: number; readonly restarts?: number };
  close(): Promise<void>;
}
