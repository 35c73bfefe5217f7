import sharp, { type Sharp } from 'sharp';
import type { Pixels } from './pixels.js';

/** A grey picture at low resolution, one byte a pixel, row by row: what edited copies are verified on. */
export type Sketch = { readonly width: number; readonly height: number; readonly grey: Uint8Array };

/** Longest side of a sketch: that of a thumbnail by default. Smaller ones do not tell one small print from another. */
export const SKETCH_SIDE = 256;
/** No thumbnail of ours is larger. */
const THUMBNAIL_PIXELS_MAX = 512 * 512;

/** The sketch of a decoded picture. */
export function sketchOfPixels({ rgb, width, height }: Pixels): Promise<Sketch> {
  return sketched(sharp(rgb, { raw: { width, height, channels: 3 } }));
}

/**
 * The sketch of a stored thumbnail: a WebP of at most 512 pixels a side that a decoder process of ours wrote. Rejects
 * what is none.
 */
export function sketchOfThumbnail(thumbnail: Uint8Array): Promise<Sketch> {
  return sketched(sharp(thumbnail, { limitInputPixels: THUMBNAIL_PIXELS_MAX, pages: 1, failOn: 'warning' }));
}

async function sketched(picture: Sharp): Promise<Sketch> {
  const { data, info } = await picture
    .greyscale()
    .resize({ width: SKETCH_SIDE, height: SKETCH_SIDE, fit: 'inside' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  if (channels === 1) return { width, height, grey: Uint8Array.from(data) };
  return { width, height, grey: Uint8Array.from({ length: width * height }, (_, at) => data[at * channels]!) };
}
