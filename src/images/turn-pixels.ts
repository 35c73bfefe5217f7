import type { DihedralVariant } from './perceptual-hash.js';
import type { Pixels } from './pixels.js';

/** The picture turned or mirrored as the variant's name says: turns are anticlockwise, flipX puts the top at the bottom, flipY left at right. */
export function turnPixels(picture: Pixels, variant: DihedralVariant): Pixels {
  if (variant === 'original') return picture;
  const { isTransposed, fromRight, fromBottom } = READING[variant];
  const [width, height] = isTransposed ? [picture.height, picture.width] : [picture.width, picture.height];
  const rgb = new Uint8Array(width * height * 3);
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const column = isTransposed ? y : x;
      const row = isTransposed ? x : y;
      const from = ((fromBottom ? picture.height - 1 - row : row) * picture.width + (fromRight ? picture.width - 1 - column : column)) * 3;
      rgb[to++] = picture.rgb[from]!;
      rgb[to++] = picture.rgb[from + 1]!;
      rgb[to++] = picture.rgb[from + 2]!;
    }
  }
  return { width, height, rgb };
}

type Reading = { readonly isTransposed: boolean; readonly fromRight: boolean; readonly fromBottom: boolean };

/** Which pixel of the picture comes to a place: rows and columns exchanged, then columns counted from the right, rows from the bottom. */
const READING: Readonly<Record<Exclude<DihedralVariant, 'original'>, Reading>> = {
  rotate90: { isTransposed: true, fromRight: true, fromBottom: false },
  rotate180: { isTransposed: false, fromRight: true, fromBottom: true },
  rotate270: { isTransposed: true, fromRight: false, fromBottom: true },
  flipX: { isTransposed: false, fromRight: false, fromBottom: true },
  flipY: { isTransposed: false, fromRight: true, fromBottom: false },
  flipPlus1: { isTransposed: true, fromRight: false, fromBottom: false },
  flipMinus1: { isTransposed: true, fromRight: true, fromBottom: true },
};
