import { SearchError } from '../errors.js';
import type { Device } from './encoder.js';
import { EMBEDDING_OUTPUT, PIXELS_INPUT, type SavedEncoder } from './saved-encoder.js';

/**
 * A saved encoder loaded on one device. `run` takes `count` images as one input tensor, written by writeInputTensor,
 * and returns embeddings [count, D]. One call at a time.
 */
export type Runtime = {
  readonly device: Device;
  /** Name and version of the runtime. */
  readonly version: string;
  run(batch: Float32Array, count: number): Promise<Float32Array>;
  /** Returns the feature maps [count, channels, grid height, grid width] too. Throws for an encoder without them. */
  runWithFeatures(
    batch: Float32Array,
    count: number,
  ): Promise<{ readonly embeddings: Float32Array; readonly features: Float32Array }>;
  close(): Promise<void>;
};

/**
 * Opens a saved encoder on one device. Rejects with DEVICE_UNAVAILABLE, or with INVALID_ENCODER where the program does
 * not match its manifest.
 */
export type OpenRuntime = (
  encoder: SavedEncoder,
  options: { readonly device: Device; readonly threads: number },
) => Promise<Runtime>;

/** The command that installs TensorFlow's GPU build. */
export const TENSORFLOW_GPU_INSTALL = 'npm install @tensorflow/tfjs-node-gpu@4.22.0';

/**
 * `run` and `runWithFeatures` of a runtime by one function that computes the named outputs of a batch of `count`
 * images.
 */
export function runsOf(
  encoder: SavedEncoder,
  outputsOf: (batch: Float32Array, count: number, names: readonly string[]) => Promise<Float32Array[]>,
): Pick<Runtime, 'run' | 'runWithFeatures'> {
  return {
    async run(batch, count) {
      const [embeddings] = await outputsOf(batch, count, [EMBEDDING_OUTPUT]);
      return embeddings!;
    },
    async runWithFeatures(batch, count) {
      const [embeddings, features] = await outputsOf(batch, count, [EMBEDDING_OUTPUT, featuresOutput(encoder)]);
      return { embeddings: embeddings!, features: features! };
    },
  };
}

/** Name of the feature maps' output. Throws where the encoder has none. */
function featuresOutput({ manifest }: SavedEncoder): string {
  const { features } = manifest.outputs;
  if (features === undefined) throw new Error(`Encoder ${manifest.name} has no feature map. This is a bug.`);
  return features.name;
}

/** Shape of the input tensor of `count` images. */
export function inputShape(encoder: SavedEncoder, count: number): readonly [number, number, number, number] {
  const { width, height, layout } = encoder.manifest.preprocessing;
  return layout === 'NCHW' ? [count, 3, height, width] : [count, height, width, 3];
}

/** An input or output as a runtime reports it. Free dimensions are names or -1; unknown shapes are undefined. */
export type DeclaredValue = { readonly name: string; readonly shape: readonly (number | string)[] | undefined };

/** Throws INVALID_ENCODER where the program's inputs and outputs differ from the manifest. */
export function checkSignature(
  encoder: SavedEncoder,
  declared: { inputs: readonly DeclaredValue[]; outputs: readonly DeclaredValue[] },
): void {
  const { manifest, folder } = encoder;
  const expectShape = (values: readonly DeclaredValue[], name: string, tail: readonly number[]): void => {
    const value = values.find((candidate) => candidate.name === name);
    const fits =
      value?.shape === undefined ||
      (value.shape.length === tail.length + 1 && tail.every((size, i) => agrees(value.shape?.[i + 1], size)));
    const batch = value?.shape?.[0];
    const isFixed = typeof batch === 'number' && batch > 0 && batch !== manifest.batch;
    if (value === undefined || !fits || isFixed) {
      const found =
        value === undefined
          ? `has [${values.map((other) => other.name).join(', ')}]`
          : `says [${value.shape?.join(', ')}]`;
      const message = `${folder}/encoder.onnx: ${name} must be [batch, ${tail.join(', ')}] with a free batch; the program ${found}. Export it again.`;
      throw new SearchError('INVALID_ENCODER', message);
    }
  };
  expectShape(declared.inputs, PIXELS_INPUT, inputShape(encoder, 1).slice(1));
  expectShape(declared.outputs, EMBEDDING_OUTPUT, [manifest.dimensions]);
  const { features } = manifest.outputs;
  if (features !== undefined)
    expectShape(declared.outputs, features.name, [features.channels, features.grid.height, features.grid.width]);
}

/** A runtime that gives a program of batch 1 its pictures one by one. */
export function oneByOne(runtime: Runtime): Runtime {
  const each = async <T>(
    batch: Float32Array,
    count: number,
    run: (picture: Float32Array) => Promise<T>,
  ): Promise<T[]> => {
    const size = batch.length / count;
    const results: T[] = [];
    for (let index = 0; index < count; index++)
      results.push(await run(batch.subarray(index * size, (index + 1) * size)));
    return results;
  };
  return {
    ...runtime,
    run: async (batch, count) => joined(await each(batch, count, (picture) => runtime.run(picture, 1))),
    async runWithFeatures(batch, count) {
      const results = await each(batch, count, (picture) => runtime.runWithFeatures(picture, 1));
      return {
        embeddings: joined(results.map(({ embeddings }) => embeddings)),
        features: joined(results.map(({ features }) => features)),
      };
    },
  };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A free size agrees with any. */
function agrees(declared: number | string | undefined, size: number): boolean {
  return typeof declared === 'string' || declared === -1 || declared === size;
}
