import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import {
  DIHEDRAL_VARIANTS,
  hammingDistance,
  PERCEPTUAL_HASH_THRESHOLD,
  perceptualHash,
  perceptualHashes,
} from '../../src/images/perceptual-hash.js';
import type { Pixels } from '../../src/images/pixels.js';
import { clothingPhotos, skipWithoutPhotos, syntheticPicture, TURNS, toSharp } from './pictures.js';

describe('PDQ hash', () => {
  for (const size of [
    { width: 300, height: 240 },
    { width: 64, height: 64 },
    { width: 129, height: 517 },
    { width: 20, height: 9 },
  ]) {
    test(`equals the slow, loop-written reference at ${size.width}x${size.height}`, () => {
      for (const seed of [1, 2, 3]) {
        const picture = syntheticPicture({ ...size, seed });
        const { hash, quality } = perceptualHash(picture);
        const reference = referencePdq(picture);
        // Sums in another order can move a coefficient across the median, at most the pair next to it.
        assert.ok(
          hammingDistance(hash, reference.hash) <= 2,
          `seed ${seed}: ${hammingDistance(hash, reference.hash)} bits`,
        );
        assert.ok(
          Math.abs(quality - reference.quality) <= 1,
          `seed ${seed}: quality ${quality}, reference ${reference.quality}`,
        );
      }
    });
  }

  test('half of the bits are set, by the median', () => {
    const { hash } = perceptualHash(syntheticPicture({ width: 200, height: 150 }));
    assert.equal(hammingDistance(hash, new Uint8Array(32)), 128);
  });

  test('a flat picture has quality 0 and a picture too small to hash has the zero hash', () => {
    const flat = { width: 40, height: 40, rgb: new Uint8Array(40 * 40 * 3).fill(90) };
    assert.equal(perceptualHash(flat).quality, 0);
    const tiny = { width: 100, height: 4, rgb: new Uint8Array(100 * 4 * 3).fill(90) };
    assert.deepEqual(perceptualHash(tiny), { hash: new Uint8Array(32), quality: 0 });
    for (const variant of DIHEDRAL_VARIANTS)
      assert.deepEqual(perceptualHashes(tiny).variants[variant], new Uint8Array(32));
  });

  test('the eight dihedral hashes are those of the turned and mirrored pictures', async () => {
    const picture = syntheticPicture({ width: 64, height: 64, seed: 5 }); // nothing to blur, so sampling is symmetric
    const hashes = perceptualHashes(picture).variants;
    assert.deepEqual(hashes.original, perceptualHash(picture).hash);
    for (const variant of DIHEDRAL_VARIANTS) {
      const turned = perceptualHash(await toPixels(TURNS[variant](toSharp(picture)))).hash;
      const distances = DIHEDRAL_VARIANTS.map((other) => ({ other, distance: hammingDistance(hashes[other], turned) }));
      for (const { other, distance } of distances) {
        const message = `hash ${other} of the picture turned to ${variant}: ${distance} bits`;
        if (other === variant)
          assert.ok(distance <= 2, message); // the pair at the median may change places
        else assert.ok(distance > 2 * PERCEPTUAL_HASH_THRESHOLD, message);
      }
    }
  });

  test('photos at JPEG quality 60 or half size stay under the threshold, other photos above it', {
    skip: skipWithoutPhotos,
  }, async () => {
    const photos = clothingPhotos(12);
    const hashes: Uint8Array[] = [];
    for (const photo of photos) {
      const { hash } = perceptualHash(await toPixels(sharp(photo)));
      const { width = 0 } = await sharp(photo).metadata();
      const coats = [
        sharp(await sharp(photo).jpeg({ quality: 60 }).toBuffer()),
        sharp(photo).resize({ width: Math.round(width / 2) }),
      ];
      for (const coat of coats) {
        const distance = hammingDistance(hash, perceptualHash(await toPixels(coat)).hash);
        assert.ok(distance <= PERCEPTUAL_HASH_THRESHOLD, `${distance} bits`);
      }
      hashes.push(hash);
    }
    for (const [i, a] of hashes.entries()) {
      for (const b of hashes.slice(i + 1))
        assert.ok(hammingDistance(a, b) > PERCEPTUAL_HASH_THRESHOLD, `${hammingDistance(a, b)} bits`);
    }
  });
});

async function toPixels(image: Sharp): Promise<Pixels> {
  const { data, info } = await image.toColourspace('srgb').removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
}

/**
 * PDQ step by step as its authors describe it: luminance, two box blurs each way over the whole picture, decimation,
 * transform, median.
 */
function referencePdq(picture: Pixels): { hash: Uint8Array; quality: number } {
  const { width, height, rgb } = picture;
  let image = Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => {
      const at = (y * width + x) * 3;
      return 0.299 * rgb[at]! + 0.587 * rgb[at + 1]! + 0.114 * rgb[at + 2]!;
    }),
  );
  const transpose = (matrix: number[][]) => matrix[0]!.map((_, x) => matrix.map((row) => row[x]!));
  const boxRow = (row: number[]) => {
    const window = Math.floor((row.length + 127) / 128);
    const half = Math.floor((window + 2) / 2);
    return row.map((_, x) => {
      const inside = row.slice(Math.max(0, x - (window - half)), x + half);
      return inside.reduce((a, b) => a + b, 0) / inside.length;
    });
  };
  for (let pass = 0; pass < 2; pass++) image = transpose(transpose(image.map(boxRow)).map(boxRow));
  const samples = Array.from({ length: 64 }, (_, i) =>
    Array.from(
      { length: 64 },
      (_, j) => image[Math.floor(((i + 0.5) * height) / 64)]![Math.floor(((j + 0.5) * width) / 64)]!,
    ),
  );
  let gradient = 0;
  const hundredths = (a: number, b: number) => Math.abs(Math.trunc(((a - b) * 100) / 255));
  for (let i = 0; i < 63; i++)
    for (let j = 0; j < 64; j++) gradient += hundredths(samples[i]![j]!, samples[i + 1]![j]!);
  for (let i = 0; i < 64; i++)
    for (let j = 0; j < 63; j++) gradient += hundredths(samples[i]![j]!, samples[i]![j + 1]!);
  const coefficients: number[] = [];
  const wave = (frequency: number, at: number) =>
    Math.sqrt(2 / 64) * Math.cos((Math.PI / 128) * frequency * (2 * at + 1));
  for (let u = 1; u <= 16; u++) {
    for (let v = 1; v <= 16; v++) {
      let sum = 0;
      for (let i = 0; i < 64; i++) for (let j = 0; j < 64; j++) sum += wave(u, i) * wave(v, j) * samples[i]![j]!;
      coefficients.push(sum);
    }
  }
  const median = coefficients.toSorted((a, b) => a - b)[127]!;
  let number = 0n;
  for (const [bit, coefficient] of coefficients.entries()) if (coefficient > median) number |= 1n << BigInt(bit);
  const hash = new Uint8Array(Buffer.from(number.toString(16).padStart(64, '0'), 'hex'));
  return { hash, quality: Math.min(100, Math.floor(gradient / 90)) };
}
