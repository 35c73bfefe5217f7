import type * as tf from '@tensorflow/tfjs-core';
import { encodeModel } from './onnx-writer.js';
import { type FreeDimension, toModel } from './serialise.js';
import { type NamedTensors, trace } from './trace.js';

/** Two primes that divide no shape of a network: stand-ins for the free batch size. */
const BATCH_SIZES: readonly [number, number] = [100_003, 100_019];

/**
 * The ONNX model of an encoder, with a batch of any size. input: its name and the shape of one item (without the
 * batch). `run` maps [batch, ...shape] to outputs whose first axis is the batch; tensors it closes over (weights,
 * folded batch norm) become constants of the model, and what can be computed from them alone is. Tensors that
 * `outputs` leaves out only name a value of the program. Throws where the program depends on the size of the batch, as
 * batch norm in training does.
 */
export function exportInference(options: {
  readonly input: { readonly name: string; readonly shape: readonly number[] };
  readonly run: (x: tf.Tensor) => NamedTensors;
  /** Default: every tensor that `run` returns. */
  readonly outputs?: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
}): Uint8Array {
  const [first, second] = BATCH_SIZES.map((size) => exportAt({ name: 'batch', size }, options));
  // Equal programs at both sizes hold for every size.
  if (first === undefined || second === undefined || Buffer.compare(first, second) !== 0) {
    throw new Error(
      'The exported function depends on the size of the batch (a mean over it, say); batch norm needs its moving statistics here.',
    );
  }
  return first;
}

function exportAt(batch: FreeDimension, options: Parameters<typeof exportInference>[0]): Uint8Array {
  const { input, run, metadata = {} } = options;
  const spec = { shape: [batch.size, ...input.shape], dtype: 'float32' } as const;
  const { graph, outputs: values } = trace({ [input.name]: spec }, (tensors) => run(tensors[input.name]!));
  const outputs = new Map([...values].filter(([name]) => options.outputs?.includes(name) ?? true));
  for (const [name, { dims }] of outputs) {
    if (dims[0] !== batch.size) throw new Error(`Output ${name} does not begin with the batch: [${dims}].`);
  }
  return encodeModel(toModel(graph, outputs, { name: 'encoder', free: batch, metadata, names: values }));
}
