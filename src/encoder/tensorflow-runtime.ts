import type * as TensorFlow from '@tensorflow/tfjs-core';
import type { OnnxModel, OnnxNode, OnnxTensor } from '../compile/onnx-model.js';
import { decodeModel } from '../compile/onnx-reader.js';
import { SearchError } from '../errors.js';
import { checkSignature, inputShape, type Runtime, runsOf, TENSORFLOW_GPU_INSTALL } from './runtime.js';
import { PIXELS_INPUT, type SavedEncoder } from './saved-encoder.js';
import { CONVOLUTIONS } from './tensorflow-convolutions.js';
import { NodeArguments, type Operator, type Tf } from './tensorflow-node.js';
import { OPERATORS } from './tensorflow-operators.js';

const ALL_OPERATORS: Readonly<Record<string, Operator>> = { ...OPERATORS, ...CONVOLUTIONS };

/**
 * Loads encoder.onnx as a TensorFlow.js program: each ONNX operator becomes tfjs operations. `tensorflow-gpu` needs
 * tfjs-node-gpu and a GPU that it supports; `tensorflow` uses tfjs-node where installed, else tfjs's cpu backend (slow:
 * for tests). Throws DEVICE_UNAVAILABLE with what to install, or INVALID_ENCODER with the operator that is
 * not supported.
 */
export async function openTensorFlowRuntime(
  encoder: SavedEncoder,
  { device }: { readonly device: 'tensorflow' | 'tensorflow-gpu' },
): Promise<Runtime> {
  const { tf, version } = await loadTensorFlow(device);
  const model = decodeProgram(encoder);
  const declared = (values: OnnxModel['graph']['inputs']) => values.map(({ name, dims }) => ({ name, shape: dims }));
  checkSignature(encoder, { inputs: declared(model.graph.inputs), outputs: declared(model.graph.outputs) });
  const unknown = model.graph.nodes.find(({ op, domain }) => (domain ?? '') !== '' || !(op in ALL_OPERATORS));
  if (unknown !== undefined) {
    const name = `${unknown.domain ? `${unknown.domain}.` : ''}${unknown.op}`;
    throw new SearchError(
      'INVALID_ENCODER',
      `${encoder.folder}/encoder.onnx uses ${name}, which TensorFlow.js does not run here. Choose --device cpu.`,
    );
  }
  const constants = new Map(model.graph.initializers.map((tensor) => [tensor.name, constantOf(tf, tensor)]));
  const outputsOf: Parameters<typeof runsOf>[1] = async (batch, count, names) => {
    const outputs = tf.tidy(() => {
      const values = new Map<string, TensorFlow.Tensor>(constants);
      values.set(PIXELS_INPUT, tf.tensor(batch, [...inputShape(encoder, count)], 'float32'));
      for (const node of model.graph.nodes) execute(tf, node, values);
      return names.map((name) => values.get(name)!); // the graph writes them: checked when it was read
    });
    try {
      // by the signature
      return await Promise.all(outputs.map(async (output) => (await output.data()) as Float32Array));
    } finally {
      for (const output of outputs) output.dispose();
    }
  };
  return {
    device,
    version,
    ...runsOf(encoder, outputsOf),
    async close() {
      for (const tensor of constants.values()) tensor.dispose();
    },
  };
}

function execute(tf: Tf, node: OnnxNode, values: Map<string, TensorFlow.Tensor>): void {
  const operator = ALL_OPERATORS[node.op]!; // checked when the program was loaded
  const inputs = node.inputs.map((name) => (name === '' ? undefined : values.get(name)));
  let outputs: readonly TensorFlow.Tensor[];
  try {
    const result = operator(tf, new NodeArguments(node, inputs, (tensor) => constantOf(tf, tensor)));
    outputs = Array.isArray(result) ? result : [result as TensorFlow.Tensor]; // otherwise one tensor
  } catch (cause) {
    throw new Error(
      `TensorFlow.js cannot run node ${node.name} (${node.op}): ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        cause,
      },
    );
  }
  for (const [index, name] of node.outputs.entries()) {
    const output = outputs[index];
    if (name !== '' && output !== undefined) values.set(name, output);
  }
}

/**
 * int64 becomes int32, tfjs's only integer type: it holds shapes and axes, and "to the end" is clamped to the largest.
 */
function constantOf(tf: Tf, { name, dims, data, type }: OnnxTensor): TensorFlow.Tensor {
  const shape = [...dims];
  if (type === 'bool') return tf.tensor(data as Uint8Array, shape, 'bool'); // by its type
  if (data instanceof Float32Array) return tf.tensor(data, shape, 'float32');
  if (data instanceof Float64Array) return tf.tensor(Float32Array.from(data), shape, 'float32');
  if (data instanceof Int32Array) return tf.tensor(data, shape, 'int32');
  if (data instanceof BigInt64Array) {
    const limit = 2 ** 31 - 1;
    return tf.tensor(
      Int32Array.from(data, (value) => Math.max(-limit, Math.min(limit, Number(value)))),
      shape,
      'int32',
    );
  }
  throw new SearchError(
    'INVALID_ENCODER',
    `Tensor ${name} is ${type}, which TensorFlow.js does not run here. Choose --device cpu.`,
  );
}

function decodeProgram(encoder: SavedEncoder): OnnxModel {
  try {
    return decodeModel(encoder.onnx);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SearchError(
      'INVALID_ENCODER',
      `${encoder.folder}/encoder.onnx cannot be read for TensorFlow.js: ${reason}`,
      { cause },
    );
  }
}

async function loadTensorFlow(
  device: 'tensorflow' | 'tensorflow-gpu',
): Promise<{ readonly tf: Tf; readonly version: string }> {
  if (device === 'tensorflow-gpu') {
    const tf = await importTensorFlow('@tensorflow/tfjs-node-gpu');
    if (tf === undefined) {
      throw new SearchError(
        'DEVICE_UNAVAILABLE',
        `Device tensorflow-gpu needs a package that is not installed: ${TENSORFLOW_GPU_INSTALL}`,
      );
    }
    await tf.ready();
    if (!usesGpu(tf))
      throw new SearchError(
        'DEVICE_UNAVAILABLE',
        'tfjs-node-gpu is installed but finds no supported GPU (CUDA 11, cuDNN 8).',
      );
    return { tf, version: `tfjs-node-gpu ${tf.version_core}` };
  }
  const native = await importTensorFlow('@tensorflow/tfjs-node');
  if (native !== undefined) {
    await native.ready();
    return { tf: native, version: `tfjs-node ${native.version_core}` };
  }
  const tf = await import('@tensorflow/tfjs-core');
  await import('@tensorflow/tfjs-backend-cpu');
  await tf.setBackend('cpu');
  return { tf, version: `tfjs cpu ${tf.version_core}` };
}

/**
 * An optional package of TensorFlow.js, which registers its backend; undefined where it is not installed. Throws
 * DEVICE_UNAVAILABLE where it does not load.
 */
export async function importTensorFlow(name: string): Promise<Tf | undefined> {
  try {
    const loaded = (await import(name)) as Tf & { default?: Tf }; // these packages export all of tfjs-core
    return loaded.default ?? loaded;
  } catch (cause) {
    const isAbsent =
      cause instanceof Error &&
      'code' in cause &&
      cause.code === 'ERR_MODULE_NOT_FOUND' &&
      cause.message.includes(name);
    if (isAbsent) return undefined;
    throw new SearchError(
      'DEVICE_UNAVAILABLE',
      `${name} does not load: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        cause,
      },
    );
  }
}

/** tfjs-node's backend says whether it sees a GPU; without one it silently computes on the CPU. */
function usesGpu(tf: Tf): boolean {
  const backend: unknown = tf.backend();
  return (
    typeof backend === 'object' &&
    backend !== null &&
    'isUsingGpuDevice' in backend &&
    backend.isUsingGpuDevice === true
  );
}
