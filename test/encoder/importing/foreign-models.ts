/** A small encoder as other projects would export it: the same weights behind other names, layouts, types and ends. */

import type { OnnxNode, OnnxTensor, OnnxValue } from '../../../src/compile/onnx-model.js';
import { onnxModelType } from '../../../src/compile/onnx-proto.js';
import { encodeModel } from '../../../src/compile/onnx-writer.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { randomTensor } from '../programs.js';

export const SIDE = 16;
const CHANNELS = 8;
const PATCH = 4;
const GRID = SIDE / PATCH;

/** Ends of the model. `tokens`: a class token and 16 patches; `vector`: a projection of the mean. */
export type End = 'map' | 'tokens' | 'vector' | 'logits' | 'constant' | 'line' | 'nan';

export type ForeignModel = {
  readonly input?: string;
  readonly type?: 'float32' | 'float16' | 'uint8';
  readonly layout?: 'NCHW' | 'NHWC';
  readonly end?: End;
  readonly output?: string;
  /** One picture at a time: a shape inside the graph says so too. */
  readonly isFixed?: boolean;
  readonly opset?: number;
  /** Another input that only another output reads, as the text of a model with two towers. */
  readonly hasText?: boolean;
};

/** The bytes of such a model. */
export function foreignModel(options: ForeignModel = {}): Uint8Array {
  const { input = 'pixel_values', type = 'float32', layout = 'NCHW', end = 'map', isFixed = false } = options;
  const { opset = 17, hasText = false } = options;
  const { output = { tokens: 'last_hidden_state', vector: 'image_embeds', logits: 'logits' }[end as string] ?? 'out' } =
    options;
  const random = seededRandom(7);
  const batch = isFixed ? 1 : 'batch';
  const initializers: OnnxTensor[] = [
    randomTensor('patch.weight', [CHANNELS, 3, PATCH, PATCH], random),
    randomTensor('projection', [CHANNELS, 6], random),
    randomTensor('head.weight', [CHANNELS, 10], random),
    randomTensor('line.in', [CHANNELS, 1], random),
    randomTensor('line.out', [1, 6], random),
    integers('rows', [isFixed ? 1 : 0, CHANNELS, GRID * GRID]),
    integers('flat', [isFixed ? 1 : 0, CHANNELS]),
    { name: 'zero', dims: [], data: Float32Array.of(0) },
    { name: 'one', dims: [], data: Float32Array.of(1) },
  ];
  const nodes: OnnxNode[] = [
    { op: 'Cast', inputs: [input], outputs: ['float'], attributes: { to: 1 } },
    layout === 'NHWC'
      ? { op: 'Transpose', inputs: ['float'], outputs: ['first'], attributes: { perm: [0, 3, 1, 2] } }
      : { op: 'Identity', inputs: ['float'], outputs: ['first'] },
    { op: 'Conv', inputs: ['first', 'patch.weight'], outputs: ['map'], attributes: { strides: [PATCH, PATCH] } },
    { op: 'Reshape', inputs: ['map', 'rows'], outputs: ['by channel'] },
    { op: 'Transpose', inputs: ['by channel'], outputs: ['patches'], attributes: { perm: [0, 2, 1] } },
    { op: 'GlobalAveragePool', inputs: ['map'], outputs: ['pooled'] },
    { op: 'Reshape', inputs: ['pooled', 'flat'], outputs: ['mean'] },
    ...ends(end, output),
  ];
  const dims: OnnxValue['dims'] = layout === 'NHWC' ? [batch, SIDE, SIDE, 3] : [batch, 3, SIDE, SIDE];
  const text: OnnxNode = { op: 'Cast', inputs: ['input_ids'], outputs: ['text_embeds'], attributes: { to: 1 } };
  return encodeModel({
    opset,
    graph: {
      name: 'foreign',
      inputs: [
        ...(hasText ? [{ name: 'input_ids', type: 'int64' as const, dims: ['batch', 77] }] : []),
        { name: input, type, dims },
      ],
      outputs: [
        ...(hasText ? [{ name: 'text_embeds', type: 'float32' as const, dims: ['batch', 77] }] : []),
        { name: output, type: 'float32', dims: DIMS[end].map((size) => (size === 'batch' ? batch : size)) },
      ],
      initializers,
      nodes: hasText ? [text, ...nodes] : nodes,
    },
  });
}

const DIMS: Readonly<Record<End, readonly (number | string)[]>> = {
  map: ['batch', CHANNELS, GRID, GRID],
  tokens: ['batch', GRID * GRID + 1, CHANNELS],
  vector: ['batch', 6],
  logits: ['batch', 10],
  constant: ['batch', CHANNELS],
  line: ['batch', 6],
  nan: ['batch', CHANNELS],
};

function ends(end: End, output: string): OnnxNode[] {
  const binary = (op: string, a: string, b: string, to = output): OnnxNode => ({ op, inputs: [a, b], outputs: [to] });
  switch (end) {
    case 'map':
      return [{ op: 'Identity', inputs: ['map'], outputs: [output] }];
    case 'tokens':
      return [
        { op: 'ReduceMax', inputs: ['patches'], outputs: ['class token'], attributes: { axes: [1], keepdims: 1 } },
        { ...binary('Concat', 'class token', 'patches'), attributes: { axis: 1 } },
      ];
    case 'vector':
      return [binary('MatMul', 'mean', 'projection')];
    case 'logits':
      return [binary('MatMul', 'mean', 'head.weight')];
    case 'constant':
      return [binary('Mul', 'mean', 'zero', 'nothing'), binary('Add', 'nothing', 'one')];
    case 'line':
      return [binary('MatMul', 'mean', 'line.in', 'number'), binary('MatMul', 'number', 'line.out')];
    case 'nan':
      return [binary('Mul', 'mean', 'zero', 'nothing'), binary('Div', 'nothing', 'nothing')];
  }
}

function integers(name: string, values: readonly number[]): OnnxTensor {
  return { name, dims: [values.length], data: BigInt64Array.from(values, BigInt) };
}

/** The same model with its first weight in another file: what it says of it, and the bytes of that file. */
export function withExternalData(
  bytes: Uint8Array,
  entries: Readonly<Record<string, string>>,
): { readonly onnx: Uint8Array; readonly data: Uint8Array } {
  const type = onnxModelType();
  const model = type.decode(bytes) as unknown as {
    graph: { initializer: { raw_data?: Uint8Array; data_location?: number; external_data?: object[] }[] };
  };
  const tensor = model.graph.initializer[0]!;
  const data = Uint8Array.from(tensor.raw_data!);
  delete tensor.raw_data;
  tensor.data_location = 1;
  tensor.external_data = Object.entries(entries).map(([key, value]) => ({ key, value }));
  return { onnx: type.encode(model).finish(), data };
}
