/**
 * The programs of the recipe `adapt` as ONNX nodes: the backbone up to its taps, pooling, projection, and another
 * encoder beside it on the same pixels. B: batch, F: values of all pooled parts, D: dimensions.
 */
import type { OnnxGraph, OnnxNode, OnnxTensor } from '../../compile/onnx-model.js';
import { encodeModel } from '../../compile/onnx-writer.js';
import { EMBEDDING_OUTPUT, PIXELS_INPUT } from '../../encoder/saved-encoder.js';
import { SearchError } from '../../errors.js';
import { lanczos } from '../../images/lanczos.js';
import type { Preprocessing } from '../../images/preprocessing.js';
import { type Backbone, nodesTowards, usedInitializers } from './backbone.js';
import { featureSize, type Pool, type PooledTap } from './choose-taps.js';

/** Name of the second output: the last map, each place of L2 norm 1. */
export const FEATURES_OUTPUT = 'features';
/** Names of the outputs of a fit's program. */
export const FIT_OUTPUTS = { taps: 'taps', backbone: 'backbone/embedding', also: 'also/embedding' } as const;

/** embedding = unit(weights' input + offsets). weights: [inputs, D]; offsets: [D]. */
export type Projection = { readonly weights: Float32Array; readonly offsets: Float32Array };

/** A second encoder on the same pixels, joined at `weight` times the length of the first, then projected. */
export type Joined = { readonly also: Backbone; readonly weight: number; readonly projection: Projection };

type Part = { readonly initializers: readonly OnnxTensor[]; readonly nodes: readonly OnnxNode[] };

/** Zeros stay zeros instead of 0 / 0. */
const NORM_MIN = 1e-12;
/** From this version of the operators on, the axes of a reduction are an input, not an attribute. */
const AXES_AS_INPUT = 18;
const FLOAT = 1;

/** The program of a fit: features of the taps, [B, F], and the embeddings of the encoders as they are. */
export function fitProgram(options: {
  readonly backbone: Backbone;
  readonly taps: readonly PooledTap[];
  readonly also: Backbone | undefined;
}): Uint8Array {
  const { backbone, taps, also } = options;
  const outputs = [
    { name: FIT_OUTPUTS.taps, size: featureSize(taps) },
    { name: FIT_OUTPUTS.backbone, size: backbone.encoder.manifest.dimensions },
    ...(also === undefined ? [] : [{ name: FIT_OUTPUTS.also, size: also.encoder.manifest.dimensions }]),
  ];
  const values = [...taps.map(({ tap }) => tap.name), EMBEDDING_OUTPUT];
  return programOf({
    backbone,
    parts: [trunk(backbone, values), tapPart(backbone, taps), ...(also === undefined ? [] : alsoParts(backbone, also))],
    outputs: outputs.map(({ name, size }) => ({ name, dims: ['batch', size] })),
  });
}

/** The saved encoder's program: the backbone as far as its taps need it, and what was learnt on top. */
export function adaptedProgram(options: {
  readonly backbone: Backbone;
  readonly taps: readonly PooledTap[];
  readonly projection: Projection;
  readonly joined: Joined | undefined;
}): Uint8Array {
  const { backbone, taps, projection, joined } = options;
  const { opset } = backbone.model;
  const map = featureMap(taps);
  const last = joined?.projection ?? projection;
  return programOf({
    backbone,
    parts: [
      trunk(
        backbone,
        taps.map(({ tap }) => tap.name),
      ),
      tapPart(backbone, taps),
      projectionPart({
        projection,
        opset,
        input: FIT_OUTPUTS.taps,
        output: joined === undefined ? EMBEDDING_OUTPUT : 'learnt',
      }),
      ...(joined === undefined ? [] : [...alsoParts(backbone, joined.also), joinPart(joined, opset)]),
      ...(map === undefined ? [] : [mapPart(taps, opset)]),
    ],
    outputs: [
      { name: EMBEDDING_OUTPUT, dims: ['batch', last.offsets.length] },
      ...(map === undefined ? [] : [{ name: FEATURES_OUTPUT, dims: ['batch', map.channels, map.height, map.width] }]),
    ],
  });
}

/** Size of the feature map: of the last tap, where it is one or its tokens are a square of patches. */
export function featureMap(
  taps: readonly PooledTap[],
): { readonly channels: number; readonly width: number; readonly height: number } | undefined {
  const { tap } = taps[0]!;
  if (tap.kind === 'map') return { channels: tap.channels, width: tap.width, height: tap.height };
  const side = Math.sqrt(tap.tokens - tap.prefix);
  return Number.isInteger(side) ? { channels: tap.channels, width: side, height: side } : undefined;
}

function programOf(options: {
  readonly backbone: Backbone;
  readonly parts: readonly Part[];
  readonly outputs: readonly { readonly name: string; readonly dims: readonly (number | string)[] }[];
}): Uint8Array {
  const { backbone, parts, outputs } = options;
  const { opset, domains, graph } = backbone.model;
  return encodeModel({
    opset,
    ...(domains !== undefined && { domains }),
    graph: {
      name: 'adapted',
      inputs: graph.inputs.filter(({ name }) => name === PIXELS_INPUT),
      outputs: outputs.map((output) => ({ ...output, type: 'float32' })),
      initializers: [
        { name: 'norm_min', dims: [], data: Float32Array.of(NORM_MIN) },
        { name: 'axis_one', dims: [1], data: BigInt64Array.of(1n) },
        ...parts.flatMap(({ initializers }) => initializers),
      ],
      nodes: parts.flatMap(({ nodes }) => nodes),
    },
  });
}

/** The backbone's nodes towards some of its values, each name with the prefix `backbone/`. */
function trunk({ model }: Backbone, values: readonly string[]): Part {
  return prefixed(model.graph, values, (name) => `backbone/${name}`);
}

function prefixed(graph: OnnxGraph, values: readonly string[], rename: (name: string) => string): Part {
  const nodes = nodesTowards(graph, values);
  const renamed = (name: string): string => (name === '' || name === PIXELS_INPUT ? name : rename(name));
  return {
    initializers: usedInitializers(graph, nodes).initializers.map((each) => ({ ...each, name: rename(each.name) })),
    nodes: nodes.map(({ name, ...node }) => ({
      ...node,
      ...(name !== undefined && name !== '' && { name: rename(name) }),
      inputs: node.inputs.map(renamed),
      outputs: node.outputs.map(renamed),
    })),
  };
}

/** Taps -> taps [B, F]: each tap pooled, each pooled vector of norm 1, joined. */
function tapPart({ model: { opset } }: Backbone, taps: readonly PooledTap[]): Part {
  const names: string[] = [];
  const parts = taps.flatMap(({ tap, pools }, at): Part[] => [
    { initializers: [], nodes: [cast(`backbone/${tap.name}`, `tap_${at}`)] },
    ...pools.map((pool): Part => {
      const name = `tap_${at}_${pool}`;
      names.push(`${name}_unit`);
      const { initializers, nodes } = tap.kind === 'map' ? mapPool(pool, `tap_${at}`, name) : tokenPool(at, taps, name);
      return { initializers, nodes: [...nodes, ...unitNodes(name, `${name}_unit`, opset)] };
    }),
  ]);
  return {
    initializers: [
      { name: 'third', dims: [], data: Float32Array.of(1 / 3) },
      ...parts.flatMap(({ initializers }) => initializers),
    ],
    nodes: [
      ...parts.flatMap(({ nodes }) => nodes),
      { op: 'Concat', inputs: names, outputs: [FIT_OUTPUTS.taps], attributes: { axis: 1 } },
    ],
  };

  function tokenPool(at: number, all: readonly PooledTap[], name: string): Part {
    const { tap } = all[at]!;
    if (tap.kind === 'map') throw new Error('A map has no tokens. This is a bug.');
    if (name.endsWith('first')) {
      return {
        initializers: [{ name: `${name}_at`, dims: [], data: BigInt64Array.of(0n) }],
        nodes: [{ op: 'Gather', inputs: [`tap_${at}`, `${name}_at`], outputs: [name], attributes: { axis: 1 } }],
      };
    }
    const { initializers, nodes } = patches(tap, `tap_${at}`, `${name}_patches`);
    return { initializers, nodes: [...nodes, ...meanNodes(`${name}_patches`, name)] };
  }
}

function mapPool(pool: Pool, input: string, output: string): Part {
  if (pool === 'mean') return { initializers: [], nodes: meanNodes(input, output) };
  const [positive, square, cube, mean] = ['positive', 'square', 'cube', 'mean'].map((step) => `${output}_${step}`) as [
    string,
    string,
    string,
    string,
  ];
  return {
    initializers: [],
    nodes: [
      { op: 'Relu', inputs: [input], outputs: [positive] },
      { op: 'Mul', inputs: [positive, positive], outputs: [square] },
      { op: 'Mul', inputs: [square, positive], outputs: [cube] },
      ...meanNodes(cube, mean),
      { op: 'Pow', inputs: [mean, 'third'], outputs: [output] },
    ],
  };
}

/** Mean over all places: [B, C, ...] -> [B, C]. */
function meanNodes(input: string, output: string): OnnxNode[] {
  return [
    { op: 'GlobalAveragePool', inputs: [input], outputs: [`${output}_pooled`] },
    { op: 'Flatten', inputs: [`${output}_pooled`], outputs: [output], attributes: { axis: 1 } },
  ];
}

/** Tokens [B, T, C] -> patches [B, C, T - prefix]. */
function patches(tap: { readonly tokens: number; readonly prefix: number }, input: string, output: string): Part {
  const places = Array.from({ length: tap.tokens - tap.prefix }, (_, at) => BigInt(at + tap.prefix));
  return {
    initializers: [{ name: `${output}_at`, dims: [places.length], data: BigInt64Array.from(places) }],
    nodes: [
      { op: 'Gather', inputs: [input, `${output}_at`], outputs: [`${output}_rows`], attributes: { axis: 1 } },
      { op: 'Transpose', inputs: [`${output}_rows`], outputs: [output], attributes: { perm: [0, 2, 1] } },
    ],
  };
}

/** The last tap as features [B, C, H, W]. */
function mapPart(taps: readonly PooledTap[], opset: number): Part {
  const { tap } = taps[0]!;
  if (tap.kind === 'map') return { initializers: [], nodes: unitNodes('tap_0', FEATURES_OUTPUT, opset) };
  const { channels, height, width } = featureMap(taps)!;
  const { initializers, nodes } = patches(tap, 'tap_0', 'feature_patches');
  return {
    initializers: [
      ...initializers,
      { name: 'feature_shape', dims: [4], data: BigInt64Array.from([0, channels, height, width], BigInt) },
    ],
    nodes: [
      ...nodes,
      { op: 'Reshape', inputs: ['feature_patches', 'feature_shape'], outputs: ['feature_map'] },
      ...unitNodes('feature_map', FEATURES_OUTPUT, opset),
    ],
  };
}

function projectionPart(options: {
  readonly projection: Projection;
  readonly opset: number;
  readonly input: string;
  readonly output: string;
}): Part {
  const { projection, opset, input, output } = options;
  const { weights, offsets } = projection;
  const dimensions = offsets.length;
  return {
    initializers: [
      { name: `${output}_weights`, dims: [weights.length / dimensions, dimensions], data: weights },
      { name: `${output}_offsets`, dims: [dimensions], data: offsets },
    ],
    nodes: [
      { op: 'Gemm', inputs: [input, `${output}_weights`, `${output}_offsets`], outputs: [`${output}_projected`] },
      ...unitNodes(`${output}_projected`, output, opset),
    ],
  };
}

/** learnt, also/embedding -> embedding. */
function joinPart({ weight, projection }: Joined, opset: number): Part {
  const last = projectionPart({ projection, opset, input: 'joined', output: EMBEDDING_OUTPUT });
  return {
    initializers: [{ name: 'also_weight', dims: [], data: Float32Array.of(weight) }, ...last.initializers],
    nodes: [
      { op: 'Mul', inputs: [FIT_OUTPUTS.also, 'also_weight'], outputs: ['also_weighted'] },
      { op: 'Concat', inputs: ['learnt', 'also_weighted'], outputs: ['joined'], attributes: { axis: 1 } },
      ...last.nodes,
    ],
  };
}

/** The other encoder's program on the backbone's pixels, brought to its own size and range. */
function alsoParts(backbone: Backbone, also: Backbone): Part[] {
  const rename = (name: string): string => `also/${name}`;
  const { initializers, nodes } = prefixed(also.model.graph, [EMBEDDING_OUTPUT], rename);
  const pixels = rename(PIXELS_INPUT);
  return [
    resizePart(backbone.encoder.manifest.preprocessing, also.encoder.manifest.preprocessing, pixels),
    atOpset(
      {
        initializers,
        nodes: nodes.map((node) => ({
          ...node,
          inputs: node.inputs.map((name) => (name === PIXELS_INPUT ? pixels : name)),
        })),
      },
      { from: also, to: backbone },
    ),
  ];
}

/** Pixels of one preprocessing to those of another: two products with Lanczos matrices, then mean and scale. */
function resizePart(from: Preprocessing, to: Preprocessing, output: string): Part {
  const gain = to.scale.map((scale, channel) => scale / from.scale[channel]!);
  const bias = to.mean.map((mean, channel) => (from.mean[channel]! - mean) * to.scale[channel]!);
  const turned = (input: string, result: string, perm: readonly number[], isNeeded: boolean): OnnxNode =>
    isNeeded
      ? { op: 'Transpose', inputs: [input], outputs: [result], attributes: { perm } }
      : { op: 'Identity', inputs: [input], outputs: [result] };
  const reordered = (input: string, result: string, { channels }: Preprocessing): OnnxNode =>
    channels === 'BGR'
      ? { op: 'Gather', inputs: [input, 'also_order'], outputs: [result], attributes: { axis: 1 } }
      : { op: 'Identity', inputs: [input], outputs: [result] };
  return {
    initializers: [
      { name: 'also_rows', dims: [to.height, from.height], data: lanczosMatrix(from.height, to.height) },
      {
        name: 'also_columns',
        dims: [from.width, to.width],
        data: transposed(lanczosMatrix(from.width, to.width), to.width),
      },
      { name: 'also_order', dims: [3], data: BigInt64Array.of(2n, 1n, 0n) },
      { name: 'also_gain', dims: [1, 3, 1, 1], data: Float32Array.from(gain) },
      { name: 'also_bias', dims: [1, 3, 1, 1], data: Float32Array.from(bias) },
    ],
    nodes: [
      turned(PIXELS_INPUT, 'also_planes', [0, 3, 1, 2], from.layout === 'NHWC'),
      reordered('also_planes', 'also_rgb', from),
      { op: 'MatMul', inputs: ['also_rows', 'also_rgb'], outputs: ['also_shrunk_rows'] },
      { op: 'MatMul', inputs: ['also_shrunk_rows', 'also_columns'], outputs: ['also_shrunk'] },
      { op: 'Mul', inputs: ['also_shrunk', 'also_gain'], outputs: ['also_scaled'] },
      { op: 'Add', inputs: ['also_scaled', 'also_bias'], outputs: ['also_pixels'] },
      reordered('also_pixels', 'also_ordered', to),
      turned('also_ordered', output, [0, 2, 3, 1], to.layout === 'NHWC'),
    ],
  };
}

/** [to, from]: row i are the weights of the samples of one axis in sample i of the other; each sums to 1. */
function lanczosMatrix(from: number, to: number): Float32Array {
  const matrix = new Float32Array(to * from);
  const step = from / to;
  const shrink = Math.max(1, step);
  for (let row = 0; row < to; row++) {
    const weights = Float64Array.from({ length: from }, (_, at) => lanczos((at + 0.5 - (row + 0.5) * step) / shrink));
    const sum = weights.reduce((a, b) => a + b, 0);
    for (let at = 0; at < from; at++) matrix[row * from + at] = weights[at]! / sum;
  }
  return matrix;
}

function transposed(matrix: Float32Array, rows: number): Float32Array {
  const columns = matrix.length / rows;
  return matrix.map((_, at) => matrix[(at % rows) * columns + Math.floor(at / rows)]!);
}

/** The part written in the operators' version of the other program. INVALID_SETTINGS where that cannot be said. */
function atOpset(part: Part, { from, to }: { readonly from: Backbone; readonly to: Backbone }): Part {
  const [own, wanted] = [from.model.opset, to.model.opset];
  if (own === wanted || (own >= AXES_AS_INPUT && wanted >= AXES_AS_INPUT)) return part;
  const isNear = own >= 13 && wanted >= 13;
  if (isNear && own < AXES_AS_INPUT && wanted < AXES_AS_INPUT) return part;
  if (!isNear || own >= AXES_AS_INPUT) {
    const message = `--also ${from.encoder.folder} is written in operators of version ${own}, the backbone in ${wanted}: they cannot be joined. Leave --also out.`;
    throw new SearchError('INVALID_SETTINGS', message);
  }
  const axes: OnnxTensor[] = [];
  const nodes = part.nodes.map((node, at): OnnxNode => {
    const given = node.attributes?.axes;
    if (!node.op.startsWith('Reduce') || !Array.isArray(given)) return node;
    const name = `also_axes_${at}`;
    axes.push({ name, dims: [given.length], data: BigInt64Array.from(given as readonly number[], BigInt) });
    const { axes: _, ...attributes } = node.attributes!;
    return { ...node, inputs: [...node.inputs, name], attributes };
  });
  return { initializers: [...part.initializers, ...axes], nodes };
}

/** Each vector along axis 1 divided by its length. */
function unitNodes(input: string, output: string, opset: number): OnnxNode[] {
  const [norm, safe] = [`${output}_norm`, `${output}_safe`];
  return [
    opset >= AXES_AS_INPUT
      ? { op: 'ReduceL2', inputs: [input, 'axis_one'], outputs: [norm], attributes: { keepdims: 1 } }
      : { op: 'ReduceL2', inputs: [input], outputs: [norm], attributes: { axes: [1], keepdims: 1 } },
    { op: 'Max', inputs: [norm, 'norm_min'], outputs: [safe] },
    { op: 'Div', inputs: [input, safe], outputs: [output] },
  ];
}

/** To float32, which ONNX Runtime leaves out where it is that already. */
function cast(input: string, output: string): OnnxNode {
  return { op: 'Cast', inputs: [input], outputs: [output], attributes: { to: FLOAT } };
}
