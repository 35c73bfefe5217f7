/**
 * The forward pass of a closed-form encoder as ONNX nodes, in stages: patches -> codes -> local embeddings -> cells ->
 * embedding. A fit runs the first stages, the saved encoder the same nodes and the rest. B: batch, n: values of a
 * patch, K: atoms, E: eigenvectors, P: patches across, S: cells across the map, G: grid, D: dimensions.
 */
import type { OnnxNode, OnnxTensor, OnnxValue } from '../../compile/onnx-model.js';
import { encodeModel } from '../../compile/onnx-writer.js';
import { EMBEDDING_OUTPUT, PIXELS_INPUT } from '../../encoder/saved-encoder.js';
import { type ClosedFormOptions, closedFormGeometry } from './closed-form-options.js';
import type { PatchDictionary } from './patch-dictionary.js';

/** Name of the output with the local embeddings, [batch, E, S, S], each place of L2 norm 1. */
export const FEATURES_OUTPUT = 'features';

/**
 * The projection of pooled codes: local embedding = unit(weights (code - mean)). weights: [E, K]; the first `even` rows
 * do not change when the picture is mirrored, the others change sign.
 */
export type CodeProjection = { readonly weights: Float32Array; readonly offsets: Float32Array; readonly even: number };

/** embedding = unit(weights' cells + offsets). weights: [E G G / 2, D]; offsets: [D]. */
export type CellProjection = { readonly weights: Float32Array; readonly offsets: Float32Array };

/** A part of a graph: `output` is the name of the value that its last node writes. */
export type Stage = {
  readonly initializers: readonly OnnxTensor[];
  readonly nodes: readonly OnnxNode[];
  readonly output: string;
};

/** Whitened patches of a smaller norm (typical: sqrt(n), about 10) are flat up to rounding and not scaled to norm 1. */
const PATCH_NORM_MIN = 0.1;
/** Codes of one picture held at once: 4 MiB. */
const CODES_AT_ONCE = 1 << 20;
/** The atoms of a group are a multiple of this, which fills the vector registers. */
const GROUP_STEP = 64;
/** A picture of one colour has no local embedding: zeros stay zeros instead of 0 / 0. */
const NORM_MIN = 1e-12;

/**
 * pixels [B, 3, side, side] -> codes [B, K, P, P]: the cosine of each whitened patch with each atom, less the
 * threshold, where positive.
 */
export function codeStage(dictionary: PatchDictionary, options: ClosedFormOptions): Stage {
  const { initializers, nodes } = patchStage(dictionary, options);
  const { atoms } = options;
  return {
    initializers: [...initializers, thresholds(atoms, options)],
    nodes: [...nodes, ...codeNodes({ atoms: 'atoms', thresholds: 'thresholds', codes: 'codes' })],
    output: 'codes',
  };
}

/**
 * pixels [B, 3, side, side] -> pooled [B, K, S, S]: {@link codeStage}'s codes averaged over squares. Many atoms are
 * coded in groups, each pooled before the next, to bound the memory of a batch.
 */
export function pooledStage(dictionary: PatchDictionary, options: ClosedFormOptions): Stage {
  const sizes = groupSizes(options);
  const pool = (codes: string, pooled: string): OnnxNode => {
    const square = [options.pool, options.pool];
    return {
      op: 'AveragePool',
      inputs: [codes],
      outputs: [pooled],
      attributes: { kernel_shape: square, strides: square },
    };
  };
  if (sizes.length === 1) {
    const codes = codeStage(dictionary, options);
    return { ...codes, nodes: [...codes.nodes, pool('codes', 'pooled')], output: 'pooled' };
  }
  const { initializers, nodes } = patchStage(dictionary, options);
  const names = (name: string): string[] => sizes.map((_, group) => `${name}_${group}`);
  return {
    initializers: [
      ...initializers,
      { name: 'group_sizes', dims: [sizes.length], data: BigInt64Array.from(sizes, BigInt) },
      ...sizes.map((size, group) => ({ ...thresholds(size, options), name: `thresholds_${group}` })),
    ],
    nodes: [
      ...nodes,
      // One tensor in the file, split by ONNX Runtime when it loads.
      { op: 'Split', inputs: ['atoms', 'group_sizes'], outputs: names('atoms'), attributes: { axis: 0 } },
      ...sizes.flatMap((_, group) => [
        ...codeNodes({ atoms: `atoms_${group}`, thresholds: `thresholds_${group}`, codes: `codes_${group}` }),
        pool(`codes_${group}`, `pooled_${group}`),
      ]),
      { op: 'Concat', inputs: names('pooled'), outputs: ['pooled'], attributes: { axis: 1 } },
    ],
    output: 'pooled',
  };
}

/** pixels [B, 3, side, side] -> unit_patches [B, n, P, P]: whitened patches of norm 1. Declares the atoms too. */
function patchStage(dictionary: PatchDictionary, options: ClosedFormOptions): Stage {
  const { patch, stride, atoms } = options;
  const { patchValues: n } = closedFormGeometry(options);
  return {
    initializers: [
      { name: 'whitening', dims: [n, 3, patch, patch], data: dictionary.whitening },
      { name: 'patch_norm_min', dims: [], data: Float32Array.of(PATCH_NORM_MIN) },
      { name: 'atoms', dims: [atoms, n, 1, 1], data: dictionary.atoms },
    ],
    nodes: [
      {
        op: 'Conv',
        inputs: [PIXELS_INPUT, 'whitening'],
        outputs: ['whitened'],
        attributes: { kernel_shape: [patch, patch], strides: [stride, stride] },
      },
      { op: 'ReduceL2', inputs: ['whitened'], outputs: ['patch_norm'], attributes: { axes: [1], keepdims: 1 } },
      { op: 'Max', inputs: ['patch_norm', 'patch_norm_min'], outputs: ['safe_patch_norm'] },
      { op: 'Div', inputs: ['whitened', 'safe_patch_norm'], outputs: ['unit_patches'] },
    ],
    output: 'unit_patches',
  };
}

/** A 1x1 convolution with bias and Relu, which ONNX Runtime fuses. */
function codeNodes(names: {
  readonly atoms: string;
  readonly thresholds: string;
  readonly codes: string;
}): readonly OnnxNode[] {
  const cosines = names.codes.replace('codes', 'cosines');
  return [
    {
      op: 'Conv',
      inputs: ['unit_patches', names.atoms, names.thresholds],
      outputs: [cosines],
      attributes: { kernel_shape: [1, 1] },
    },
    { op: 'Relu', inputs: [cosines], outputs: [names.codes] },
  ];
}

function thresholds(atoms: number, { threshold }: ClosedFormOptions): OnnxTensor {
  return { name: 'thresholds', dims: [atoms], data: new Float32Array(atoms).fill(-threshold) };
}

/** Sizes of the groups of atoms, bounded by {@link CODES_AT_ONCE}. */
function groupSizes(options: ClosedFormOptions): readonly number[] {
  const { atoms } = options;
  const { patchesAcross } = closedFormGeometry(options);
  const most = Math.max(GROUP_STEP, Math.floor(CODES_AT_ONCE / patchesAcross ** 2 / GROUP_STEP) * GROUP_STEP);
  return Array.from({ length: Math.ceil(atoms / most) }, (_, group) => Math.min(most, atoms - group * most));
}

/** pooled [B, K, S, S] -> features [B, E, S, S]: projected, of L2 norm 1 at each place. */
export function featureStage(projection: CodeProjection, options: ClosedFormOptions): Stage {
  const { atoms, eigenvectors } = options;
  return {
    initializers: [
      { name: 'code_projection', dims: [eigenvectors, atoms, 1, 1], data: projection.weights },
      { name: 'code_offsets', dims: [eigenvectors], data: projection.offsets },
      { name: 'norm_min', dims: [], data: Float32Array.of(NORM_MIN) },
    ],
    nodes: [
      {
        op: 'Conv',
        inputs: ['pooled', 'code_projection', 'code_offsets'],
        outputs: ['local'],
        attributes: { kernel_shape: [1, 1] },
      },
      { op: 'ReduceL2', inputs: ['local'], outputs: ['local_norm'], attributes: { axes: [1], keepdims: 1 } },
      { op: 'Max', inputs: ['local_norm', 'norm_min'], outputs: ['safe_local_norm'] },
      { op: 'Div', inputs: ['local', 'safe_local_norm'], outputs: [FEATURES_OUTPUT] },
    ],
    output: FEATURES_OUTPUT,
  };
}

/**
 * features [B, E, S, S] -> cells [B, E G G / 2]: features averaged over the cells of the grid, then over the picture
 * and its mirror image. Mirroring exchanges left and right cells and the sign of the odd features, so the average is
 * the sum of both sides for even features and their difference for odd ones: half of the cells hold all of it.
 */
export function cellStage(projection: CodeProjection, options: ClosedFormOptions): Stage {
  const { eigenvectors, grid } = options;
  const { mapSide } = closedFormGeometry(options);
  const [places, cells] = [mapSide * mapSide, (grid * grid) / 2];
  const odd = eigenvectors - projection.even;
  const parts = [
    { name: 'even', size: projection.even, data: mirroredCells(mapSide, grid, 1) },
    { name: 'odd', size: odd, data: mirroredCells(mapSide, grid, -1) },
  ].filter(({ size }) => size > 0);
  const merged = parts.map(({ name }) => `${name}_cells`);
  const splitNeeded = parts.length > 1;
  return {
    initializers: [
      { name: 'place_shape', dims: [3], data: BigInt64Array.of(0n, BigInt(eigenvectors), BigInt(places)) },
      ...(splitNeeded
        ? [{ name: 'parities', dims: [2], data: BigInt64Array.from(parts, ({ size }) => BigInt(size)) }]
        : []),
      ...parts.map(({ name, data }) => ({ name: `${name}_places`, dims: [places, cells], data })),
    ],
    nodes: [
      { op: 'Reshape', inputs: [FEATURES_OUTPUT, 'place_shape'], outputs: ['places'] },
      ...(splitNeeded
        ? [
            {
              op: 'Split',
              inputs: ['places', 'parities'],
              outputs: parts.map(({ name }) => name),
              attributes: { axis: 1 },
            },
          ]
        : []),
      ...parts.map(({ name }) => ({
        op: 'MatMul',
        inputs: [splitNeeded ? name : 'places', `${name}_places`],
        outputs: [`${name}_cells`],
      })),
      ...(splitNeeded ? [{ op: 'Concat', inputs: merged, outputs: ['merged'], attributes: { axis: 1 } }] : []),
      { op: 'Flatten', inputs: [splitNeeded ? 'merged' : merged[0]!], outputs: ['cells'], attributes: { axis: 1 } },
    ],
    output: 'cells',
  };
}

/** cells [B, E G G / 2] -> embedding [B, D], of L2 norm 1. */
function embeddingStage(projection: CellProjection, options: ClosedFormOptions): Stage {
  const { dimensions } = options;
  const { cellValues } = closedFormGeometry(options);
  return {
    initializers: [
      { name: 'cell_projection', dims: [cellValues, dimensions], data: projection.weights },
      { name: 'cell_offsets', dims: [dimensions], data: projection.offsets },
    ],
    nodes: [
      { op: 'Gemm', inputs: ['cells', 'cell_projection', 'cell_offsets'], outputs: ['projected'] },
      { op: 'ReduceL2', inputs: ['projected'], outputs: ['norm'], attributes: { axes: [-1], keepdims: 1 } },
      { op: 'Max', inputs: ['norm', 'norm_min'], outputs: ['safe_norm'] },
      { op: 'Div', inputs: ['projected', 'safe_norm'], outputs: [EMBEDDING_OUTPUT] },
    ],
    output: EMBEDDING_OUTPUT,
  };
}

/** The program of these stages on pixels, encoded. `inputs`: those of the stages besides the pixels. */
export function stagesProgram(options: {
  readonly name: string;
  readonly side: number;
  readonly stages: readonly Stage[];
  readonly outputs: readonly OnnxValue[];
  readonly inputs?: readonly OnnxValue[];
}): Uint8Array {
  const { name, side, stages, outputs, inputs = [] } = options;
  return encodeModel({
    opset: 17,
    graph: {
      name,
      inputs: [{ name: PIXELS_INPUT, type: 'float32', dims: ['batch', 3, side, side] }, ...inputs],
      outputs,
      initializers: stages.flatMap((stage) => stage.initializers),
      nodes: stages.flatMap((stage) => stage.nodes),
    },
  });
}

/** The whole encoder: pixels -> embedding and features, with a free batch. */
export function closedFormProgram(parts: {
  readonly dictionary: PatchDictionary;
  readonly codes: CodeProjection;
  readonly cells: CellProjection;
  readonly options: ClosedFormOptions;
}): Uint8Array {
  const { dictionary, codes, cells, options } = parts;
  const { mapSide } = closedFormGeometry(options);
  return stagesProgram({
    name: 'closed-form-infomax',
    side: options.side,
    stages: [
      pooledStage(dictionary, options),
      featureStage(codes, options),
      cellStage(codes, options),
      embeddingStage(cells, options),
    ],
    outputs: [
      { name: EMBEDDING_OUTPUT, type: 'float32', dims: ['batch', options.dimensions] },
      { name: FEATURES_OUTPUT, type: 'float32', dims: ['batch', options.eigenvectors, mapSide, mapSide] },
    ],
  });
}

/**
 * [S S, G G / 2]: weights of each map cell in each grid cell of the left half, plus `sign` times those of the mirrored
 * grid cell; halved.
 */
function mirroredCells(mapSide: number, grid: number, sign: 1 | -1): Float32Array {
  const half = grid / 2;
  const weights = new Float32Array(mapSide * mapSide * grid * half);
  for (let place = 0; place < mapSide * mapSide; place++) {
    const [y, x] = [Math.floor(place / mapSide), place % mapSide];
    for (let row = 0; row < grid; row++) {
      for (let column = 0; column < half; column++) {
        const both = share(x, column, mapSide, grid) + sign * share(x, grid - 1 - column, mapSide, grid);
        weights[place * grid * half + row * half + column] = (share(y, row, mapSide, grid) * both) / 2;
      }
    }
  }
  return weights;
}

/**
 * Weight of one map cell in the average over a grid cell, along one axis. Grid cells have equal lengths and may cut map
 * cells.
 */
function share(place: number, cell: number, mapSide: number, grid: number): number {
  const length = mapSide / grid;
  return Math.max(0, Math.min((cell + 1) * length, place + 1) - Math.max(cell * length, place)) / length;
}
