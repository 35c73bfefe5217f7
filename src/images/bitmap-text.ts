/**
 * Text drawn from a 5x7 bitmap font: captions of neighbour sheets and the overlay of a copy attack. Not a font file, so that the same
 * pixels come out on a machine without fonts.
 */

/** Width of one character with its gap, and its height, in pixels at scale 1. */
export const CHARACTER_WIDTH = 6;
export const CHARACTER_HEIGHT = 7;

/** An RGB picture that can be drawn into. rgb: height x width x 3, 0..255. */
export type Canvas = { readonly width: number; readonly height: number; readonly rgb: Uint8Array };

export type Colour = readonly [red: number, green: number, blue: number];

/** Seven rows a glyph, one number 0..31 each, the highest bit leftmost. Small letters are drawn as capitals, unknown ones as a dot. */
const GLYPHS: Readonly<Record<string, readonly number[]>> = {
  A: [14, 17, 17, 31, 17, 17, 17],
  B: [30, 17, 17, 30, 17, 17, 30],
  C: [14, 17, 16, 16, 16, 17, 14],
  D: [30, 17, 17, 17, 17, 17, 30],
  E: [31, 16, 16, 30, 16, 16, 31],
  F: [31, 16, 16, 30, 16, 16, 16],
  G: [14, 17, 16, 23, 17, 17, 15],
  H: [17, 17, 17, 31, 17, 17, 17],
  I: [14, 4, 4, 4, 4, 4, 14],
  J: [7, 2, 2, 2, 2, 18, 12],
  K: [17, 18, 20, 24, 20, 18, 17],
  L: [16, 16, 16, 16, 16, 16, 31],
  M: [17, 27, 21, 21, 17, 17, 17],
  N: [17, 25, 21, 19, 17, 17, 17],
  O: [14, 17, 17, 17, 17, 17, 14],
  P: [30, 17, 17, 30, 16, 16, 16],
  Q: [14, 17, 17, 17, 21, 18, 13],
  R: [30, 17, 17, 30, 20, 18, 17],
  S: [15, 16, 16, 14, 1, 1, 30],
  T: [31, 4, 4, 4, 4, 4, 4],
  U: [17, 17, 17, 17, 17, 17, 14],
  V: [17, 17, 17, 17, 17, 10, 4],
  W: [17, 17, 17, 21, 21, 27, 17],
  X: [17, 17, 10, 4, 10, 17, 17],
  Y: [17, 17, 10, 4, 4, 4, 4],
  Z: [31, 1, 2, 4, 8, 16, 31],
  '0': [14, 17, 17, 17, 17, 17, 14],
  '1': [4, 12, 4, 4, 4, 4, 14],
  '2': [14, 17, 1, 6, 8, 16, 31],
  '3': [31, 2, 4, 2, 1, 17, 14],
  '4': [2, 6, 10, 18, 31, 2, 2],
  '5': [31, 16, 30, 1, 1, 17, 14],
  '6': [6, 8, 16, 30, 17, 17, 14],
  '7': [31, 1, 2, 4, 8, 8, 8],
  '8': [14, 17, 17, 14, 17, 17, 14],
  '9': [14, 17, 17, 15, 1, 2, 12],
  '.': [0, 0, 0, 0, 0, 12, 12],
  '-': [0, 0, 0, 31, 0, 0, 0],
  _: [0, 0, 0, 0, 0, 0, 31],
  '%': [24, 25, 2, 4, 8, 19, 3],
  ' ': [0, 0, 0, 0, 0, 0, 0],
};
const UNKNOWN = [0, 0, 0, 4, 0, 0, 0] as const;

/** Draws text with its top left corner at (left, top), each font pixel `scale` pixels wide; what falls outside is cut off. */
export function drawText(
  canvas: Canvas,
  options: { readonly text: string; readonly left: number; readonly top: number; readonly scale: number; readonly colour: Colour },
): void {
  const { text, left, top, scale, colour } = options;
  [...text.toUpperCase()].forEach((character, place) => {
    (GLYPHS[character] ?? UNKNOWN).forEach((bits, y) => {
      for (let x = 0; x < 5; x++) {
        if ((bits >> (4 - x)) & 1) {
          fillRectangle(canvas, {
            left: left + (place * CHARACTER_WIDTH + x) * scale,
            top: top + y * scale,
            width: scale,
            height: scale,
            colour,
          });
        }
      }
    });
  });
}

/** Fills a rectangle; what falls outside is cut off. */
export function fillRectangle(
  canvas: Canvas,
  options: { readonly left: number; readonly top: number; readonly width: number; readonly height: number; readonly colour: Colour },
): void {
  const { left, top, width, height, colour } = options;
  for (let y = Math.max(0, top); y < Math.min(canvas.height, top + height); y++) {
    for (let x = Math.max(0, left); x < Math.min(canvas.width, left + width); x++) canvas.rgb.set(colour, (y * canvas.width + x) * 3);
  }
}
