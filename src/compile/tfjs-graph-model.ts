/**
 * TensorFlow.js graph models (model.json and shards) as ONNX programs: tfjs's own executor runs the graph under the
 * trace, so every operation that has a lowering can be imported.
 */
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { exportInference } from './export-inference.js';

/** The first node that takes the pictures. Sizes that the model leaves free are -1. */
type GraphInput = { readonly name: string; readonly shape: readonly number[] };

/** An opened graph model with one picture as its input. */
export type GraphModel = {
  readonly input: GraphInput;
  /** The outputs that it declares. */
  readonly outputs: readonly string[];
  /** Every node that computes something, in the order of the file. */
  readonly nodes: readonly string[];
  /**
   * The model up to the node `output` as an ONNX program with a free batch: [batch, height, width, 3] in, values named
   * as the nodes (channels first where they are maps). Throws where an operation has no lowering.
   */
  toOnnx(options: { readonly height: number; readonly width: number; readonly output: string }): Uint8Array;
  close(): void;
};

type Dimension = { readonly size?: string | number };
type GraphNode = {
  readonly name: string;
  readonly op: string;
  readonly input?: readonly string[];
  readonly attr?: { shape?: { readonly shape?: { readonly dim?: readonly Dimension[] } } };
};
type ModelJson = {
  readonly format?: string;
  readonly modelTopology?: { readonly node?: readonly GraphNode[] };
  readonly weightsManifest?: readonly {
    readonly paths: readonly string[];
    readonly weights: readonly tf.io.WeightsManifestEntry[];
  }[];
};

/** Larger weights are refused before they are read. */
const WEIGHT_BYTES_MAX = 2 ** 31 - 1;

/**
 * Opens model.json and its shards. Throws an Error that names the file: not a graph model, a shard that is missing,
 * lies elsewhere or has another size than the manifest says. /
 */
export async function openGraphModel(file: string): Promise<GraphModel> {
  const { modelTopology, weightsManifest = [], format } = await readModelJson(file);
  const nodes = modelTopology?.node;
  if (nodes === undefined)
    throw new Error(
      `${file} is a ${format ?? 'model'} of layers, not a graph model. Convert it: tensorflowjs_converter --output_format=tfjs_graph_model.`,
    );
  const inputs = nodes.filter(({ op }) => op === 'Placeholder');
  const [input] = inputs;
  if (input === undefined || inputs.length > 1)
    throw new Error(`${file} has ${inputs.length} inputs [${inputs.map(({ name }) => name)}]; an encoder has one.`);
  const shape = (input.attr?.shape?.shape?.dim ?? []).map(({ size }) => Number(size ?? -1));
  // The executor checks fed tensors against this: it must allow a batch and a size of our own.
  if (input.attr?.shape !== undefined) input.attr.shape = { shape: { dim: [-1, -1, -1, 3].map((size) => ({ size })) } };

  await import('@tensorflow/tfjs-backend-cpu'); // holds the weights
  await tf.setBackend('cpu');
  const { GraphModel: Executor } = await import('@tensorflow/tfjs-converter');
  const weightSpecs = weightsManifest.flatMap(({ weights }) => weights);
  const weightData = await readShards(
    file,
    weightsManifest.flatMap(({ paths }) => paths),
    weightSpecs,
  );
  const model = new Executor({
    load: () => ({ modelTopology: { versions: {}, ...modelTopology }, weightSpecs, weightData }),
  });
  model.load();
  return {
    input: { name: input.name, shape },
    outputs: model.outputNodes,
    nodes: nodes.filter(isComputed).map(({ name }) => name),
    toOnnx({ height, width, output }) {
      const names = ancestors(nodes, output);
      return exportInference({
        input: { name: 'images', shape: [height, width, 3] },
        outputs: [output],
        run(x) {
          const tensors = model.execute({ [input.name]: x }, names) as tf.Tensor[]; // as many as names
          return Object.fromEntries(tensors.map((tensor, index) => [names[index]!, tensor]));
        },
      });
    },
    close: () => model.dispose(),
  };
}

function isComputed({ op }: GraphNode): boolean {
  return op !== 'Const' && op !== 'Placeholder';
}

/** The computed nodes that a node depends on, and itself. */
function ancestors(nodes: readonly GraphNode[], output: string): string[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const found = new Set<string>();
  const pending = [output];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const node = byName.get(name);
    if (node === undefined || !isComputed(node) || found.has(name)) continue;
    found.add(name);
    pending.push(...(node.input ?? []).map((one) => one.replace(/^\^/, '').replace(/:\d+$/, '')));
  }
  return [...found];
}

async function readModelJson(file: string): Promise<ModelJson> {
  const text = await readFile(file, 'utf8');
  try {
    return JSON.parse(text) as ModelJson; // what is used of it is checked
  } catch (cause) {
    throw new Error(`${file} is not JSON.`, { cause });
  }
}

const BYTES: Readonly<Record<string, number>> = { float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2 };

async function readShards(
  file: string,
  paths: readonly string[],
  specs: readonly tf.io.WeightsManifestEntry[],
): Promise<ArrayBuffer> {
  const expected = specs.reduce((sum, { shape, dtype, quantization }) => {
    return sum + shape.reduce((size, dim) => size * dim, BYTES[quantization?.dtype ?? dtype] ?? Number.NaN);
  }, 0);
  const shards = paths.map((path) => {
    if (basename(path) !== path) throw new Error(`${file} names the shard ${path}; shards lie beside model.json.`);
    return join(dirname(file), path);
  });
  let found = 0;
  for (const shard of shards) found += (await stat(shard)).size;
  if (found !== expected || found > WEIGHT_BYTES_MAX)
    throw new Error(`${file} asks for ${expected} bytes of weights; its shards [${paths}] hold ${found}.`);
  const data = new Uint8Array(found);
  let at = 0;
  for (const shard of shards) {
    data.set(await readFile(shard), at);
    at += (await stat(shard)).size;
  }
  return data.buffer;
}
