/**
 * Random patches of a stream of images: what the whitening and the dictionary are made of.
 * p: side of a patch; a patch is a row of 3 p p values, channel by channel (CHW), each channel's mean within the
 * patch removed.
 */

import type { Pixels } from '../../images/pixels.js';
import { type Preprocessing, writeInputTensor } from '../../images/preprocessing.js';
import { type Random, seededRandom } from '../../seeded-random.js';

/** Patches per image, enough for a dictionary from few images. */
const PATCHES_PER_IMAGE = 16;
/** Patches held at most, by reservoir sampling: 43 MB at p = 6. */
const PATCHES_MAX = 100_000;
/** A patch whose pixels (0..1) vary less, root mean square, is flat: it holds rounding errors only. */
const FLAT = 2e-3;

/** `values`: [patches, 3 p p]. `images`: how many were read. */
export type PatchSample = { readonly patches: number; readonly images: number; readonly values: Float32Array };

/**
 * Draws patches uniformly from all images in one pass, leaving out flat ones. The same images, in the same order, and
 * the same seed give the same patches.
 */
export async function samplePatches(options: {
  readonly images: AsyncIterable<Pixels> | Iterable<Pixels>;
  readonly preprocessing: Preprocessing;
  readonly patch: number;
  readonly seed: number;
}): Promise<PatchSample> {
  const { images, preprocessing, patch } = options;
  const random = seededRandom(options.seed);
  const { width, height } = preprocessing;
  const length = 3 * patch * patch;
  const input = new Float32Array(3 * width * height);
  const reservoir = new Float32Array(PATCHES_MAX * length);
  const candidate = new Float32Array(length);
  let [count, seen] = [0, 0];
  for await (const pixels of images) {
    writeInputTensor({ pixels, preprocessing, target: input, index: 0 });
    count++;
    for (let draw = 0; draw < PATCHES_PER_IMAGE; draw++) {
      const place = { left: below(width - patch + 1, random), top: below(height - patch + 1, random) };
      copyPatch({ input, width, height, patch, ...place, target: candidate });
      if (rootMeanSquare(candidate) < FLAT) continue;
      // Algorithm R (Vitter 1985): every patch seen so far is held with the same probability.
      const slot = seen < PATCHES_MAX ? seen : below(seen + 1, random);
      if (slot < PATCHES_MAX) reservoir.set(candidate, slot * length);
      seen++;
    }
  }
  const patches = Math.min(seen, PATCHES_MAX);
  return { patches, images: count, values: reservoir.slice(0, patches * length) };
}

/** The patches seen in a mirror (left and right exchanged), same order. */
export function mirroredPatches(values: Float32Array, patch: number): Float32Array {
  const mirrored = new Float32Array(values.length);
  for (let row = 0; row < values.length; row += patch) {
    for (let x = 0; x < patch; x++) mirrored[row + x] = values[row + patch - 1 - x]!;
  }
  return mirrored;
}

function below(limit: number, random: Random): number {
  return Math.floor(random() * limit);
}

/** One patch of a CHW image, channel means removed. */
function copyPatch(options: {
  readonly input: Float32Array;
  readonly width: number;
  readonly height: number;
  readonly patch: number;
  readonly left: number;
  readonly top: number;
  readonly target: Float32Array;
}): void {
  const { input, width, height, patch, left, top, target } = options;
  const area = patch * patch;
  for (let channel = 0; channel < 3; channel++) {
    let sum = 0;
    for (let at = 0; at < area; at++) {
      const value = input[channel * width * height + (top + Math.floor(at / patch)) * width + left + (at % patch)]!;
      target[channel * area + at] = value;
      sum += value;
    }
    for (let at = 0; at < area; at++) target[channel * area + at] = target[channel * area + at]! - sum / area;
  }
}

function rootMeanSquare(values: Float32Array): number {
  let squares = 0;
  for (const value of values) squares += value * value;
  return Math.sqrt(squares / values.length);
}
