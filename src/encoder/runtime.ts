import { SearchError } from '../errors.js';
import type { Device } from './encoder.js';
import { EMBEDDING_OUTPUT, PIXELS_INPUT, type SavedEncoder } from './saved-encoder.js';

/**
 * A saved encoder loaded on one device: what the encoder's worker thread owns. `run` takes `count` images as one input tensor, written by
 * writeInputTensor in the layout of the preprocessing, and returns [count, D] embeddings. One call at a time.
 */
export type Runtime = {
  readonly device: Device;
  /** Name and version, for people. */
  readonly version: string;
  run(batch: Float32Array, count: number): Promise<Float32Array>;
  /** The same with the local feature maps [count, channels, grid height, grid width]. Only of an encoder whose manifest has them. */
  runWithFeatures(batch: Float32Array, count: number): Promise<{ readonly embeddings: Float32Array; readonly features: Float32Array }>;
  close(): Promise<void>;
};

/** Opens a saved encoder on one device. DEVICE_UNAVAILABLE where the device is not there, INVALID_ENCODER where the program does not fit. */
export type OpenRuntime = (encoder: SavedEncoder, options: { readonly device: Device; readonly threads: number }) => Promise<Runtime>;

/** The one command that brings TensorFlow's GPU build; also in the error of who asks for it without. */
export const TENSORFLOW_GPU_INSTALL = 'npm install @tensorflow/tfjs-node-gpu@4.22.0';

/** Name of the feature maps' output. Throws where the encoder has none, which its callers must know. */
export function featuresOutput({ manifest }: SavedEncoder): string {
  const { features } = manifest.outputs;
  if (features === undefined) throw new Error(`Encoder ${manifest.name} has no feature map. This is a bug.`);
  return features.name;
}

/** Shape of the input tensor of `count` images. */
export function inputShape(encoder: SavedEncoder, count: number): readonly [number, number, number, number] {
  const { width, height, layout } = encoder.manifest.preprocessing;
  return layout === 'NCHW' ? [count, 3, height, width] : [count, height, width, 3];
}

/** An input or output as a runtime reports it; free dimensions are names or -1, unknown shapes undefined. */
export type DeclaredValue = { readonly name: string; readonly shape: readonly (number | string)[] | undefined };

/** Throws INVALID_ENCODER where the program's inputs and outputs are not those that its manifest promises. */
export function checkSignature(
  encoder: SavedEncoder,
  declared: { inputs: readonly DeclaredValue[]; outputs: readonly DeclaredValue[] },
): void {
  const { manifest, folder } = encoder;
  const expectShape = (values: readonly DeclaredValue[], name: string, tail: readonly number[]): void => {
    const value = values.find((candidate) => candidate.name === name);
    const fits =
      value?.shape === undefined || (value.shape.length === tail.length + 1 && tail.every((size, i) => agrees(value.shape?.[i + 1], size)));
    if (value === undefined || !fits || (typeof value.shape?.[0] === 'number' && value.shape[0] > 0)) {
      const found = value === undefined ? `has [${values.map((other) => other.name).join(', ')}]` : `says [${value.shape?.join(', ')}]`;
      const message = `${folder}/encoder.onnx: ${name} must be [batch, ${tail.join(', ')}] with a free batch; the program ${found}. Export it again.`;
      throw new SearchError('INVALID_ENCODER', message);
    }
  };
  expectShape(declared.inputs, PIXELS_INPUT, inputShape(encoder, 1).slice(1));
  expectShape(declared.outputs, EMBEDDING_OUTPUT, [manifest.dimensions]);
  const { features } = manifest.outputs;
  if (features !== undefined) expectShape(declared.outputs, features.name, [features.channels, features.grid.height, features.grid.width]);
}

/** A size that the program leaves open agrees with any. */
function agrees(declared: number | string | undefined, size: number): boolean {
  return typeof declared === 'string' || declared === -1 || declared === size;
}
