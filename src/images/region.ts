import { SearchError } from '../errors.js';
import type { DihedralVariant } from './perceptual-hash.js';
import type { Pixels } from './pixels.js';
import type { Preprocessing } from './preprocessing.js';
import { type InputWindow, inputWindow, type Size } from './resample.js';
import type { Sketch } from './sketch.js';

/**
 * A rectangle of a picture, in fractions of its upright width and height: x and y of its upper left corner, all of it
 * within 0..1.
 */
export type Region = { readonly x: number; readonly y: number; readonly width: number; readonly height: number };

/** Rounding of decimal fractions (0.7 + 0.3) may put a region this far outside. */
const TOLERANCE = 1e-6;

/** Returns the region. Throws INVALID_REQUEST where it is empty, not finite or not within the picture. */
export function checkedRegion(region: Region): Region {
  const { x, y, width, height } = region;
  const isWithin = (start: number, length: number): boolean =>
    start >= 0 && length > 0 && start + length <= 1 + TOLERANCE; // false for NaN
  if (!isWithin(x, width) || !isWithin(y, height)) {
    throw new SearchError(
      'INVALID_REQUEST',
      `The crop ${x},${y},${width},${height} is empty or not within the picture (fractions of 0 to 1).`,
    );
  }
  return region;
}

/** Cuts a region out: edges at the nearest whole pixel, at least one pixel each way. */
export function cropPixels(picture: Pixels, region: Region): Pixels {
  const across = span(region.x, region.width, picture.width);
  const down = span(region.y, region.height, picture.height);
  const rgb = new Uint8Array(across.length * down.length * 3);
  for (let row = 0; row < down.length; row++) {
    const from = ((down.start + row) * picture.width + across.start) * 3;
    rgb.set(picture.rgb.subarray(from, from + across.length * 3), row * across.length * 3);
  }
  return { width: across.length, height: down.length, rgb };
}

function span(fraction: number, share: number, pixels: number): { readonly start: number; readonly length: number } {
  const start = Math.min(pixels - 1, Math.max(0, Math.round(fraction * pixels)));
  const end = Math.min(pixels, Math.max(start + 1, Math.round((fraction + share) * pixels)));
  return { start, length: end - start };
}

/** Maps a region of an encoder's input to the upright picture, by the preprocessing's fit. Clipped to the picture. */
export function pictureRegion(
  region: Region,
  of: {
    readonly preprocessing: Pick<Preprocessing, 'width' | 'height' | 'fit' | 'resize'>;
    readonly picture: { readonly width: number; readonly height: number };
  },
): Region {
  const { preprocessing, picture } = of;
  const { fit, resize } = preprocessing;
  if (fit === 'stretch' && resize === undefined) return region;
  const { resized, left, top } =
    resize === undefined ? fittedWindow(picture, preprocessing) : inputWindow(picture, preprocessing, resize);
  const along = (start: number, length: number, toPicture: (at: number) => number): readonly [number, number] => {
    const [from, to] = [start, start + length].map((at) => Math.min(1, Math.max(0, toPicture(at)))) as [number, number];
    return [from, to - from];
  };
  const [x, width] = along(region.x, region.width, (at) => (left + at * preprocessing.width) / resized.width);
  const [y, height] = along(region.y, region.height, (at) => (top + at * preprocessing.height) / resized.height);
  return { x, y, width, height };
}

/** The window of `fit`, not rounded to whole pixels. */
function fittedWindow(
  picture: Size,
  { width, height, fit }: Pick<Preprocessing, 'width' | 'height' | 'fit'>,
): InputWindow {
  const scales = [width / picture.width, height / picture.height];
  const scale = fit === 'cover' ? Math.max(...scales) : Math.min(...scales);
  const resized = { width: picture.width * scale, height: picture.height * scale };
  return { resized, left: (resized.width - width) / 2, top: (resized.height - height) / 2 };
}

/** The picture turned (anticlockwise) or mirrored: flipX exchanges top and bottom, flipY left and right. */
export function turnPixels({ rgb, ...size }: Pixels, variant: DihedralVariant): Pixels {
  const { bytes, width, height } = turnBytes({ ...size, bytes: rgb, channels: 3 }, variant);
  return { width, height, rgb: bytes };
}

/** The sketch turned or mirrored, as {@link turnPixels} does. */
export function turnSketch({ grey, ...size }: Sketch, variant: DihedralVariant): Sketch {
  const { bytes, width, height } = turnBytes({ ...size, bytes: grey, channels: 1 }, variant);
  return { width, height, grey: bytes };
}

type Raster = {
  readonly width: number;
  readonly height: number;
  readonly bytes: Uint8Array;
  readonly channels: number;
};

function turnBytes(picture: Raster, variant: DihedralVariant): Raster {
  if (variant === 'original') return picture;
  const { channels } = picture;
  const { isTransposed, fromRight, fromBottom } = READING[variant];
  const [width, height] = isTransposed ? [picture.height, picture.width] : [picture.width, picture.height];
  const bytes = new Uint8Array(width * height * channels);
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [row, column] = isTransposed ? [x, y] : [y, x];
      const line = fromBottom ? picture.height - 1 - row : row;
      const from = (line * picture.width + (fromRight ? picture.width - 1 - column : column)) * channels;
      for (let channel = 0; channel < channels; channel++) bytes[to++] = picture.bytes[from + channel]!;
    }
  }
  return { width, height, bytes, channels };
}

type Reading = { readonly isTransposed: boolean; readonly fromRight: boolean; readonly fromBottom: boolean };

/**
 * How to find the source pixel of an output pixel: exchange row and column, then count columns from the right, rows
 * from the bottom.
 */
const READING: Readonly<Record<Exclude<DihedralVariant, 'original'>, Reading>> = {
  rotate90: { isTransposed: true, fromRight: true, fromBottom: false },
  rotate180: { isTransposed: false, fromRight: true, fromBottom: true },
  rotate270: { isTransposed: true, fromRight: false, fromBottom: true },
  flipX: { isTransposed: false, fromRight: false, fromBottom: true },
  flipY: { isTransposed: false, fromRight: true, fromBottom: false },
  flipPlus1: { isTransposed: true, fromRight: false, fromBottom: false },
  flipMinus1: { isTransposed: true, fromRight: true, fromBottom: true },
};
