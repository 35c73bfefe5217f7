/** Draws text in a 5x7 bitmap font, so that the pixels are the same on a machine without fonts. */

/** Width of a character with its gap, and its height, in pixels at scale 1. */
export const CHARACTER_WIDTH = 6;
export const CHARACTER_HEIGHT = 7;

/** A picture to draw into. rgb: height x width x 3, 0..255. */
export type Canvas = { readonly width: number; readonly height: number; readonly rgb: Uint8Array };

export type Colour = readonly [red: number, green: number, blue: number];

/**
 * Seven rows per glyph, one base-32 digit each, highest bit leftmost. Lower case is drawn as upper case, an unknown
 * character as a dot.
 */
const GLYPHS: Readonly<Record<string, string>> = {
  A: 'ehhvhhh',
  B: 'uhhuhhu',
  C: 'ehggghe',
  D: 'uhhhhhu',
  E: 'vgguggv',
  F: 'vgguggg',
  G: 'ehgnhhf',
  H: 'hhhvhhh',
  I: 'e44444e',
  J: '72222ic',
  K: 'hikokih',
  L: 'ggggggv',
  M: 'hrllhhh',
  N: 'hpljhhh',
  O: 'ehhhhhe',
  P: 'uhhuggg',
  Q: 'ehhhlid',
  R: 'uhhukih',
  S: 'fgge11u',
  T: 'v444444',
  U: 'hhhhhhe',
  V: 'hhhhha4',
  W: 'hhhllrh',
  X: 'hha4ahh',
  Y: 'hha4444',
  Z: 'v1248gv',
  '0': 'ehhhhhe',
  '1': '4c4444e',
  '2': 'eh168gv',
  '3': 'v2421he',
  '4': '26aiv22',
  '5': 'vgu11he',
  '6': '68guhhe',
  '7': 'v124888',
  '8': 'ehhehhe',
  '9': 'ehhf12c',
  '.': '00000cc',
  '-': '000v000',
  _: '000000v',
  '%': 'op248j3',
  ' ': '0000000',
};
const UNKNOWN = '0004000';

/** Draws text with its top left corner at (left, top), `scale` pixels per font pixel, clipped to the canvas. */
export function drawText(
  canvas: Canvas,
  options: {
    readonly text: string;
    readonly left: number;
    readonly top: number;
    readonly scale: number;
    readonly colour: Colour;
  },
): void {
  const { text, left, top, scale, colour } = options;
  [...text.toUpperCase()].forEach((character, place) => {
    [...(GLYPHS[character] ?? UNKNOWN)].forEach((row, y) => {
      const bits = Number.parseInt(row, 32);
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

/** Fills a rectangle, clipped to the canvas. */
export function fillRectangle(
  canvas: Canvas,
  options: {
    readonly left: number;
    readonly top: number;
    readonly width: number;
    readonly height: number;
    readonly colour: Colour;
  },
): void {
  const { left, top, width, height, colour } = options;
  for (let y = Math.max(0, top); y < Math.min(canvas.height, top + height); y++) {
    for (let x = Math.max(0, left); x < Math.min(canvas.width, left + width); x++)
      canvas.rgb.set(colour, (y * canvas.width + x) * 3);
  }
}
