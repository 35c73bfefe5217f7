import type { OnnxNode, OnnxTensor } from '../../src/compile/onnx-model.js';
import { encodeModel } from '../../src/compile/onnx-writer.js';
import {
  EMBEDDING_OUTPUT,
  encoderId,
  PIXELS_INPUT,
  SAVED_ENCODER_VERSION,
  type SavedEncoder,
} from '../../src/encoder/saved-encoder.js';
import type { Pixels } from '../../src/images/pixels.js';
import type { Preprocessing } from '../../src/images/preprocessing.js';

/** A small encoder in memory: `nodes` lead from PIXELS_INPUT to EMBEDDING_OUTPUT. */
export function encoderOf(options: {
  readonly dimensions: number;
  readonly nodes: readonly OnnxNode[];
  readonly initializers?: readonly OnnxTensor[];
  readonly side?: number;
  readonly layout?: Preprocessing['layout'];
}): SavedEncoder {
  const { dimensions, nodes, initializers = [], side = 8, layout = 'NCHW' } = options;
  const preprocessing: Preprocessing = {
    width: side,
    height: side,
    fit: 'cover',
    mean: [0.5, 0.5, 0.5],
    scale: [2, 2, 2],
    layout,
  };
  const onnx = encodeModel({
    opset: 17,
    graph: {
      name: 'test',
      inputs: [
        {
          name: PIXELS_INPUT,
          type: 'float32',
          dims: layout === 'NCHW' ? ['batch', 3, side, side] : ['batch', side, side, 3],
        },
      ],
      outputs: [{ name: EMBEDDING_OUTPUT, type: 'float32', dims: ['batch', dimensions] }],
      initializers,
      nodes,
    },
  });
  return {
    folder: 'in-memory',
    onnx,
    manifest: {
      formatVersion: SAVED_ENCODER_VERSION,
      name: 'test',
      id: encoderId(onnx, preprocessing),
      dimensions,
      preprocessing,
      outputs: { embedding: EMBEDDING_OUTPUT },
      training: {},
      dataLicence: 'none needed',
      created: '2026-01-01T00:00:00Z',
    },
  };
}

/** [rows, columns...] of values in -1..1. */
export function randomTensor(name: string, dims: readonly number[], random: () => number): OnnxTensor {
  const length = dims.reduce((product, dim) => product * dim, 1);
  return { name, dims, data: Float32Array.from({ length }, () => random() * 2 - 1) };
}

/** The end of every encoder: [batch, D] to rows of L2 norm 1. */
export function normalised(from: string): readonly OnnxNode[] {
  return [
    { op: 'ReduceL2', inputs: [from], outputs: ['norm'], attributes: { axes: [1], keepdims: 1 } },
    { op: 'Div', inputs: [from, 'norm'], outputs: [EMBEDDING_OUTPUT] },
  ];
}

/** An encoder of some pixels: the first `dimensions` numbers of the input, normalised. */
export function firstPixels(dimensions: number): SavedEncoder {
  return encoderOf({
    dimensions,
    initializers: [
      { name: 'from', dims: [1], data: BigInt64Array.of(0n) },
      { name: 'to', dims: [1], data: BigInt64Array.of(BigInt(dimensions)) },
      { name: 'axis', dims: [1], data: BigInt64Array.of(1n) },
    ],
    nodes: [
      { op: 'Flatten', inputs: [PIXELS_INPUT], outputs: ['flat'], attributes: { axis: 1 } },
      { op: 'Slice', inputs: ['flat', 'from', 'to', 'axis'], outputs: ['some'] },
      ...normalised('some'),
    ],
  });
}

export function randomPixels(side: number, random: () => number): Pixels {
  return {
    width: side,
    height: side,
    rgb: Uint8Array.from({ length: side * side * 3 }, () => Math.floor(random() * 256)),
  };
}

/** Least cosine over the rows of two [N, D] matrices. */
export function leastCosine(left: Float32Array, right: Float32Array, dimensions: number): number {
  let least = 1;
  for (let from = 0; from < left.length; from += dimensions) {
    const [a, b] = [left.subarray(from, from + dimensions), right.subarray(from, from + dimensions)];
    const dot = a.reduce((sum, value, index) => sum + value * b[index]!, 0);
    least = Math.min(least, dot / (Math.hypot(...a) * Math.hypot(...b)));
  }
  return left.length === right.length ? least : Number.NaN;
}
