/**
 * Removes metadata from an image file: location, camera, names, comments, embedded thumbnails and further pictures.
 * Pixels are neither decoded nor changed: each format's structure is parsed, and only parts known to be needed for
 * display are copied.
 */
import type { ImageFormat } from '../image-decoder.js';
import { stripGif } from './strip-gif.js';
import { stripJpeg } from './strip-jpeg.js';
import { stripPng } from './strip-png.js';
import { stripWebp } from './strip-webp.js';

/** As the decoder reports. `orientation`: EXIF, 1 to 8; kept in an EXIF block of that one field where it is not 1. */
export type StripOptions = { readonly format: ImageFormat; readonly orientation: number };

/**
 * Returns the file without metadata: same pixels, colours (ICC profiles stay), orientation and animation. Undefined
 * where that cannot be guaranteed: the file violates its format's structure, or is TIFF or AVIF, whose metadata are
 * reached through offsets. Never throws; takes time linear in the bytes. For files that were decoded without a warning.
 */
export function stripMetadata(bytes: Uint8Array, { format, orientation }: StripOptions): Uint8Array | undefined {
  const pieces = STRIPPERS[format]?.(bytes, orientation);
  return pieces && new Uint8Array(Buffer.concat(pieces)); // in memory of its own
}

type Strip = (bytes: Uint8Array, orientation: number) => readonly Uint8Array[] | undefined;

/** Each returns the parts of the new file. */
const STRIPPERS: Readonly<Partial<Record<ImageFormat, Strip>>> = {
  jpeg: stripJpeg,
  png: stripPng,
  webp: stripWebp,
  gif: stripGif,
};
