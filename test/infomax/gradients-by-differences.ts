/** Gradients by tfjs against central differences, on random inputs. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { registerGradients } from '../../src/compile/gradients.js';

/**
 * Checks d f / d x for every element of every x. f returns a scalar. float32 arithmetic leaves a central difference
 * about three digits, so the tolerance is relative to the largest derivative.
 */
export function assertGradientsMatchDifferences(
  f: (...xs: tf.Tensor[]) => tf.Scalar,
  xs: readonly tf.Tensor[],
  { step = 1e-2, tolerance = 5e-3 }: { readonly step?: number; readonly tolerance?: number } = {},
): void {
  registerGradients();
  tf.tidy(() => {
    const gradients = tf.grads(f)([...xs]);
    for (const [index, x] of xs.entries()) {
      const values = x.dataSync();
      const actual = gradients[index]!.dataSync();
      const at = (element: number, shift: number): number => {
        const moved = Float32Array.from(values);
        moved[element]! += shift;
        return tf.tidy(
          () => f(...xs.map((other, k) => (k === index ? tf.tensor(moved, x.shape) : other))).dataSync()[0]!,
        );
      };
      const expected = Float64Array.from(values, (_, element) => (at(element, step) - at(element, -step)) / (2 * step));
      const scale = Math.max(1e-3, ...expected.map(Math.abs));
      for (const [element, value] of expected.entries()) {
        assert.ok(
          Math.abs(actual[element]! - value) <= tolerance * scale,
          `d/dx${index}[${element}]: ${actual[element]} by tfjs, ${value} by differences`,
        );
      }
    }
  });
}
