/**
 * Runs one tfjs function eagerly on tfjs's own cpu backend and compiled on ONNX Runtime, with the same random inputs,
 * and compares.
 */
import assert from 'node:assert/strict';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import * as ort from 'onnxruntime-node';
import { encodeModel } from '../../src/compile/onnx-writer.js';
import { toModel } from '../../src/compile/serialise.js';
import { openSession } from '../../src/compile/session.js';
import { type NamedTensors, type TensorSpec, trace } from '../../src/compile/trace.js';

export type Input = TensorSpec & { readonly low?: number; readonly high?: number };

/** Compares every output of `run`: relative to the output's largest magnitude, plus the smallest float that matters. */
export async function assertMatchesCpu(options: {
  readonly name: string;
  readonly inputs: Readonly<Record<string, Input>>;
  readonly run: (tensors: Readonly<Record<string, tf.Tensor>>) => NamedTensors | tf.Tensor;
  readonly random: () => number;
  readonly tolerance?: number;
}): Promise<void> {
  const { name, inputs, run, random, tolerance = 2e-6 } = options;
  const data = Object.entries(inputs).map(([key, input]) => [key, input, randomData(input, random)] as const);
  const named = (tensors: Readonly<Record<string, tf.Tensor>>): NamedTensors => {
    const result = run(tensors);
    return result instanceof tf.Tensor ? { result } : result;
  };

  await tf.setBackend('cpu');
  const before = tf.memory().numTensors;
  const expected = new Map<string, { dims: readonly number[]; dtype: string; values: readonly number[] }>();
  tf.tidy(() => {
    const tensors = Object.fromEntries(
      data.map(([key, { shape, dtype }, values]) => [key, tf.tensor(values, [...shape], dtype)]),
    );
    for (const [key, tensor] of Object.entries(named(tensors))) {
      expected.set(key, { dims: tensor.shape, dtype: tensor.dtype, values: Array.from(tensor.dataSync(), Number) });
    }
  });

  for (const layout of ['channels-first', 'channels-last'] as const) {
    const { graph, outputs } = trace(inputs, named, layout);
    assert.equal(tf.memory().numTensors, before, `${name}, ${layout}: tracing left tensors behind`);
    assert.equal(tf.getBackend(), 'cpu', `${name}, ${layout}: tracing left its backend set`);
    const session = await openSession(encodeModel(toModel(graph, outputs, { name: 'test' })), { threads: 1 });
    const feeds = Object.fromEntries(
      data.map(([key, { shape, dtype }, values]) => [
        key,
        new ort.Tensor(dtype, dtype === 'bool' ? Uint8Array.from(values) : values, [...shape]),
      ]),
    );
    const actual = await session.run(feeds);
    await session.release();

    assert.deepEqual(Object.keys(actual).sort(), [...expected.keys()].sort(), name);
    for (const [key, { dims, dtype, values }] of expected) {
      const got = actual[key]!;
      assert.deepEqual([...got.dims], dims, `${name}, ${layout}: shape of ${key}`);
      assert.equal(got.type, dtype, `${name}, ${layout}: type of ${key}`);
      const numbers = Array.from(got.data as ArrayLike<number>, Number);
      const scale = values.reduce(
        (largest, value) => (Number.isFinite(value) ? Math.max(largest, Math.abs(value)) : largest),
        1e-6,
      );
      for (let i = 0; i < values.length; i++) {
        if (Object.is(numbers[i], values[i]) || numbers[i] === values[i]) continue;
        const error = Math.abs(numbers[i]! - values[i]!) / scale;
        assert.ok(
          error <= tolerance,
          `${name}, ${layout}: ${key}[${i}] is ${numbers[i]}, tfjs cpu says ${values[i]} (error ${error})`,
        );
      }
    }
  }
}

function randomData(
  { shape, dtype, low = -2, high = 2 }: Input,
  random: () => number,
): Float32Array | Int32Array | Uint8Array {
  const length = shape.reduce((product, dim) => product * dim, 1);
  if (dtype === 'bool') return Uint8Array.from({ length }, () => (random() < 0.5 ? 0 : 1));
  if (dtype === 'int32') return Int32Array.from({ length }, () => Math.floor(low + random() * (high - low)));
  return Float32Array.from({ length }, () => low + random() * (high - low));
}
