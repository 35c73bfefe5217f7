/**
 * A picture's file without what it says beside the picture: no place, camera, name, comment, thumbnail or second picture. Pixels are neither decoded nor
 * changed: each format's file is walked by its own structure, and only parts that are known to be needed for showing it are copied.
 */
import type { ImageFormat } from '../image-decoder.js';
import { stripGif } from './strip-gif.js';
import { stripJpeg } from './strip-jpeg.js';
import { stripPng } from './strip-png.js';
import { stripWebp } from './strip-webp.js';

/** What the decoder said of the file. `orientation`: as in EXIF, 1 to 8; kept, as an EXIF block of that one field, where it is not 1. */
export type StripOptions = { readonly format: ImageFormat; readonly orientation: number };

/**
 * The file without metadata: the same pixels in the same colours (ICC profiles stay), upright in the same way, animated as before. Undefined where that cannot be
 * promised: the file departs from its format's structure, or is TIFF or AVIF, whose metadata stand in places that only addresses lead to. Never throws,
 * whatever the bytes; takes time in proportion to their number. Meant for files that were decoded without a warning.
 */
export function stripMetadata(bytes: Uint8Array, { format, orientation }: StripOptions): Uint8Array | undefined {
  switch (format) {
    case 'jpeg':
      return stripJpeg(bytes, orientation);
    case 'png':
      return stripPng(bytes, orientation);
    case 'webp':
      return stripWebp(bytes, orientation);
    case 'gif':
      return stripGif(bytes);
    case 'tiff':
    case 'avif':
      return undefined;
  }
}
