import type { Pixels } from '../images/pixels.js';
import type { Preprocessing } from '../images/preprocessing.js';

/** A unit vector (L2 norm 1) of the encoder's `dimensions`. It always travels with its encoder's id. */
export type Embedding = Float32Array;

/** Where an encoder can run. `tensorflow` stands for TensorFlow.js without an accelerator (cpu or wasm backend). */
export type Device = 'cpu' | 'cuda' | 'webgpu' | 'tensorflow-gpu' | 'tensorflow';

/** What identifies a running encoder to clients, logs and metrics. */
export type EncoderDescription = {
  readonly name: string;
  /** Hash of weights and preprocessing, hex. */
  readonly id: string;
  readonly dimensions: number;
  /** Whether it has a local feature map. Absent: no. */
  readonly hasFeatures?: boolean;
  readonly preprocessing: Preprocessing;
  readonly device: Device;
  /** The runtime and its version, for people. */
  readonly runtime: string;
  /** Devices that `--device auto` looked at and left, with the reason, for the log. */
  readonly devicesNotTaken?: readonly { readonly device: Device; readonly reason: string }[];
};

/**
 * What an encoder says of the places of a picture: `values` [channels, height, width], row by row from the upper left of its input. Not normalised; only
 * maps of the same encoder compare.
 */
export type FeatureMap = { readonly channels: number; readonly width: number; readonly height: number; readonly values: Float32Array };

/** What a caller may ask of one encode. `deadline`: milliseconds of `performance.now()`. `features`: the feature map too, where the encoder has one. */
export type EncodeRequest = { readonly deadline?: number; readonly signal?: AbortSignal; readonly features?: boolean };

/**
 * Pixels to embedding, micro-batched behind this interface. Rejects with a SearchError: OVERLOADED (queue full), DEADLINE_EXCEEDED,
 * ENCODER_FAILED (only the images of the failed batch that fail alone again), SHUTTING_DOWN; an aborted caller rejects with its reason.
 */
export interface Encoder {
  readonly description: EncoderDescription;
  encode(
    pixels: Pixels,
    request: EncodeRequest,
  ): Promise<{ readonly embedding: Embedding; readonly features?: FeatureMap; readonly queueMs: number; readonly encodeMs: number }>;
  /** For /metrics: how many images wait, how many are in the batch that runs, and how often the encoder's thread was replaced. */
  readonly statistics: { readonly queued: number; readonly active: number; readonly restarts?: number };
  close(): Promise<void>;
}
