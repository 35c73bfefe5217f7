/** Small grey pictures as numbers: scaling, mirroring, and the sums that correlation needs. */

/** A grey picture at low resolution, one byte a pixel, row by row: what copies are verified on. */
export type Sketch = { readonly width: number; readonly height: number; readonly grey: Uint8Array };

/** A rectangle of a picture in fractions of its width and height. */
export type Box = { readonly x: number; readonly y: number; readonly width: number; readonly height: number };

/** Grey levels as numbers, row by row. */
export type Plane = { readonly width: number; readonly height: number; readonly values: Float32Array };

/** The sketch as a plane, mirrored left for right where asked. */
export function planeOf({ width, height, grey }: Sketch, mirrored = false): Plane {
  const values = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = y * width;
    for (let x = 0; x < width; x++) values[row + x] = grey[row + (mirrored ? width - 1 - x : x)]!;
  }
  return { width, height, values };
}

/**
 * The sketch at half its size as a plane, mirrored left for right where asked; an odd last row or column is left out.
 */
export function halfOf(sketch: Sketch, mirrored = false): Plane {
  const [width, height] = [sketch.width >> 1, sketch.height >> 1];
  if (width === 0 || height === 0) return planeOf(sketch, mirrored);
  const { grey } = sketch;
  const values = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = 2 * y * sketch.width + 2 * x;
      const below = at + sketch.width;
      const sum = grey[at]! + grey[at + 1]! + grey[below]! + grey[below + 1]!;
      values[y * width + (mirrored ? width - 1 - x : x)] = sum / 4;
    }
  }
  return { width, height, values };
}

/**
 * The plane at another size: each pixel the mean of what it covers, or a straight line between neighbours where it
 * grows; itself at its own.
 */
export function resized(plane: Plane, width: number, height: number): Plane {
  if (width === plane.width && height === plane.height) return plane;
  const { values: source } = plane;
  const across = axisWeights(plane.width, width);
  const down = axisWeights(plane.height, height);
  const narrow = new Float32Array(width * plane.height);
  for (let y = 0, to = 0, row = 0; y < plane.height; y++, row += plane.width) {
    for (let x = 0, first = 0; x < width; x++, first += across.taps) {
      const start = row + across.starts[x]!;
      const end = start + across.counts[x]!;
      let sum = 0;
      for (let from = start, tap = first; from < end; from++, tap++) sum += across.weights[tap]! * source[from]!;
      narrow[to++] = sum;
    }
  }
  const values = new Float32Array(width * height);
  for (let y = 0, first = 0; y < height; y++, first += width) {
    for (let i = 0, from = down.starts[y]! * width; i < down.counts[y]!; i++) {
      const weight = down.weights[y * down.taps + i]!;
      for (let x = first; x < first + width; x++) values[x]! += weight * narrow[from++]!;
    }
  }
  return { width, height, values };
}

/** What each new pixel is made of: `counts` old ones from `starts` on, their weights in rows of `taps`. */
type AxisWeights = {
  readonly taps: number;
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Float64Array;
};

function axisWeights(from: number, to: number): AxisWeights {
  const step = from / to;
  const reach = Math.max(1, step);
  const taps = 2 * Math.ceil(reach) + 2;
  const starts = new Int32Array(to);
  const counts = new Int32Array(to);
  const weights = new Float64Array(to * taps);
  for (let at = 0; at < to; at++) {
    const centre = (at + 0.5) * step;
    const first = Math.max(0, Math.floor(centre - reach));
    const count = Math.min(from - 1, Math.ceil(centre + reach)) - first + 1;
    let sum = 0;
    // A tent as wide as the step on either side: the mean of what is covered, softened, or linear interpolation where
    // the plane grows.
    for (let i = 0; i < count; i++) {
      const weight = Math.max(0, 1 - Math.abs(first + i + 0.5 - centre) / reach);
      weights[at * taps + i] = weight;
      sum += weight;
    }
    for (let i = 0; i < count; i++) weights[at * taps + i]! /= sum;
    starts[at] = first;
    counts[at] = count;
  }
  return { taps, starts, counts, weights };
}

/** Sums of values and of their squares over every rectangle from the corner: [height + 1, width + 1]. */
export type RunningSums = { readonly sums: Float64Array; readonly squares: Float64Array };

/** Running sums of a plane, so that mean and variance of any window are eight look-ups. */
export function runningSums({ width, height, values }: Plane): RunningSums {
  const stride = width + 1;
  const sums = new Float64Array(stride * (height + 1));
  const squares = new Float64Array(stride * (height + 1));
  for (let y = 0; y < height; y++) {
    let sum = 0;
    let square = 0;
    for (let x = 0; x < width; x++) {
      const value = values[y * width + x]!;
      sum += value;
      square += value * value;
      const at = (y + 1) * stride + x + 1;
      sums[at] = sums[at - stride]! + sum;
      squares[at] = squares[at - stride]! + square;
    }
  }
  return { sums, squares };
}

/**
 * The mean of the square of `side` pixels that begins at each pixel of a plane; 0 where it would reach beyond the
 * border.
 */
export function blockMeans({ width, height }: Plane, { sums }: RunningSums, side: number): Float32Array {
  const stride = width + 1;
  const means = new Float32Array(width * height);
  for (let y = 0; y + side <= height; y++) {
    for (let x = 0; x + side <= width; x++) {
      const top = y * stride + x;
      const bottom = top + side * stride;
      means[y * width + x] = (sums[bottom + side]! - sums[bottom]! - sums[top + side]! + sums[top]!) / (side * side);
    }
  }
  return means;
}
