import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FeatureGrid, matchRegions } from '../../src/matching/match-regions.js';
import { seededRandom } from '../../src/seeded-random.js';

const CHANNELS = 32;
const SIDE = 8;

/** A grid whose every cell is a random vector of its own about a mean that all share. */
function randomGrid(seed: number): FeatureGrid {
  const random = seededRandom(seed);
  const values = Float32Array.from({ length: CHANNELS * SIDE * SIDE }, () => 5 + random());
  return { channels: CHANNELS, width: SIDE, height: SIDE, values };
}

/** `to` with the cells of a rectangle taken from `from`, at another place and mirrored where asked. */
function withPart(
  to: FeatureGrid,
  from: FeatureGrid,
  part: { x: number; y: number; side: number; atX: number; atY: number; mirrored?: boolean },
): FeatureGrid {
  const values = to.values.slice();
  for (let channel = 0; channel < CHANNELS; channel++) {
    for (let row = 0; row < part.side; row++) {
      for (let column = 0; column < part.side; column++) {
        const source = part.mirrored ? part.side - 1 - column : column;
        const at = channel * SIDE * SIDE;
        values[at + (part.atY + row) * SIDE + part.atX + column] =
          from.values[at + (part.y + row) * SIDE + part.x + source]!;
      }
    }
  }
  return { ...to, values };
}

test('a part that stands elsewhere in the other picture is one pair of boxes about it, mirrored or not', () => {
  const a = randomGrid(1);
  for (const mirrored of [false, true]) {
    const b = withPart(randomGrid(2), a, { x: 1, y: 2, side: 4, atX: 4, atY: 3, mirrored });
    const [first, ...others] = matchRegions(a, b);
    assert.deepEqual(first?.a, { x: 1 / 8, y: 2 / 8, width: 0.5, height: 0.5 });
    assert.deepEqual(first?.b, { x: 4 / 8, y: 3 / 8, width: 0.5, height: 0.5 });
    assert.ok(first.similarity > 0.99);
    for (const { a: box } of others) assert.ok(box.width * box.height < 0.1, JSON.stringify(others));
  }
});

test('pictures without anything in common have next to no pairs, equal ones one that is everything', () => {
  assert.deepEqual(matchRegions(randomGrid(3), randomGrid(4)), []);
  const whole = { x: 0, y: 0, width: 1, height: 1 };
  const [first, ...others] = matchRegions(randomGrid(5), randomGrid(5));
  assert.deepEqual([first?.a, first?.b, others], [whole, whole, []]);
  const flat = { channels: 2, width: 2, height: 2, values: new Float32Array(8).fill(3) };
  assert.deepEqual(matchRegions(flat, flat), []);
});
