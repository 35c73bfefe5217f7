/**
 * A saved encoder as a backbone: its program taken apart, and the places in it where features can be tapped.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { OnnxGraph, OnnxModel, OnnxNode } from '../../compile/onnx-model.js';
import { decodeModel } from '../../compile/onnx-reader.js';
import { encodeModel } from '../../compile/onnx-writer.js';
import { inputShape } from '../../encoder/runtime.js';
import { EMBEDDING_OUTPUT, PIXELS_INPUT, readSavedEncoder, type SavedEncoder } from '../../encoder/saved-encoder.js';
import { SearchError } from '../../errors.js';

export type Backbone = { readonly encoder: SavedEncoder; readonly model: OnnxModel };

/**
 * A value in the backbone's program from which features are pooled. `map`: [batch, channels, height, width]. `tokens`:
 * [batch, tokens, channels], the first `prefix` of them not patches of the picture (a class token, registers).
 */
export type Tap =
  | {
      readonly kind: 'map';
      readonly name: string;
      readonly channels: number;
      readonly height: number;
      readonly width: number;
    }
  | {
      readonly kind: 'tokens';
      readonly name: string;
      readonly channels: number;
      readonly tokens: number;
      readonly prefix: number;
    };

/** Fewer channels are colours rather than features. */
const CHANNELS_MIN = 8;
/** Operators whose result is a map, channels first, whatever else the program does with it. */
const MAP_MAKERS = new Set(['Conv', 'FusedConv', 'ConvTranspose', 'MaxPool', 'AveragePool']);
/** Operators that leave the order of the dimensions as it is. */
const KEEPERS = new Set([
  ...['Relu', 'LeakyRelu', 'PRelu', 'Elu', 'Selu', 'Gelu', 'Mish', 'HardSigmoid', 'HardSwish', 'Sigmoid', 'Tanh'],
  ...['Erf', 'Exp', 'Softplus', 'Clip', 'Min', 'Max', 'Add', 'Sub', 'Mul', 'Div', 'Pow', 'Sqrt', 'Concat', 'Split'],
  ...['BatchNormalization', 'InstanceNormalization', 'LpNormalization', 'Identity', 'Cast', 'Dropout', 'Pad', 'Resize'],
]);
/** Operators that read a finished map: what stands between them is part of a layer. */
const MAP_READERS = new Set([
  ...MAP_MAKERS,
  ...['GlobalAveragePool', 'GlobalMaxPool', 'ReduceMean', 'Flatten', 'Reshape'],
]);

/** Reads the saved encoder in `folder`. INVALID_ENCODER as readSavedEncoder, and where its program cannot be cut. */
export async function readBackbone(folder: string): Promise<Backbone> {
  const encoder = await readSavedEncoder(folder);
  try {
    return { encoder, model: decodeModel(encoder.onnx) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `${folder}/encoder.onnx cannot be taken apart: ${reason} Export it without control flow, weights inside.`;
    throw new SearchError('INVALID_ENCODER', message, { cause });
  }
}

/**
 * The values that can be tapped on the way to the embedding, in the program's order: where there are two or more
 * sequences of tokens (normalised, or sums of the residual stream) these, else the maps that a layer reads.
 */
export async function tapCandidates(backbone: Backbone): Promise<readonly Tap[]> {
  const { graph } = backbone.model;
  const wanted = [EMBEDDING_OUTPUT, ...featuresOf(backbone)];
  const nodes = nodesTowards(graph, wanted);
  const tokens = await shapedTaps(backbone, tokenNames(graph, nodes), 'tokens');
  return tokens.length > 1 ? tokens : shapedTaps(backbone, mapNames(backbone, nodes), 'map');
}

/** The taps of these names. INVALID_SETTINGS where one is no map or tokens, with the names that could be meant. */
export async function namedTaps(backbone: Backbone, names: readonly string[]): Promise<readonly Tap[]> {
  const values = new Set(backbone.model.graph.nodes.flatMap(({ outputs }) => outputs));
  const found = await shapedTaps(backbone, names.filter(values.has, values), 'any');
  const missing = names.find((name) => !found.some((tap) => tap.name === name));
  if (missing !== undefined) {
    const what = values.has(missing) ? 'is neither a map nor a sequence of tokens' : 'is not a value of its program';
    const known = (await tapCandidates(backbone)).map(describeTap).join(', ');
    const message = `--taps: ${missing} ${what} (${backbone.encoder.folder}). What can be tapped: ${known}.`;
    throw new SearchError('INVALID_SETTINGS', message);
  }
  return names.map((name) => found.find((tap) => tap.name === name)!);
}

/** The part of a graph that `outputs` need, in its order. */
export function nodesTowards(graph: OnnxGraph, outputs: readonly string[]): readonly OnnxNode[] {
  const needed = new Set(outputs);
  return [...graph.nodes]
    .reverse()
    .filter((node) => {
      if (!node.outputs.some((name) => needed.has(name))) return false;
      for (const name of node.inputs) needed.add(name);
      return true;
    })
    .reverse();
}

/** One line for people: name and shape. */
export function describeTap(tap: Tap): string {
  const shape =
    tap.kind === 'map' ? `${tap.channels} x ${tap.height} x ${tap.width}` : `${tap.tokens} tokens of ${tap.channels}`;
  return `${tap.name} (${shape})`;
}

function featuresOf({ encoder }: Backbone): readonly string[] {
  const { features } = encoder.manifest.outputs;
  return features === undefined ? [] : [features.name];
}

function mapNames(backbone: Backbone, nodes: readonly OnnxNode[]): readonly string[] {
  const maps = new Set<string>();
  for (const { op, inputs, outputs } of nodes)
    if (MAP_MAKERS.has(op) || (KEEPERS.has(op) && inputs.some((name) => maps.has(name))))
      for (const name of outputs) maps.add(name);
  const read = new Set([
    ...featuresOf(backbone),
    ...nodes.flatMap(({ op, inputs }) => (MAP_READERS.has(op) ? inputs.slice(0, 1) : [])),
  ]);
  return nodes.flatMap(({ outputs }) => outputs.filter((name) => maps.has(name) && read.has(name)));
}

/** Layer normalisations where the program has them as operators, else sums of two computed values. */
function tokenNames(graph: OnnxGraph, nodes: readonly OnnxNode[]): readonly string[] {
  const normalised = nodes.filter(({ op }) => op === 'LayerNormalization');
  const constants = new Set(graph.initializers.map(({ name }) => name));
  const sums = nodes.filter(({ op, inputs }) => op === 'Add' && inputs.every((name) => !constants.has(name)));
  return (normalised.length > 0 ? normalised : sums).flatMap(({ outputs }) => outputs.slice(0, 1));
}

/** The named values with their shapes, as the program itself tells them; those of other shapes are left out. */
async function shapedTaps(
  backbone: Backbone,
  names: readonly string[],
  kind: Tap['kind'] | 'any',
): Promise<readonly Tap[]> {
  if (names.length === 0) return [];
  const { encoder, model } = backbone;
  const { width, height } = encoder.manifest.preprocessing;
  const batch = 2;
  const shapes = await shapesOf(backbone, names, batch);
  return names.flatMap((name, index): Tap[] => {
    const [count, ...dims] = shapes[index]!;
    if (count !== batch) return [];
    const [first = 0, second = 0, third = 0] = dims;
    if (dims.length === 3 && kind !== 'tokens' && first >= CHANNELS_MIN && second > 1 && third > 1)
      return [{ kind: 'map', name, channels: first, height: second, width: third }];
    if (dims.length === 2 && kind !== 'map' && second >= CHANNELS_MIN && first > 1) {
      const square = Math.floor(Math.sqrt(first)) ** 2;
      return [{ kind: 'tokens', name, channels: second, tokens: first, prefix: width === height ? first - square : 0 }];
    }
    return [];
  });

  /** A Shape operator beside each value: declared outputs would need the shapes that are asked for. */
  async function shapesOf({ encoder: { folder } }: Backbone, values: readonly string[], count: number) {
    const { graph, ...rest } = model;
    const output = (index: number): string => `likeness_shape_${index}`;
    const nodes = nodesTowards(graph, values);
    const program = encodeModel({
      ...rest,
      graph: {
        ...usedInitializers(graph, nodes),
        nodes: [
          ...nodes,
          ...values.map((value, index) => ({ op: 'Shape', inputs: [value], outputs: [output(index)] })),
        ],
        outputs: values.map((_, index) => ({ name: output(index), type: 'int64', dims: [`rank_${index}`] }) as const),
      },
    });
    const session = await InferenceSession.create(program, { logSeverityLevel: 3 });
    try {
      const shape = inputShape(encoder, count);
      const pixels = new Tensor('float32', new Float32Array(shape.reduce((a, b) => a * b, 1)), [...shape]);
      const outputs = await session.run({ [PIXELS_INPUT]: pixels });
      return values.map((_, index) => Array.from(outputs[output(index)]!.data as BigInt64Array, Number));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new SearchError('INVALID_ENCODER', `${folder}/encoder.onnx does not run: ${reason}`, { cause });
    } finally {
      await session.release();
    }
  }
}

/** The graph without the constants that these nodes do not read. */
export function usedInitializers(graph: OnnxGraph, nodes: readonly OnnxNode[]): OnnxGraph {
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  return { ...graph, initializers: graph.initializers.filter(({ name }) => read.has(name)) };
}
