import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findWindows, type Guess, searchable } from '../../src/matching/find-window.js';
import { type Plane, resized } from '../../src/matching/grey-plane.js';
import { seededRandom } from '../../src/seeded-random.js';

const SEED = 4711;

/** Broad shapes under noise, as photographs have them. */
function picture(random: () => number, width: number, height: number): Plane {
  const noise = (across: number, down: number, contrast: number): Plane => ({
    width: across,
    height: down,
    values: Float32Array.from({ length: across * down }, () => contrast * random()),
  });
  const broad = resized(noise(5, 4, 180), width, height);
  const fine = noise(width, height, 60);
  return { width, height, values: broad.values.map((value, at) => value + fine.values[at]!) };
}

/** The pixels under a window of a plane. */
function windowOf(
  field: Plane,
  { x, y }: { x: number; y: number },
  size: { width: number; height: number },
): Float32Array {
  return Float32Array.from(
    { length: size.width * size.height },
    (_, at) => field.values[(y + Math.floor(at / size.width)) * field.width + x + (at % size.width)]!,
  );
}

function correlationOf(a: Float32Array, b: Float32Array): number {
  const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [products, squaresA, squaresB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    products += (a[i]! - meanA) * (b[i]! - meanB);
    squaresA += (a[i]! - meanA) ** 2;
    squaresB += (b[i]! - meanB) ** 2;
  }
  return products / Math.sqrt(squaresA * squaresB);
}

test(`the best place of each extent is the one that trying every place in full finds (seed ${SEED})`, () => {
  const random = seededRandom(SEED);
  let compared = 0;
  for (let round = 0; round < 40; round++) {
    const [width, height] = [60 + Math.floor(random() * 36), 60 + Math.floor(random() * 36)];
    const whole = searchable(picture(random, width, height));
    const cut = { x: Math.floor(random() * width * 0.3), y: Math.floor(random() * height * 0.3) };
    const size = { width: Math.floor(width * 0.65), height: Math.floor(height * 0.65) };
    // A part of it in every other round, else a stranger.
    const part = searchable(
      round % 2 === 0
        ? { ...size, values: windowOf(whole.plane, cut, size) }
        : picture(random, size.width, size.height),
    );
    const patch = part.patch;
    assert.ok(patch);
    const correlationMin = round % 4 < 2 ? 0.3 : 0.7;
    const found = findWindows(part, whole, { correlationMin, wholeMin: -1 });
    for (const field of whole.fields.filter((one) => one.width >= patch.width && one.height >= patch.height)) {
      const isWhole = field.width === patch.width && field.height === patch.height;
      const places: { x: number; y: number; correlation: number }[] = [];
      for (let y = 0; y + patch.height <= field.height; y++)
        for (let x = 0; x + patch.width <= field.width; x++)
          places.push({ x, y, correlation: correlationOf(patch.values, windowOf(field, { x, y }, patch)) });
      const best = places.reduce((a, b) => (b.correlation > a.correlation ? b : a));
      const guess: Guess | undefined = found.find(
        ({ box }) => box.width === patch.width / field.width && box.height === patch.height / field.height,
      );
      if (best.correlation < (isWhole ? -1 : correlationMin))
        assert.equal(guess, undefined, `round ${round}: below what was asked`);
      else {
        assert.ok(guess, `round ${round}: ${best.correlation} at ${best.x}, ${best.y} was not found`);
        assert.ok(
          Math.abs(guess.correlation - best.correlation) < 1e-4,
          `round ${round}: ${guess.correlation}, not ${best.correlation}`,
        );
        compared += 1;
      }
    }
  }
  assert.ok(compared > 100, `only ${compared} places were compared`);
});
