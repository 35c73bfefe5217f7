import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomStream } from '../../src/seeded-random.js';
import { augment } from '../../src/training/augmentation.js';
import type { Augmentation } from '../../src/training/recipe.js';
import { RECIPES } from '../../src/training/recipes.js';
import { TEXTURE_SIDE as SIDE, textures } from './textures.js';

const NOTHING: Augmentation = {
  crop: { areaMin: 1, areaMax: 1, aspectMax: 1 },
  flip: 0,
  jitter: { probability: 0, brightness: 0, contrast: 0, saturation: 0, hue: 0 },
  grey: 0,
};
const source = (await textures(3, 11).heldPixels(2)!).rgb;

function view(augmentation: Augmentation, ...key: number[]): Uint8Array {
  const target = new Uint8Array(source.length);
  augment({ source, target, side: SIDE, augmentation, random: randomStream(2018, 'view', ...key) });
  return target;
}

test('a view is a function of seed, epoch, image and view, whatever was drawn before', () => {
  const augmentation = RECIPES.views.augmentation;
  const first = view(augmentation, 3, 141, 0);
  for (const key of [
    [3, 141, 1],
    [4, 141, 0],
    [3, 142, 0],
  ]) {
    assert.notDeepEqual(view(augmentation, ...key), first, `key ${key}`);
  }
  assert.deepEqual(view(augmentation, 3, 141, 0), first);
});

test('with every change off a view is the image itself', () => {
  assert.deepEqual(view(NOTHING, 1), source);
});

test('a flip mirrors every row and nothing else', () => {
  const mirrored = view({ ...NOTHING, flip: 1 }, 1);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      for (let c = 0; c < 3; c++)
        assert.equal(mirrored[(y * SIDE + x) * 3 + c], source[(y * SIDE + SIDE - 1 - x) * 3 + c]);
    }
  }
});

test('a crop agrees with a slow bilinear reference', () => {
  const crop = { areaMin: 0.3, areaMax: 0.6, aspectMax: 1.5 };
  const random = randomStream(2018, 'view', 5);
  const area = crop.areaMin + random() * (crop.areaMax - crop.areaMin);
  const aspect = crop.aspectMax ** (2 * random() - 1);
  const [width, height] = [SIDE * Math.min(1, Math.sqrt(area * aspect)), SIDE * Math.min(1, Math.sqrt(area / aspect))];
  const [left, top] = [random() * (SIDE - width), random() * (SIDE - height)];
  const at = (x: number, y: number, c: number): number =>
    source[(Math.min(SIDE - 1, y) * SIDE + Math.min(SIDE - 1, x)) * 3 + c]!;
  const found = view({ ...NOTHING, crop }, 5);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const sx = Math.min(SIDE - 1, Math.max(0, left + ((x + 0.5) / SIDE) * width - 0.5));
      const sy = Math.min(SIDE - 1, Math.max(0, top + ((y + 0.5) / SIDE) * height - 0.5));
      const [x0, y0] = [Math.floor(sx), Math.floor(sy)];
      const [fx, fy] = [sx - x0, sy - y0];
      for (let c = 0; c < 3; c++) {
        const upper = at(x0, y0, c) * (1 - fx) + at(x0 + 1, y0, c) * fx;
        const lower = at(x0, y0 + 1, c) * (1 - fx) + at(x0 + 1, y0 + 1, c) * fx;
        const expected = upper * (1 - fy) + lower * fy;
        assert.ok(Math.abs(found[(y * SIDE + x) * 3 + c]! - expected) < 0.52, `${x}, ${y}, ${c}`);
      }
    }
  }
});

test('grey makes the channels equal to the luma', () => {
  const grey = view({ ...NOTHING, grey: 1 }, 1);
  for (let i = 0; i < grey.length; i += 3) {
    const luma = 0.299 * source[i]! + 0.587 * source[i + 1]! + 0.114 * source[i + 2]!;
    for (let c = 0; c < 3; c++) assert.ok(Math.abs(grey[i + c]! - luma) < 0.51);
  }
});

test('brightness scales, contrast keeps the mean, hue keeps the luma', () => {
  const jitter = { probability: 1, brightness: 0, contrast: 0, saturation: 0, hue: 0 };
  const dimmed = view({ ...NOTHING, jitter: { ...jitter, brightness: 0.5 } }, 9);
  const ratios = [...dimmed].flatMap((value, i) =>
    value > 60 && value < 250 && source[i]! > 60 ? [value / source[i]!] : [],
  );
  assert.ok(ratios.length > 50 && Math.max(...ratios) - Math.min(...ratios) < 0.02, 'one factor for all');
  assert.ok(Math.abs(ratios[0]! - 1) > 0.01);

  const luma = (rgb: Uint8Array): number => {
    let sum = 0;
    for (let i = 0; i < rgb.length; i += 3) sum += 0.299 * rgb[i]! + 0.587 * rgb[i + 1]! + 0.114 * rgb[i + 2]!;
    return (3 * sum) / rgb.length;
  };
  // A picture in the middle of the range, so that nothing is clipped.
  const middle = source.map((value) => 100 + value / 5);
  for (const change of [{ contrast: 0.6 }, { hue: 0.5 }, { saturation: 0.6 }]) {
    const target = new Uint8Array(middle.length);
    augment({
      source: middle,
      target,
      side: SIDE,
      augmentation: { ...NOTHING, jitter: { ...jitter, ...change } },
      random: randomStream(1, 9),
    });
    assert.notDeepEqual(target, middle, JSON.stringify(change));
    assert.ok(
      Math.abs(luma(target) - luma(middle)) < 0.6,
      `${JSON.stringify(change)}: ${luma(target)} and ${luma(middle)}`,
    );
  }
});
