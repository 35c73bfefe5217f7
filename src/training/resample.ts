/** Crops resized to the whole picture, and pictures at a whole fraction of their size. */
import type { Pixels } from '../images/pixels.js';

/** A part of a picture in pixels, not rounded. */
export type Crop = { readonly left: number; readonly top: number; readonly width: number; readonly height: number };

type AxisSample = { readonly first: number; readonly second: number; readonly fraction: number };

/**
 * The crop, bilinearly resized to width x height of the picture itself: values 0..255, not rounded. Pixel centres lie
 * at .5. A crop is never larger than the picture, so nothing is shrunk and no filter is needed.
 */
export function resizedCrop({ width, height, rgb }: Pixels, crop: Crop, isMirrored = false): Float32Array {
  const columns = axisSamples(width, crop.left, crop.width);
  if (isMirrored) columns.reverse();
  const values = new Float32Array(rgb.length);
  let at = 0;
  for (const row of axisSamples(height, crop.top, crop.height)) {
    for (const column of columns) {
      const [topLeft, topRight] = [(row.first * width + column.first) * 3, (row.first * width + column.second) * 3];
      const below = (row.second - row.first) * width * 3;
      for (let channel = 0; channel < 3; channel++) {
        const top = mix(rgb[topLeft + channel]!, rgb[topRight + channel]!, column.fraction);
        const bottom = mix(rgb[topLeft + below + channel]!, rgb[topRight + below + channel]!, column.fraction);
        values[at++] = mix(top, bottom, row.fraction);
      }
    }
  }
  return values;
}

/** For each sample, the two pixels of an axis that it lies between and its fraction of the way. */
function axisSamples(length: number, start: number, extent: number): AxisSample[] {
  const share = extent / length;
  return Array.from({ length }, (_, index) => {
    const position = Math.max(0, Math.min(length - 1, start + (index + 0.5) * share - 0.5));
    const first = Math.floor(position);
    return { first, second: Math.min(length - 1, first + 1), fraction: position - first };
  });
}

/**
 * The picture at 1 / `factor` of its size: each pixel the mean of factor x factor. Both sides must be multiples
 * of `factor`.
 */
export function shrinkPixels(pixels: Pixels, factor: number): Pixels {
  if (factor === 1) return pixels;
  const [width, height] = [pixels.width / factor, pixels.height / factor];
  if (!Number.isInteger(width) || !Number.isInteger(height)) {
    throw new Error(`${pixels.width}x${pixels.height} pixels do not shrink by ${factor}. This is a bug.`);
  }
  const rgb = new Uint8Array(width * height * 3);
  for (let at = 0; at < rgb.length; at++) {
    const [channel, x, y] = [at % 3, Math.floor(at / 3) % width, Math.floor(at / 3 / width)];
    let sum = 0;
    for (let dy = 0; dy < factor; dy++) {
      const first = ((y * factor + dy) * pixels.width + x * factor) * 3 + channel;
      for (let dx = 0; dx < factor; dx++) sum += pixels.rgb[first + 3 * dx]!;
    }
    rgb[at] = Math.round(sum / (factor * factor));
  }
  return { width, height, rgb };
}

/** Linear interpolation: `from` at share 0, `to` at share 1. */
export function mix(from: number, to: number, share: number): number {
  return from + (to - from) * share;
}
