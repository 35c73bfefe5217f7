import { SearchError } from '../errors.js';
import type { Pixels } from './pixels.js';
import type { Preprocessing } from './preprocessing.js';

/** A rectangle of a picture, in fractions of its upright width and height: x and y of its upper left corner, all of it within 0..1. */
export type Region = { readonly x: number; readonly y: number; readonly width: number; readonly height: number };

/** Rounding of decimal fractions (0.7 + 0.3) may leave a region this far outside. */
const TOLERANCE = 1e-6;

/** The region, or INVALID_REQUEST where it is empty, not finite, or reaches out of the picture. */
export function checkedRegion(region: Region): Region {
  const { x, y, width, height } = region;
  const isWithin = (start: number, length: number): boolean => start >= 0 && length > 0 && start + length <= 1 + TOLERANCE; // false for NaN
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

/**
 * What a region of an encoder's input shows of the upright picture: the input is the middle of it (`cover`), all of it in a border (`contain`) or all of it
 * (`stretch`). Clipped to the picture.
 */
export function pictureRegion(
  region: Region,
  of: {
    readonly preprocessing: Pick<Preprocessing, 'width' | 'height' | 'fit'>;
    readonly picture: { readonly width: number; readonly height: number };
  },
): Region {
  const { preprocessing, picture } = of;
  if (preprocessing.fit === 'stretch') return region;
  const scales = [preprocessing.width / picture.width, preprocessing.height / picture.height];
  const scale = preprocessing.fit === 'cover' ? Math.max(...scales) : Math.min(...scales);
  const along = (start: number, length: number, input: number, whole: number): readonly [number, number] => {
    const share = input / (whole * scale); // of the picture that the input is long
    const toPicture = (at: number): number => Math.min(1, Math.max(0, 0.5 + (at - 0.5) * share));
    return [toPicture(start), toPicture(start + length) - toPicture(start)];
  };
  const [x, width] = along(region.x, region.width, preprocessing.width, picture.width);
  const [y, height] = along(region.y, region.height, preprocessing.height, picture.height);
  return { x, y, width, height };
}
