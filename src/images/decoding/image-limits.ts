import { SearchError } from '../../errors.js';
import type { ImageFormat } from '../image-decoder.js';
import { FORMAT_NAMES } from './format.js';

/** Most pixels of a picture, by format: formats differ in the memory and time that a pixel costs. */
export type ImageLimits = { readonly maxPixels: Readonly<Record<ImageFormat, number>> };

const MEGAPIXEL = 1_000_000;

/** 50 megapixels, but 25 for GIF and 16 for AVIF: 49 megapixels of flat AVIF fit in 2 kB and cost 0.9 GB to decode. */
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

/** Throws IMAGE_TOO_LARGE, naming size, limit and flag, where a picture has more pixels than its format may have. */
export function checkPixelLimit(
  header: { readonly format: ImageFormat; readonly width: number; readonly height: number },
  limits: ImageLimits,
): void {
  const { format, width, height } = header;
  const limit = limits.maxPixels[format];
  if (width * height <= limit) return;
  const flag = format === 'gif' || format === 'avif' ? `--max-pixels-${format}` : '--max-pixels';
  const size = `${width}x${height}, ${megapixels(width * height)} MP`;
  throw new SearchError(
    'IMAGE_TOO_LARGE',
    `Image is ${size}; the limit for ${FORMAT_NAMES[format]} is ${megapixels(limit)} MP (${flag}).`,
  );
}

/** What the header of an image says about the cost of decoding it. */
export type DecodeCost = {
  readonly format: ImageFormat;
  readonly width: number;
  readonly height: number;
  /**
   * Pixels of the largest picture in the file that is decoded: an AVIF's alpha may be larger than its picture. Default:
   * width x height.
   */
  readonly decodedPixels?: number;
  readonly channels: number;
  readonly bytesPerSample: number;
  /** Progressive JPEG or interlaced PNG, which are held whole. */
  readonly isProgressive: boolean;
  /** Pixels of the reduced picture that the decoder makes. */
  readonly reducedPixels: number;
};

/**
 * Estimated peak memory of one decode in bytes: pixels times bytes per pixel of the format, a little above the
 * measured peak.
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
  return (cost.decodedPixels ?? cost.width * cost.height) * perPixel[cost.format] + cost.reducedPixels * 12;
}

function megapixels(pixels: number): string {
  const millions = pixels / MEGAPIXEL;
  return String(millions >= 10 ? Math.round(millions * 10) / 10 : Number(millions.toPrecision(2)));
}
