import type { Pixels } from '../images/pixels.js';

/** The picture at a whole fraction of its size: each pixel the mean of factor x factor. Both sides must be multiples of `factor`. */
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
