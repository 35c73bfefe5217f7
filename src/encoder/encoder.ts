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
  readonly preprocessing: Preprocessing;
  readonly device: Device;
  /** The runtime and its version, for people. */
  readonly runtime: string;
  /** Devices that `--device auto` looked at and left, with the reason, for the log. */
  readonly devicesNotTaken?: readonly { readonly device: Device; readonly reason: string }[];
};

/**
 * Pixels to embedding, micro-batched behind this interface. Rejects with a SearchError: OVERLOADED (queue full), DEADLINE_EXCEEDED,
 * ENCODER_FAILED (only the images of the failed batch that fail alone again), SHUTTING_DOWN; an aborted caller rejects with its reason.
 */
export interface Encoder {
  readonly description: EncoderDescription;
  encode(
    pixels: Pixels,
    request: { readonly deadline?: number; readonly signal?: AbortSignal },
  ): Promise<{ readonly embedding: Embedding; readonly queueMs: number; readonly encodeMs: number }>;
  /** For /metrics: how many images wait, how many are in the batch that runs, and how often the encoder's thread was replaced. */
  readonly statistics: { readonly queued: number; readonly active: number; readonly restarts?: number };
  close(): Promise<void>;
}
