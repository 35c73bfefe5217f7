import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { OnnxModel } from '../../src/compile/onnx-model.js';
import { decodeModel } from '../../src/compile/onnx-reader.js';
import { encodeModel } from '../../src/compile/onnx-writer.js';

const OPSET = 17;

/**
 * y = leaky_relu(x W + b) for a batch of any size, then its rows added up: uses every kind of attribute and element
 * type but strings.
 */
function smallModel(): OnnxModel {
  return {
    opset: OPSET,
    metadata: { origin: 'test' },
    graph: {
      name: 'small',
      inputs: [{ name: 'x', type: 'float32', dims: ['batch', 2] }],
      outputs: [
        { name: 'y', type: 'float32', dims: ['batch', 3] },
        { name: 'sums', type: 'float32', dims: ['batch'] },
      ],
      initializers: [
        { name: 'W', dims: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
        { name: 'b', dims: [3], data: Float32Array.of(0.5, -100, 0) },
        { name: 'axes', dims: [1], data: BigInt64Array.of(-1n) },
      ],
      nodes: [
        { op: 'Gemm', inputs: ['x', 'W', 'b'], outputs: ['affine'], attributes: { alpha: { float: 2 }, transB: 0 } },
        {
          op: 'LeakyRelu',
          inputs: ['affine'],
          outputs: ['y'],
          attributes: { alpha: { float: 0.25 } },
          name: 'activation',
        },
        { op: 'ReduceSum', inputs: ['y', 'axes'], outputs: ['sums'], attributes: { keepdims: 0 } },
      ],
    },
  };
}

const open = (model: OnnxModel) =>
  InferenceSession.create(encodeModel(model), { intraOpNumThreads: 1, logSeverityLevel: 3 });

test('ONNX Runtime computes what the written program says, for any batch size', async () => {
  const session = await open(smallModel());
  const one = await session.run({ x: new Tensor('float32', Float32Array.of(1, 1), [1, 2]) });
  assert.deepEqual([...(one.y!.data as Float32Array)], [10.5, (14 - 100) / 4, 18]);
  assert.deepEqual([...(one.sums!.data as Float32Array)], [10.5 + (14 - 100) / 4 + 18]);
  const two = await session.run({ x: new Tensor('float32', Float32Array.of(1, 1, 0, 0), [2, 2]) });
  assert.deepEqual(two.y!.dims, [2, 3]);
  assert.deepEqual([...(two.y!.data as Float32Array)].slice(3), [0.5, -25, 0]);
});

test('tensors of every element type reach the runtime unchanged', async () => {
  const typed = [
    { type: 'float32', data: Float32Array.of(1.5, -2) },
    { type: 'float64', data: Float64Array.of(1.5, -2) },
    { type: 'int32', data: Int32Array.of(-7, 2 ** 31 - 1) },
    { type: 'int64', data: BigInt64Array.of(-1n, 2n ** 62n) },
    { type: 'uint8', data: Uint8Array.of(0, 255) },
    { type: 'bool', data: Uint8Array.of(1, 0) },
    { type: 'float16', data: Uint16Array.of(0x3c00, 0xc000) },
  ] as const;
  for (const { type, data } of typed) {
    const session = await open({
      opset: OPSET,
      graph: {
        name: type,
        inputs: [],
        outputs: [{ name: 'out', type, dims: [2] }],
        initializers: [],
        nodes: [
          {
            op: 'Constant',
            inputs: [],
            outputs: ['out'],
            attributes: { value: { tensor: { name: 'c', dims: [2], data, type } } },
          },
        ],
      },
    });
    const { out } = await session.run({});
    assert.equal(out!.type, type);
    const { buffer, byteOffset, byteLength } = out!.data as Uint8Array;
    assert.deepEqual(new Uint8Array(buffer, byteOffset, byteLength), new Uint8Array(data.buffer), type);
  }
});

test('operators of another domain and string attributes are carried', async () => {
  const session = await open({
    opset: OPSET,
    domains: { 'com.microsoft': 1 },
    graph: {
      name: 'domains',
      inputs: [{ name: 'x', type: 'float32', dims: ['n', 1, 2, 2] }],
      outputs: [{ name: 'y', type: 'float32', dims: ['n', 1, 2, 2] }],
      initializers: [{ name: 'w', dims: [1, 1, 1, 1], data: Float32Array.of(-1) }],
      nodes: [
        {
          op: 'FusedConv',
          domain: 'com.microsoft',
          inputs: ['x', 'w'],
          outputs: ['y'],
          attributes: { activation: 'Relu', kernel_shape: [1, 1] },
        },
      ],
    },
  });
  const { y } = await session.run({ x: new Tensor('float32', Float32Array.of(1, -2, 3, -4), [1, 1, 2, 2]) });
  assert.deepEqual([...(y!.data as Float32Array)], [0, 2, 0, 4]);
});

test('a model reads back as it was written, and the same model gives the same bytes', () => {
  const bytes = encodeModel(smallModel());
  const back = decodeModel(bytes);
  assert.deepEqual(encodeModel(back), bytes);
  const { graph } = smallModel();
  assert.deepEqual(back.graph.inputs, graph.inputs);
  assert.deepEqual(back.graph.nodes[1], { domain: '', ...graph.nodes[1] });
  assert.deepEqual(back.graph.initializers[2], { ...graph.initializers[2], type: 'int64' });
  assert.deepEqual(back.metadata, { origin: 'test' });
});

test('random bytes and truncated files are errors, never a model', () => {
  const bytes = encodeModel(smallModel());
  for (const length of [0, 1, 10, bytes.length - 1])
    assert.throws(() => decodeModel(bytes.subarray(0, length)), Error, `${length} bytes`);
});

test('a graph that cannot be right is refused, naming the culprit', () => {
  const { graph } = smallModel();
  const refuse = (change: Partial<OnnxModel['graph']>, message: RegExp) =>
    assert.throws(() => encodeModel({ opset: OPSET, graph: { ...graph, ...change } }), message);
  refuse({ nodes: graph.nodes.toReversed() }, /node 0 \(ReduceSum\) reads "y" before/);
  refuse({ nodes: [...graph.nodes, graph.nodes[1]!] }, /node 3 \(LeakyRelu\) writes "y" a second time/);
  refuse({ nodes: graph.nodes.slice(0, 2) }, /nothing writes the output "sums"/);
  refuse(
    { initializers: [...graph.initializers.slice(1), { name: 'W', dims: [2, 4], data: new Float32Array(6) }] },
    /W has 6 values; .* ask for 8/,
  );
  refuse(
    {
      initializers: [
        ...graph.initializers.slice(1),
        { name: 'W', dims: [6], data: new Float32Array(6), type: 'int32' },
      ],
    },
    /W is int32 but holds/,
  );
  refuse(
    { nodes: [{ ...graph.nodes[0]!, attributes: { alpha: 0.5 } }, ...graph.nodes.slice(1)] },
    /a plain number is an int; write \{ float: 0.5 \}/,
  );
});
