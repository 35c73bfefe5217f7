import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import sharp from 'sharp';
import { lanczosCost, shrinkWithLanczos } from '../../src/images/lanczos.js';
import type { Pixels } from '../../src/images/pixels.js';

/** Waves of several lengths, a hard edge and some noise: what a resampler can get wrong, all in one. */
function picture(width: number, height: number): Pixels {
  const rgb = new Uint8Array(width * height * 3);
  let noise = 1;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      noise = (Math.imul(noise, 1103515245) + 12345) & 0x7fffffff;
      rgb[at] = 128 + 100 * Math.sin(x / 5) * Math.cos(y / 17);
      rgb[at + 1] = x * 3 < y * 4 ? 230 : 20;
      rgb[at + 2] = 60 + ((noise >> 16) & 127);
    }
  }
  return { width, height, rgb };
}

async function bySharp({ width, height, rgb }: Pixels, size: { width: number; height: number }): Promise<Uint8Array> {
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .resize({ ...size, fit: 'fill', kernel: 'lanczos3' })
    .raw()
    .toBuffer();
}

function difference(a: Uint8Array, b: Uint8Array): { worst: number; mean: number } {
  assert.equal(a.length, b.length);
  let worst = 0;
  let sum = 0;
  for (const [at, value] of a.entries()) {
    worst = Math.max(worst, Math.abs(value - b[at]!));
    sum += Math.abs(value - b[at]!);
  }
  return { worst, mean: sum / a.length };
}

const whole = ({ width, height }: Pixels) => ({ left: 0, top: 0, width, height });

describe('pixels shrunk by ourselves', () => {
  const shapes = [
    [300, 236, 32, 32],
    [236, 300, 32, 32],
    [767, 512, 32, 32],
    [511, 33, 32, 32],
    [32, 299, 32, 32],
    [65, 64, 64, 48],
    [101, 97, 17, 5],
    [640, 480, 1, 1],
  ] as const;
  for (const [width, height, toWidth, toHeight] of shapes) {
    test(`are those of libvips but for rounding, ${width}x${height} to ${toWidth}x${toHeight}`, async () => {
      const from = picture(width, height);
      const size = { width: toWidth, height: toHeight };
      const shrunk = shrinkWithLanczos(from, whole(from), size);
      assert.deepEqual({ width: shrunk.width, height: shrunk.height }, size);
      const { worst, mean } = difference(shrunk.rgb, await bySharp(from, size));
      // libvips rounds and cuts off after each of four passes.
      assert.ok(worst <= 6 && mean <= 0.6, `${worst} at worst, ${mean} on the mean`);
    });
  }

  test('of a part are those of the part cut out first', () => {
    const from = picture(300, 200);
    const part = { left: 41, top: 7, width: 150, height: 180 };
    const rgb = new Uint8Array(part.width * part.height * 3);
    for (let y = 0; y < part.height; y++) {
      const start = ((part.top + y) * from.width + part.left) * 3;
      rgb.set(from.rgb.subarray(start, start + part.width * 3), y * part.width * 3);
    }
    const cut: Pixels = { width: part.width, height: part.height, rgb };
    const size = { width: 32, height: 32 };
    assert.deepEqual(shrinkWithLanczos(from, part, size), shrinkWithLanczos(cut, whole(cut), size));
  });

  test('of one colour stay that colour, up to the edges', () => {
    const from: Pixels = { width: 203, height: 119, rgb: new Uint8Array(203 * 119 * 3).fill(201) };
    assert.deepEqual(new Set(shrinkWithLanczos(from, whole(from), { width: 32, height: 32 }).rgb), new Set([201]));
  });

  test('at their own size are what they were', () => {
    const from = picture(40, 30);
    assert.deepEqual(shrinkWithLanczos(from, whole(from), { width: 40, height: 30 }).rgb, from.rgb);
  });

  test('cost what their loops multiply, which grows with the size asked for', () => {
    const from = { width: 400, height: 300 };
    const costs = [16, 32, 64, 128].map((side) => lanczosCost(from, { width: side, height: side }));
    assert.deepEqual(
      costs,
      costs.toSorted((a, b) => a - b),
    );
    assert.ok(costs[1]! < 300_000 && costs[3]! > 1_000_000, String(costs));
  });
});
