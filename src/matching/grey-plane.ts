/** Small grey pictures as numbers: scaling, mirroring, looking under a box, and the sums that correlation needs. */

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

/** The plane at another size: each pixel the mean of what it covers, or a straight line between neighbours where it grows. */
export function resized(plane: Plane, width: number, height: number): Plane {
  const { values: source } = plane;
  const across = axisWeights(plane.width, width);
  const down = axisWeights(plane.height, height);
  const narrow = new Float32Array(width * plane.height);
  for (let x = 0; x < width; x++) {
    const [start, end, first] = [across.starts[x]!, across.starts[x]! + across.counts[x]!, x * across.taps];
    for (let y = 0; y < plane.height; y++) {
      const row = y * plane.width;
      let sum = 0;
      for (let from = row + start, tap = first; from < row + end; from++, tap++) sum += across.weights[tap]! * source[from]!;
      narrow[y * width + x] = sum;
    }
  }
  const values = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < down.counts[y]!; i++) {
      const weight = down.weights[y * down.taps + i]!;
      const from = (down.starts[y]! + i) * width;
      for (let x = 0; x < width; x++) values[y * width + x]! += weight * narrow[from + x]!;
    }
  }
  return { width, height, values };
}

/** What each new pixel is made of: `counts` old ones from `starts` on, their weights in rows of `taps`. */
type AxisWeights = { readonly taps: number; readonly starts: Int32Array; readonly counts: Int32Array; readonly weights: Float64Array };

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
    // A tent as wide as the step on either side: the mean of what is covered, softened, or linear interpolation where the plane grows.
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

/** The mean of the square of `side` pixels that begins at each pixel of a plane; 0 where it would reach beyond the border. */
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

/** The part of a field under a box, at the size of a patch; beyond the border it goes on as at the border. */
export function sampled(field: Plane, size: { readonly width: number; readonly height: number }, box: Box): Float32Array {
  const { width, height } = size;
  const { values } = field;
  const sampledValues = new Float32Array(width * height);
  const columns = new Int32Array(width);
  const shares = new Float64Array(width);
  for (let x = 0; x < width; x++) {
    const across = placeIn(field.width, box.x + ((x + 0.5) / width) * box.width);
    columns[x] = Math.min(field.width - 2, Math.floor(across));
    shares[x] = across - columns[x]!;
  }
  for (let y = 0, to = 0; y < height; y++) {
    const down = placeIn(field.height, box.y + ((y + 0.5) / height) * box.height);
    const row = Math.min(field.height - 2, Math.floor(down));
    const low = down - row;
    for (let x = 0; x < width; x++) {
      const at = row * field.width + columns[x]!;
      const below = at + field.width;
      const share = shares[x]!;
      const upper = values[at]! + (values[at + 1]! - values[at]!) * share;
      sampledValues[to++] = upper + (values[below]! + (values[below + 1]! - values[below]!) * share - upper) * low;
    }
  }
  return sampledValues;
}

function placeIn(length: number, fraction: number): number {
  return Math.min(length - 1, Math.max(0, fraction * length - 0.5));
}

/** Correlation, -1..1, of a patch with what lies under a box of a field; 0 where one of them is flat. */
export function correlationUnder(field: Plane, patch: Plane, box: Box): number {
  const under = sampled(field, patch, box);
  const { values } = patch;
  let sumA = 0;
  let sumB = 0;
  let squaresA = 0;
  let squaresB = 0;
  let products = 0;
  for (let i = 0; i < values.length; i++) {
    const a = values[i]!;
    const b = under[i]!;
    sumA += a;
    sumB += b;
    squaresA += a * a;
    squaresB += b * b;
    products += a * b;
  }
  const count = values.length;
  const spread = Math.sqrt((squaresA - (sumA * sumA) / count) * (squaresB - (sumB * sumB) / count));
  return spread > 0 ? (products - (sumA * sumB) / count) / spread : 0;
}
