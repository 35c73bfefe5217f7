/** Preprocessing of imported encoders against Pillow's results; golden/make_golden.py writes them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import sharp from 'sharp';
import { decodeImage } from '../../src/images/decoding/decode-image.js';
import { DEFAULT_IMAGE_LIMITS } from '../../src/images/decoding/image-limits.js';
import type { Pixels } from '../../src/images/pixels.js';
import { type Preprocessing, writeInputTensor } from '../../src/images/preprocessing.js';
import { pictureRegion } from '../../src/images/region.js';
import { KERNELS, type Resize, resample } from '../../src/images/resample.js';
import { meanDifference, PREPROCESSING, syntheticPicture } from './pictures.js';

type Golden = {
  readonly source: readonly [number, number];
  readonly crop: readonly [number, number];
  readonly rgb: string;
} & Resize;

const CASES = JSON.parse(
  readFileSync(new URL('../../../test/images/golden/golden.json', import.meta.url), 'utf8'),
) as readonly Golden[];

/** The same picture as in make_golden.py. */
function source(width: number, height: number): Pixels {
  const rgb = new Uint8Array(width * height * 3);
  for (let at = 0; at < rgb.length; at++) {
    const c = at % 3;
    const x = Math.floor(at / 3) % width;
    const y = Math.floor(at / 3 / width);
    const tile = (Math.floor(x / 9) + Math.floor(y / 7)) % 2;
    rgb[at] = (x * (7 + 5 * c) + y * (11 + 3 * c) + Math.floor((x * y) / (5 + c)) + tile * 90) % 256;
  }
  return { width, height, rgb };
}

for (const {
  source: [width, height],
  crop,
  rgb,
  ...resize
} of CASES) {
  const name = `${resize.kernel}${resize.antialias ? '' : ' without antialias'}, ${width}x${height}`;
  test(`${name} to ${JSON.stringify(resize.to)} in ${crop.join('x')} is what Pillow gives`, () => {
    const actual = resample(source(width, height), { width: crop[0], height: crop[1] }, resize).rgb;
    const expected = Buffer.from(rgb, 'base64');
    const differences = expected.map((value, at) => Math.abs(value - actual[at]!));
    const most = differences.reduce((a, b) => Math.max(a, b), 0);
    // Pillow's affine transform works in floating point and does not round between its passes.
    assert.ok(most <= (resize.antialias ? 0 : 1), `differs by up to ${most} of 255`);
  });
}

test('the reduction before it changes the input by less than 1 of 255 on average', async () => {
  const picture = syntheticPicture({ width: 1600, height: 1100 });
  const file = await sharp(picture.rgb, { raw: { width: 1600, height: 1100, channels: 3 } })
    .png({ compressionLevel: 1 })
    .toBuffer();
  for (const kernel of KERNELS) {
    for (const antialias of [true, false]) {
      const resize: Resize = { to: { shortest: 256 }, kernel, antialias };
      const preprocessing = { ...PREPROCESSING, width: 224, height: 224, resize };
      const settings = { limits: DEFAULT_IMAGE_LIMITS, preprocessing, thumbnailSize: 64, thumbnail: false };
      const { pixels } = await decodeImage(file, settings);
      const difference = meanDifference(pixels, resample(picture, preprocessing, resize));
      assert.ok(difference < 1, `${kernel}, antialias ${antialias}: differs by ${difference} of 255`);
    }
  }
});

test('an input region of an imported encoder maps to what it shows of the picture', () => {
  const whole = { x: 0, y: 0, width: 1, height: 1 };
  const picture = { width: 800, height: 400 };
  const resize: Resize = { to: { shortest: 256 }, kernel: 'bicubic', antialias: true };
  const seen = pictureRegion(whole, { preprocessing: { ...PREPROCESSING, width: 224, height: 224, resize }, picture });
  assert.deepEqual(seen, { x: 144 / 512, y: 16 / 256, width: 224 / 512, height: 224 / 256 });
});

test('channels in the order BGR are exchanged after the mean and the scale of each', () => {
  const target = new Float32Array(3);
  const one = { width: 1, height: 1, rgb: Uint8Array.of(255, 51, 0) };
  const preprocessing: Preprocessing = {
    ...PREPROCESSING,
    width: 1,
    height: 1,
    mean: [0.5, 0, 0],
    scale: [2, 1, 1],
    channels: 'BGR',
  };
  writeInputTensor({ pixels: one, preprocessing, target, index: 0 });
  assert.deepEqual([...target], [0, Math.fround(0.2), 1]);
});
