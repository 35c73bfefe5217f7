/**
 * Resizing as the Python world trains its encoders: equal to Pillow's `Image.resize` byte for byte (two passes in fixed
 * point, rounded to bytes between), then a centre crop or padding. Source: Pillow, src/libImaging/Resample.c.
 */
import type { Pixels } from './pixels.js';

/** A size in pixels. */
export type Size = { readonly width: number; readonly height: number };

/** Pillow's filters. */
export const KERNELS = ['nearest', 'box', 'bilinear', 'hamming', 'bicubic', 'lanczos'] as const;

/**
 * How a picture is resized before the input is cut from its centre. `to`: the length of the shortest or longest edge,
 * at the same aspect ratio, or a size that ignores it. antialias: widen the kernel when shrinking, as Pillow does;
 * without, the kernel spans source pixels, as in OpenCV and by default in TensorFlow. pad: where the resized picture is
 * smaller than the input, its colour (RGB, 0..255; default black), and whether the picture stays in the centre or at
 * the start. /
 */
export type Resize = {
  readonly to: { readonly shortest: number } | { readonly longest: number } | Size;
  readonly kernel: (typeof KERNELS)[number];
  readonly antialias: boolean;
  readonly pad?: { readonly colour: readonly [number, number, number]; readonly place: 'centre' | 'start' };
};

/** Where an input lies in the resized picture: left and top are negative where the picture is padded. */
export type InputWindow = { readonly resized: Size; readonly left: number; readonly top: number };

/** Geometry of {@link resample}. Lengths are cut to whole pixels, as torchvision and transformers do. */
export function inputWindow(picture: Size, input: Size, { to, pad }: Resize): InputWindow {
  const resized = 'width' in to ? to : resizedByEdge(picture, to);
  const start = (whole: number, part: number): number =>
    whole < part && pad?.place === 'start' ? 0 : Math.floor((whole - part) / 2);
  return { resized, left: start(resized.width, input.width), top: start(resized.height, input.height) };
}

function resizedByEdge(picture: Size, to: { readonly shortest: number } | { readonly longest: number }): Size {
  const { width, height } = picture;
  const edge = 'shortest' in to ? to.shortest : to.longest;
  const isWidth = width <= height === 'shortest' in to;
  const other = Math.max(1, Math.floor((edge * (isWidth ? height : width)) / (isWidth ? width : height)));
  return isWidth ? { width: edge, height: other } : { width: other, height: edge };
}

/** The input of an encoder: the picture resized, then cropped or padded to `input`. */
export function resample(picture: Pixels, input: Size, resize: Resize): Pixels {
  const { resized, left, top } = inputWindow(picture, input, resize);
  const across = axisOf(picture.width, resized.width, { start: left, length: input.width }, resize);
  const down = axisOf(picture.height, resized.height, { start: top, length: input.height }, resize);
  const colour = resize.pad?.colour ?? [0, 0, 0];
  const rgb = new Uint8Array(input.width * input.height * CHANNELS);
  for (let at = 0; at < rgb.length; at++) rgb[at] = colour[at % CHANNELS]!;

  // Across first, only in the rows that the second pass reads; a pass that keeps its size is skipped.
  const firstRow = down.first[0] ?? 0;
  const lastRow = (down.first.at(-1) ?? 0) + down.taps;
  const rows = Math.max(0, Math.min(picture.height, lastRow) - firstRow);
  const narrow = new Uint8ClampedArray(rows * across.count * CHANNELS);
  for (let y = 0, to = 0; y < rows; y++) {
    const row = (firstRow + y) * picture.width * CHANNELS;
    for (let x = 0; x < across.count; x++) {
      const from = row + across.first[x]! * CHANNELS;
      to = filterPixel(picture.rgb, { from, step: CHANNELS }, across, x, narrow, to);
    }
  }
  const stride = across.count * CHANNELS;
  for (let y = 0; y < down.count; y++) {
    let to = ((down.offset + y) * input.width + across.offset) * CHANNELS;
    const row = (down.first[y]! - firstRow) * stride;
    for (let x = 0; x < across.count; x++)
      to = filterPixel(narrow, { from: row + x * CHANNELS, step: stride }, down, y, rgb, to);
  }
  return { width: input.width, height: input.height, rgb };
}

/** Writes the weighted sum of one place's taps to `target`, three channels; returns where the next pixel goes. */
function filterPixel(
  source: Uint8Array | Uint8ClampedArray,
  { from, step }: { readonly from: number; readonly step: number },
  axis: Axis,
  place: number,
  target: Uint8Array | Uint8ClampedArray,
  to: number,
): number {
  const { taps, weights } = axis;
  let red = HALF;
  let green = HALF;
  let blue = HALF;
  for (let at = place * taps, pixel = from; at < (place + 1) * taps; at++, pixel += step) {
    const weight = weights[at]!;
    if (weight === 0) continue;
    red += weight * source[pixel]!;
    green += weight * source[pixel + 1]!;
    blue += weight * source[pixel + 2]!;
  }
  target[to] = clip(red);
  target[to + 1] = clip(green);
  target[to + 2] = clip(blue);
  return to + CHANNELS;
}

function clip(sum: number): number {
  return Math.max(0, Math.min(255, Math.floor(sum / ONE)));
}

const CHANNELS = 3;
/** Weights are whole numbers of this fraction, as in Pillow. */
const ONE = 2 ** 22;
const HALF = ONE / 2;

/**
 * One axis: `count` places of the input from `offset` on get a value, place i the sum of weights[i x taps + t] x
 * source[first[i] + t].
 */
type Axis = {
  readonly offset: number;
  readonly count: number;
  readonly taps: number;
  readonly first: Int32Array;
  readonly weights: Int32Array;
};

function axisOf(
  from: number,
  to: number,
  window: { readonly start: number; readonly length: number },
  { kernel, antialias }: Resize,
): Axis {
  const offset = Math.max(0, -window.start);
  const begin = Math.max(0, window.start);
  const count = Math.min(to, window.start + window.length) - begin;
  const scale = from / to;
  const { support, weigh } = FILTERS[kernel];
  const isCopied = from === to || kernel === 'nearest';
  const width = antialias ? Math.max(1, scale) : 1;
  const reach = support * width;
  const taps = isCopied ? 1 : Math.min(from, Math.ceil(reach) * 2 + 1);
  const first = new Int32Array(count);
  const weights = new Int32Array(count * taps);
  if (isCopied) {
    weights.fill(ONE);
    // Added up step by step, as Pillow does: the rounding decides between two pixels equally near.
    let centre = scale / 2;
    for (let i = 0; i < begin + count; i++, centre += scale)
      if (i >= begin) first[i - begin] = Math.min(from - 1, Math.floor(centre));
    return { offset, count, taps, first, weights };
  }
  for (let i = 0; i < count; i++) {
    const centre = (begin + i + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - reach + 0.5));
    const high = Math.min(from, Math.trunc(centre + reach + 0.5));
    const some = Array.from({ length: high - low }, (_, t) => weigh((low + t - centre + 0.5) / width));
    const sum = some.reduce((total, weight) => total + weight, 0);
    const start = Math.min(low, from - taps);
    first[i] = start;
    for (const [t, weight] of some.entries())
      weights[i * taps + low - start + t] = Math.round(Math.abs(weight / sum) * ONE) * Math.sign(weight / sum);
  }
  return { offset, count, taps, first, weights };
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

const FILTERS: Readonly<Record<Resize['kernel'], { readonly support: number; weigh(x: number): number }>> = {
  nearest: { support: 0, weigh: () => 1 },
  box: { support: 0.5, weigh: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weigh: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: { support: 1, weigh: (x) => (Math.abs(x) >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x))) },
  // Keys' cubic with a = -0.5.
  bicubic: {
    support: 2,
    weigh(signed) {
      const x = Math.abs(signed);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    },
  },
  lanczos: { support: 3, weigh: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};
