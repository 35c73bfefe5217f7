import { SearchError } from '../errors.js';
import { FORMAT_NAMES } from './format.js';
import type { ImageFormat } from './image-decoder.js';

/** Largest picture accepted, in pixels, for each format. They differ because formats differ in what a pixel costs to decode. */
export type ImageLimits = { readonly maxPixels: Readonly<Record<ImageFormat, number>> };

const MEGAPIXEL = 1_000_000;

/**
 * 50 megapixels, but 25 for GIF and 16 for AVIF. Measured: a flat AVIF of 49 megapixels fits in 1,667 bytes and costs 859 MB to decode.
 */
export const DEFAULT_IMAGE_LIMITS: ImageLimits = {
  maxPixels: {
    jpeg: 50 * MEGAPIXEL,
    png: 50 * MEGAPIXEL,
    webp: 50 * MEGAPIXEL,
    tiff: 50 * MEGAPIXEL,
    gif: 25 * MEGAPIXEL,
    avif: 16 * MEGAPIXEL,
  },
};

/** The setting that holds the pixel limit of a format. */
export function pixelLimitSetting(format: ImageFormat): string {
  if (format === 'gif') return 'LIKENESS_MAX_PIXELS_GIF';
  return format === 'avif' ? 'LIKENESS_MAX_PIXELS_AVIF' : 'LIKENESS_MAX_PIXELS';
}

/** The setting that holds the memory which all decoders together may use. */
export const MEMORY_BUDGET_SETTING = 'LIKENESS_DECODE_MEMORY_BYTES';

/** Throws IMAGE_TOO_LARGE, naming size, limit and setting, where a picture has more pixels than its format may have. */
export function checkPixelLimit(
  header: { readonly format: ImageFormat; readonly width: number; readonly height: number },
  limits: ImageLimits,
) {
  const { format, width, height } = header;
  const limit = limits.maxPixels[format];
  if (width * height <= limit) return;
  throw new SearchError(
    'IMAGE_TOO_LARGE',
    `Image is ${width}x${height}, ${megapixels(width * height)} MP; the limit for ${FORMAT_NAMES[format]} is ${megapixels(limit)} MP (${pixelLimitSetting(format)}).`,
  );
}

/** What the header of an image says about the cost of decoding it. */
export type DecodeCost = {
  readonly format: ImageFormat;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly bytesPerSample: number;
  /** Progressive JPEG or interlaced PNG, which are held whole. */
  readonly isProgressive: boolean;
  /** Pixels of the reduced picture that the decoder makes. */
  readonly reducedPixels: number;
};

/**
 * Memory that one decode may take at its peak, in bytes: pixels of the header times bytes per pixel of the format, a little above what was
 * measured near the limits (VmHWM of a decoder process: AVIF 19.2 at 8 bits, 25.6 above; GIF 5.3; progressive JPEG 3.0, as CMYK 8.2;
 * interlaced PNG 3.6, with 16-bit RGBA 9.4; streaming ones under 1).
 */
export function estimateDecodeBytes(cost: DecodeCost): number {
  const samples = cost.channels * cost.bytesPerSample;
  const perPixel: Record<ImageFormat, number> = {
    jpeg: cost.isProgressive ? 2 * cost.channels + 1 : 1,
    png: cost.isProgressive ? samples + 2 : 2,
    webp: 5,
    gif: 6,
    avif: cost.bytesPerSample === 1 ? 21 : 28,
    tiff: samples + 1,
  };
  return cost.width * cost.height * perPixel[cost.format] + cost.reducedPixels * 12;
}

function megapixels(pixels: number): string {
  const millions = pixels / MEGAPIXEL;
  return String(millions >= 10 ? Math.round(millions * 10) / 10 : Number(millions.toPrecision(2)));
}
