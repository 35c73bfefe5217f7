import type { Plane } from './grey-plane.js';

/** Side of a block in pixels. */
const BLOCK = 7;
/** Half the side, rounded down, of the square whose mean is taken away. */
const REACH = 2;
/** Deviation in grey levels from which on a block has detail, in one picture or the other. */
const DETAIL_MIN = 2;
/** With fewer blocks of detail nothing can be said. */
const BLOCKS_MIN = 6;

/**
 * How far two pictures of equal size agree in detail, 0..1: the median over blocks of the correlation of what is left
 * when broad shapes and light are gone. A median, since a text or a logo over the picture spoils some blocks and
 * leaves the others; 0 where too few blocks have detail. Copies lie above 0.8, other pictures of the same thing below
 * 0.4.
 */
export function agreementOf(a: Plane, b: Plane): number {
  const [left, right] = [detailOf(a), detailOf(b)];
  const { width, height } = a;
  const correlations: number[] = [];
  for (let y = 0; y + BLOCK <= height; y += BLOCK) {
    for (let x = 0; x + BLOCK <= width; x += BLOCK) {
      let product = 0;
      let leftSquares = 0;
      let rightSquares = 0;
      for (let row = y; row < y + BLOCK; row++) {
        for (let at = row * width + x; at < row * width + x + BLOCK; at++) {
          product += left[at]! * right[at]!;
          leftSquares += left[at]! * left[at]!;
          rightSquares += right[at]! * right[at]!;
        }
      }
      if (Math.max(leftSquares, rightSquares) < (DETAIL_MIN * BLOCK) ** 2) continue;
      correlations.push(leftSquares * rightSquares > 0 ? product / Math.sqrt(leftSquares * rightSquares) : 0);
    }
  }
  if (correlations.length < BLOCKS_MIN) return 0;
  return Math.max(0, correlations.sort((p, q) => p - q)[correlations.length >> 1]!);
}

/** The plane less its mean over a square about each pixel. */
function detailOf({ width, height, values }: Plane): Float32Array {
  const sums = new Float64Array((width + 1) * (height + 1));
  for (let y = 0; y < height; y++) {
    let sum = 0;
    for (let x = 0; x < width; x++) {
      sum += values[y * width + x]!;
      sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1]! + sum;
    }
  }
  const detail = new Float32Array(values.length);
  for (let y = 0; y < height; y++) {
    const [top, bottom] = [Math.max(0, y - REACH) * (width + 1), Math.min(height, y + REACH + 1) * (width + 1)];
    const rows = (bottom - top) / (width + 1);
    for (let x = 0; x < width; x++) {
      const [first, end] = [Math.max(0, x - REACH), Math.min(width, x + REACH + 1)];
      const mean =
        (sums[bottom + end]! - sums[bottom + first]! - sums[top + end]! + sums[top + first]!) / (rows * (end - first));
      detail[y * width + x] = values[y * width + x]! - mean;
    }
  }
  return detail;
}
