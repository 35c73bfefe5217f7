/** Small networks with random weights, saved as encoders to learn on top of. */
import { join } from 'node:path';
import type { OnnxNode, OnnxTensor } from '../../../src/compile/onnx-model.js';
import { encodeModel } from '../../../src/compile/onnx-writer.js';
import { EMBEDDING_OUTPUT, PIXELS_INPUT, writeSavedEncoder } from '../../../src/encoder/saved-encoder.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { randomTensor } from '../../encoder/programs.js';
import { TEXTURE_SIDE } from '../textures.js';

type Network = {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly dimensions: number;
};

/** Two convolutions, 8 x 8 x 8 and 16 x 4 x 4, and the mean of the second. */
export function convolutions(): Network {
  const random = seededRandom(1, 'convolutions');
  const convolution = (name: string, from: string, to: string): OnnxNode[] => [
    {
      op: 'Conv',
      inputs: [from, name],
      outputs: [`${to}_before`],
      attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
    },
    { op: 'Relu', inputs: [`${to}_before`], outputs: [to] },
  ];
  return {
    dimensions: 16,
    initializers: [randomTensor('w1', [8, 3, 3, 3], random), randomTensor('w2', [16, 8, 3, 3], random)],
    nodes: [
      ...convolution('w1', 'planes', 'first'),
      ...convolution('w2', 'first', 'second'),
      { op: 'GlobalAveragePool', inputs: ['second'], outputs: ['pooled'] },
      { op: 'Flatten', inputs: ['pooled'], outputs: ['flat'], attributes: { axis: 1 } },
    ],
  };
}

/** Patches of 4 x 4 as 16 tokens of 12 behind a class token, and two normalised layers. */
export function transformer(): Network {
  const random = seededRandom(2, 'transformer');
  const layer = (from: string, to: string): OnnxNode[] => [
    { op: 'MatMul', inputs: [from, 'mix'], outputs: [`${to}_mixed`] },
    { op: 'Add', inputs: [from, `${to}_mixed`], outputs: [`${to}_sum`] },
    { op: 'LayerNormalization', inputs: [`${to}_sum`, 'gain', 'bias'], outputs: [to], attributes: { axis: -1 } },
  ];
  return {
    dimensions: 12,
    initializers: [
      randomTensor('patch', [12, 3, 4, 4], random),
      randomTensor('mix', [12, 12], random),
      { name: 'gain', dims: [12], data: new Float32Array(12).fill(1) },
      { name: 'bias', dims: [12], data: new Float32Array(12) },
      { name: 'rows', dims: [3], data: BigInt64Array.of(0n, 12n, -1n) },
      { name: 'zero', dims: [], data: BigInt64Array.of(0n) },
    ],
    nodes: [
      {
        op: 'Conv',
        inputs: ['planes', 'patch'],
        outputs: ['patches'],
        attributes: { kernel_shape: [4, 4], strides: [4, 4] },
      },
      { op: 'Reshape', inputs: ['patches', 'rows'], outputs: ['columns'] },
      { op: 'Transpose', inputs: ['columns'], outputs: ['sequence'], attributes: { perm: [0, 2, 1] } },
      { op: 'GlobalAveragePool', inputs: ['columns'], outputs: ['mean'] },
      { op: 'Transpose', inputs: ['mean'], outputs: ['class'], attributes: { perm: [0, 2, 1] } },
      { op: 'Concat', inputs: ['class', 'sequence'], outputs: ['tokens'], attributes: { axis: 1 } },
      ...layer('tokens', 'layer1'),
      ...layer('layer1', 'layer2'),
      { op: 'Gather', inputs: ['layer2', 'zero'], outputs: ['flat'], attributes: { axis: 1 } },
    ],
  };
}

/** Saves a network as `folder`/backbone: pixels of 16 x 16 in either layout, operators of either way to name axes. */
export async function savedBackbone(
  folder: string,
  network: Network,
  options: { readonly layout?: 'NCHW' | 'NHWC'; readonly opset?: 17 | 18; readonly channels?: 'BGR' } = {},
): Promise<string> {
  const { layout = 'NCHW', opset = 17, channels } = options;
  const side = TEXTURE_SIDE;
  const { nodes, initializers, dimensions } = network;
  const saved = await writeSavedEncoder({
    folder: join(folder, 'backbone'),
    card: '# tiny\n',
    onnx: encodeModel({
      opset,
      graph: {
        name: 'tiny',
        inputs: [
          {
            name: PIXELS_INPUT,
            type: 'float32',
            dims: layout === 'NCHW' ? ['batch', 3, side, side] : ['batch', side, side, 3],
          },
        ],
        outputs: [{ name: EMBEDDING_OUTPUT, type: 'float32', dims: ['batch', dimensions] }],
        initializers,
        nodes: [
          layout === 'NCHW'
            ? { op: 'Identity', inputs: [PIXELS_INPUT], outputs: ['planes'] }
            : { op: 'Transpose', inputs: [PIXELS_INPUT], outputs: ['planes'], attributes: { perm: [0, 3, 1, 2] } },
          ...nodes,
          { op: 'LpNormalization', inputs: ['flat'], outputs: [EMBEDDING_OUTPUT], attributes: { axis: 1, p: 2 } },
        ],
      },
    }),
    manifest: {
      name: 'tiny',
      dimensions,
      preprocessing: {
        ...{ width: side, height: side, fit: 'cover', mean: [0.5, 0.4, 0.3], scale: [2, 3, 4], layout },
        ...(channels !== undefined && { channels }),
      },
      outputs: { embedding: EMBEDDING_OUTPUT },
      training: {},
      dataLicence: 'none needed.',
      created: '2026-01-01T00:00:00Z',
    },
  });
  return saved.folder;
}
