/**
 * PDQ, Meta's 256-bit perceptual hash: blur to 64x64 luminance, take the 16x16 lowest frequencies of its cosine
 * transform (without the constant one); a bit says whether a coefficient is above their median. Source: "The TMK+PDF
 * Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" and the reference code,
 * github.com/facebook/ThreatExchange, folder pdq (2019).
 */
import type { Pixels } from './pixels.js';

/** A perceptual hash with its quality. */
export type PerceptualHash = {
  /** 256 bits in 32 bytes, in the order of the reference's hexadecimal form (highest frequency first). */
  readonly hash: Uint8Array;
  /**
   * 0..100: the picture's detail. Below {@link PERCEPTUAL_HASH_QUALITY_MIN} the hash is unreliable: a flat picture
   * matches any.
   */
  readonly quality: number;
};

/**
 * Hashes that differ in at most this many of 256 bits are of one picture; the threshold recommended by PDQ's authors.
 */
export const PERCEPTUAL_HASH_THRESHOLD = 31;

/** PDQ's authors advise to disregard hashes of a quality below this. */
export const PERCEPTUAL_HASH_QUALITY_MIN = 50;

/**
 * The eight turns and mirrors of a picture (the dihedral group). Turns are anticlockwise, as in the reference's tests.
 */
export const DIHEDRAL_VARIANTS = [
  'original',
  'rotate90',
  'rotate180',
  'rotate270',
  'flipX',
  'flipY',
  'flipPlus1',
  'flipMinus1',
] as const;
export type DihedralVariant = (typeof DIHEDRAL_VARIANTS)[number];

/** Hash of a picture. Pictures with a side under 5 pixels have the all-zero hash and quality 0, as in the reference. */
export function perceptualHash(pixels: Pixels): PerceptualHash {
  if (Math.min(pixels.width, pixels.height) < HASHABLE_SIDE_MIN)
    return { hash: new Uint8Array(HASH_BYTES), quality: 0 };
  const blurred = blurTo64(pixels);
  return { hash: bitsAboveMedian(lowFrequencies(blurred)), quality: detail(blurred) };
}

/** Hash of each {@link DihedralVariant} of one picture. */
export type DihedralHashes = Readonly<Record<DihedralVariant, Uint8Array>>;

/**
 * The hash of a picture with those of its turns and mirrors, from one transform: turning a picture only permutes and
 * negates its frequencies. Compare a query's eight with stored ones to find turned and mirrored copies.
 */
export function perceptualHashes(pixels: Pixels): PerceptualHash & { readonly variants: DihedralHashes } {
  if (Math.min(pixels.width, pixels.height) < HASHABLE_SIDE_MIN) {
    return { hash: new Uint8Array(HASH_BYTES), quality: 0, variants: variantsOf(undefined) };
  }
  const blurred = blurTo64(pixels);
  const variants = variantsOf(lowFrequencies(blurred));
  return { hash: variants.original, quality: detail(blurred), variants };
}

function variantsOf(frequencies: Float64Array | undefined): DihedralHashes {
  const variant = (isTransposed: boolean, sign: (row: number, column: number) => boolean): Uint8Array => {
    if (frequencies === undefined) return new Uint8Array(HASH_BYTES);
    const turned = new Float64Array(FREQUENCIES * FREQUENCIES);
    for (let row = 0; row < FREQUENCIES; row++) {
      for (let column = 0; column < FREQUENCIES; column++) {
        const value = frequencies[row * FREQUENCIES + column]!;
        turned[isTransposed ? column * FREQUENCIES + row : row * FREQUENCIES + column] = sign(row, column)
          ? -value
          : value;
      }
    }
    return bitsAboveMedian(turned);
  };
  // slots start at frequency 1, so even slots are the antisymmetric waves
  const isEven = (index: number) => index % 2 === 0;
  return {
    original: variant(false, () => false),
    rotate90: variant(true, (_, column) => isEven(column)),
    rotate180: variant(false, (row, column) => !isEven(row + column)),
    rotate270: variant(true, (row) => isEven(row)),
    flipX: variant(false, (row) => isEven(row)),
    flipY: variant(false, (_, column) => isEven(column)),
    flipPlus1: variant(true, () => false),
    flipMinus1: variant(true, (row, column) => !isEven(row + column)),
  };
}

/** Number of bits in which two hashes differ, 0..256. Compare with {@link PERCEPTUAL_HASH_THRESHOLD}. */
export function hammingDistance(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== HASH_BYTES || b.length !== HASH_BYTES)
    throw new Error(`Hashes are of ${a.length} and ${b.length} bytes. This is a bug.`);
  let distance = 0;
  for (let i = 0; i < HASH_BYTES; i++) {
    let difference = a[i]! ^ b[i]!;
    for (; difference !== 0; difference &= difference - 1) distance++;
  }
  return distance;
}

const HASH_BYTES = 32;
const HASHABLE_SIDE_MIN = 5;
const SIDE = 64;
const FREQUENCIES = 16;

/**
 * Luminance after two passes of a box filter along each axis, sampled at [64, 64]. The passes are linear and separable,
 * so one sparse filter per axis computes only the samples.
 */
function blurTo64({ rgb, width, height }: Pixels): Float64Array {
  // Columns first: adding whole rows is the tightest loop. Few rows go into two samples, so luminance is computed where
  // it is used.
  const down = blurFilter(height);
  const blurredDown = new Float64Array(SIDE * width);
  for (let i = 0; i < SIDE; i++) {
    for (let t = 0; t < down.lengths[i]!; t++) {
      const weight = down.weights[i * down.stride + t]!;
      addLuminance({ rgb, width, y: down.starts[i]! + t, weight, into: blurredDown, at: i * width });
    }
  }
  const { starts, lengths, stride, weights } = blurFilter(width);
  const blurred = new Float64Array(SIDE * SIDE);
  for (let j = 0; j < SIDE; j++) {
    const length = lengths[j]!;
    for (let i = 0, from = starts[j]!; i < SIDE; i++, from += width) {
      let sum = 0;
      for (let t = 0; t < length; t++) sum += weights[j * stride + t]! * blurredDown[from + t]!;
      blurred[i * SIDE + j] = sum;
    }
  }
  return blurred;
}

/** Adds the weighted luminance of row y to `into`, from index `at` on. */
function addLuminance(row: {
  readonly rgb: Uint8Array;
  readonly width: number;
  readonly y: number;
  readonly weight: number;
  readonly into: Float64Array;
  readonly at: number;
}): void {
  const { rgb, width, y, weight, into, at } = row;
  for (let x = 0, from = 3 * width * y; x < width; x++, from += 3) {
    into[at + x]! += weight * (0.299 * rgb[from]! + 0.587 * rgb[from + 1]! + 0.114 * rgb[from + 2]!);
  }
}

/**
 * Sparse rows: sample i is the sum over t < lengths[i] of weights[i * stride + t] x input[starts[i] + t]. One array for
 * all rows, since buffers outside of V8's heap are dear to collect.
 */
type BlurFilter = {
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  readonly stride: number;
  readonly weights: Float64Array;
};

/** Two box passes over `length` inputs, at the 64 samples. A box at the border averages the inputs inside. */
function blurFilter(length: number): BlurFilter {
  const window = Math.ceil(length / (2 * SIDE));
  const after = Math.floor(window / 2);
  const before = window - after - 1;
  const firstOf = (centre: number) => Math.max(0, centre - before);
  const lastOf = (centre: number) => Math.min(length - 1, centre + after);
  const stride = 2 * window - 1;
  const starts = new Int32Array(SIDE);
  const lengths = new Int32Array(SIDE);
  const weights = new Float64Array(SIDE * stride);
  for (let i = 0; i < SIDE; i++) {
    const centre = Math.floor(((i + 0.5) * length) / SIDE);
    const [outerFirst, outerLast] = [firstOf(centre), lastOf(centre)];
    const start = firstOf(outerFirst);
    for (let middle = outerFirst; middle <= outerLast; middle++) {
      const [first, last] = [firstOf(middle), lastOf(middle)];
      const weight = 1 / ((outerLast - outerFirst + 1) * (last - first + 1));
      for (let at = first; at <= last; at++) weights[i * stride + at - start]! += weight;
    }
    starts[i] = start;
    lengths[i] = lastOf(outerLast) - start + 1;
  }
  return { starts, lengths, stride, weights };
}

/** Rows of the cosine transform, frequencies 1..16: [16, 64]. */
const COSINES = Float64Array.from({ length: FREQUENCIES * SIDE }, (_, at) => {
  const frequency = 1 + Math.floor(at / SIDE);
  return Math.sqrt(2 / SIDE) * Math.cos((Math.PI / (2 * SIDE)) * frequency * (2 * (at % SIDE) + 1));
});

/** Cosine transform of [64, 64], frequencies 1..16 of each axis: [16, 16]. */
function lowFrequencies(blurred: Float64Array): Float64Array {
  const half = new Float64Array(FREQUENCIES * SIDE);
  for (let f = 0; f < FREQUENCIES; f++) {
    for (let y = 0; y < SIDE; y++) {
      const cosine = COSINES[f * SIDE + y]!;
      for (let x = 0; x < SIDE; x++) half[f * SIDE + x]! += cosine * blurred[y * SIDE + x]!;
    }
  }
  const frequencies = new Float64Array(FREQUENCIES * FREQUENCIES);
  for (let row = 0; row < FREQUENCIES; row++) {
    for (let column = 0; column < FREQUENCIES; column++) {
      let sum = 0;
      for (let x = 0; x < SIDE; x++) sum += half[row * SIDE + x]! * COSINES[column * SIDE + x]!;
      frequencies[row * FREQUENCIES + column] = sum;
    }
  }
  return frequencies;
}

function bitsAboveMedian(frequencies: Float64Array): Uint8Array {
  const median = frequencies.slice().sort()[frequencies.length / 2 - 1]!; // the lower one, as in the reference
  const hash = new Uint8Array(HASH_BYTES);
  for (let bit = 0; bit < frequencies.length; bit++) {
    if (frequencies[bit]! > median) hash[HASH_BYTES - 1 - (bit >> 3)]! |= 1 << (bit & 7);
  }
  return hash;
}

/**
 * The reference's quality: the sum of differences of neighbouring samples, each in whole hundredths of the range,
 * over 90.
 */
function detail(blurred: Float64Array): number {
  let sum = 0;
  const step = (a: number, b: number) => Math.abs(Math.trunc(((blurred[a]! - blurred[b]!) * 100) / 255));
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      if (y + 1 < SIDE) sum += step(y * SIDE + x, (y + 1) * SIDE + x);
      if (x + 1 < SIDE) sum += step(y * SIDE + x, y * SIDE + x + 1);
    }
  }
  return Math.min(100, Math.floor(sum / 90));
}
