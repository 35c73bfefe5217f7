import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Plane, resized } from '../../src/matching/grey-plane.js';
import { boxOf, refinedWarp, warped, warpOf } from '../../src/matching/refine-warp.js';
import { syntheticPicture } from '../images/pictures.js';

function planeOf(side: number): Plane {
  const { rgb, width, height } = syntheticPicture({ width: 256, height: 256, seed: 5 });
  const values = Float32Array.from({ length: width * height }, (_, at) => rgb[3 * at]!);
  return resized({ width, height, values }, side, side);
}

test('a small turn, shift and stretch is found to a fraction of a pixel', () => {
  const field = planeOf(128);
  const angle = 0.03;
  const truth = {
    x0: 0.51,
    xu: 0.42 * Math.cos(angle),
    xv: -0.42 * Math.sin(angle),
    y0: 0.485,
    yu: 0.43 * Math.sin(angle),
    yv: 0.43 * Math.cos(angle),
  };
  const size = { width: 108, height: 110 };
  const { values, inside } = warped(field, size, truth);
  assert.ok(inside.every((pixel) => pixel === 1));
  const { warp, correlation } = refinedWarp(
    field,
    { ...size, values },
    warpOf({ x: 0.08, y: 0.07, width: 0.84, height: 0.84 }),
    12,
  );
  assert.ok(correlation > 0.99, String(correlation));
  for (const key of ['x0', 'xu', 'xv', 'y0', 'yu', 'yv'] as const) {
    assert.ok(Math.abs(warp[key] - truth[key]) < 0.2 / 128, `${key}: ${warp[key]} for ${truth[key]}`);
  }
});

test('flat planes and planes beyond the border leave a warp as it was', () => {
  const flat = { width: 32, height: 32, values: new Float32Array(32 * 32).fill(7) };
  const start = warpOf({ x: 0.1, y: 0.2, width: 0.5, height: 0.5 });
  assert.deepEqual(refinedWarp(flat, flat, start, 5), { warp: start, correlation: 0 });
  const beyond = warpOf({ x: 2, y: 2, width: 0.5, height: 0.5 });
  assert.deepEqual(refinedWarp(planeOf(64), planeOf(32), beyond, 5).warp, beyond);
});

test('a box becomes a warp and a warp its box', () => {
  const box = boxOf(warpOf({ x: 0.25, y: 0.125, width: 0.5, height: 0.25 }));
  assert.deepEqual(box, { x: 0.25, y: 0.125, width: 0.5, height: 0.25 });
});
