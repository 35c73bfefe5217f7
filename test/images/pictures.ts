/** Pictures that tests make for themselves, so that they need no files. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import sharp, { type Sharp } from 'sharp';
import type { DihedralVariant } from '../../src/images/perceptual-hash.js';
import type { Pixels } from '../../src/images/pixels.js';
import type { Preprocessing } from '../../src/images/preprocessing.js';
import { seededRandom } from '../../src/seeded-random.js';

/** An encoder's input of 32x32 that crops. */
export const PREPROCESSING: Preprocessing = {
  width: 32,
  height: 32,
  fit: 'cover',
  mean: [0, 0, 0],
  scale: [1, 1, 1],
  layout: 'NCHW',
};

/** A picture with structure at several scales and no symmetry, the same for the same seed. */
export function syntheticPicture(options: {
  readonly width: number;
  readonly height: number;
  readonly seed?: number;
}): Pixels {
  const { width, height, seed = 1 } = options;
  const random = seededRandom(seed);
  const waves = Array.from({ length: 40 }, () => {
    const across = (random() - 0.4) * 90;
    const down = (random() - 0.6) * 90;
    const strength = 40 / (1 + Math.hypot(across, down) / 20);
    return {
      across,
      down,
      phase: random() * 2 * Math.PI,
      gains: [random() * strength, random() * strength, random() * strength],
    };
  });
  // sin(a + b) by tables of each axis, since a sine per pixel and wave takes seconds for large pictures.
  const table = (length: number, wave: (at: number) => number) =>
    Float64Array.from({ length }, (_, at) => wave(at / length));
  const tables = waves.map(({ across, down, phase, gains }) => ({
    gains,
    sinX: table(width, (x) => Math.sin(across * x + phase)),
    cosX: table(width, (x) => Math.cos(across * x + phase)),
    sinY: table(height, (y) => Math.sin(down * y)),
    cosY: table(height, (y) => Math.cos(down * y)),
  }));
  const rgb = new Uint8Array(width * height * 3);
  const row = new Float64Array(width * 3);
  for (let y = 0; y < height; y++) {
    row.fill(128);
    for (const { gains, sinX, cosX, sinY, cosY } of tables) {
      const [red, green, blue] = [gains[0]!, gains[1]!, gains[2]!];
      for (let x = 0; x < width; x++) {
        const value = sinX[x]! * cosY[y]! + cosX[x]! * sinY[y]!;
        row[x * 3]! += red * value;
        row[x * 3 + 1]! += green * value;
        row[x * 3 + 2]! += blue * value;
      }
    }
    for (let i = 0; i < row.length; i++) rgb[y * row.length + i] = Math.max(0, Math.min(255, Math.round(row[i]!)));
  }
  return { width, height, rgb };
}

/** A picture as input of sharp. */
export function toSharp(pixels: Pixels): Sharp {
  return sharp(pixels.rgb, { raw: { width: pixels.width, height: pixels.height, channels: 3 } });
}

/** Each turn and mirroring by sharp, which turns clockwise, and mirrors before it turns. */
export const TURNS: Readonly<Record<DihedralVariant, (image: Sharp) => Sharp>> = {
  original: (image) => image,
  rotate90: (image) => image.rotate(270),
  rotate180: (image) => image.rotate(180),
  rotate270: (image) => image.rotate(90),
  flipX: (image) => image.flip(),
  flipY: (image) => image.flop(),
  flipPlus1: (image) => image.flop().rotate(270), // about the main diagonal
  flipMinus1: (image) => image.flop().rotate(90),
};

/** Mean over all values of the absolute difference of two pictures, 0..255. */
export function meanDifference(a: Pixels, b: Pixels): number {
  if (a.rgb.length !== b.rgb.length) throw new Error(`${a.width}x${a.height} against ${b.width}x${b.height}`);
  let sum = 0;
  for (let i = 0; i < a.rgb.length; i++) sum += Math.abs(a.rgb[i]! - b.rgb[i]!);
  return sum / a.rgb.length;
}

const CLOTHING = new URL('../../../../shared/data/photos/clothing/', import.meta.url);

/** Why tests on photos are skipped, or false where the photos lie beside the checkout. */
export const skipWithoutPhotos = existsSync(CLOTHING) ? false : 'needs the photos of ../shared/data/photos/clothing';

/** Every n-th of the clothing photos, as JPEG bytes. */
export function clothingPhotos(everyNth: number): readonly Uint8Array[] {
  const names = readdirSync(CLOTHING, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.jpg'));
  return names
    .sort()
    .filter((_, i) => i % everyNth === 0)
    .map((name) => readFileSync(new URL(name, CLOTHING)));
}
