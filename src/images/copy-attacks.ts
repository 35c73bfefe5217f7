/**
 * The fixed set of edits that people make to pictures before they upload them again, to measure whether an edited copy
 * still finds its original. The same bytes, attack and seed give the same bytes.
 */
import sharp, { type Sharp } from 'sharp';
import { randomNormal, seededRandom } from '../seeded-random.js';
import { CHARACTER_HEIGHT, CHARACTER_WIDTH, type Colour, drawText } from './bitmap-text.js';

type Picture = { readonly width: number; readonly height: number; readonly rgb: Uint8Array };
type Edit = (picture: Picture, random: () => number) => Sharp;

const EDITS = {
  'jpeg-60': (picture) => open(picture).jpeg({ quality: 60 }),
  'jpeg-40': (picture) => open(picture).jpeg({ quality: 40 }),
  'half-size': (picture) =>
    open(picture).resize(atLeastOne(picture.width / 2), atLeastOne(picture.height / 2), { fit: 'fill' }),
  'crop-90': (picture, random) => crop(picture, { area: 0.9, random }),
  'crop-70': (picture, random) => crop(picture, { area: 0.7, random }),
  'crop-50': (picture, random) => crop(picture, { area: 0.5, random }),
  flip: (picture) => open(picture).flop(),
  'quarter-turn': (picture) => open(picture).rotate(90),
  brighter: (picture) => open(picture).linear(1.4, 0),
  darker: (picture) => open(picture).linear(0.6, 0),
  contrast: (picture) => open(picture).linear(1.5, -64),
  saturation: (picture) => open(picture).modulate({ saturation: 2 }),
  grey: (picture) => open(picture).greyscale().toColourspace('srgb'),
  blur: (picture) => open(picture).blur(Math.max(0.5, Math.min(picture.width, picture.height) / 60)),
  text: overlayText,
  border: (picture, random) => addBorder(picture, random),
  noise: addNoise,
} as const satisfies Readonly<Record<string, Edit>>;

/** Name of an attack. crop-N keeps N % of the area, at a seeded position. */
export type CopyAttack = keyof typeof EDITS;

/** All attacks, mildest first: the order of tables. */
// Object.keys forgets the literal keys; EDITS has no others.
export const COPY_ATTACKS = Object.keys(EDITS) as readonly CopyAttack[];

/**
 * Returns the edited image: JPEG for the jpeg attacks, else PNG, so that nothing else is lossy. bytes: any picture that
 * sharp reads, even in part; it is turned upright and flattened onto white first. seed: give each image its own.
 */
export async function attackImage(options: {
  readonly bytes: Uint8Array;
  readonly attack: CopyAttack;
  readonly seed: number;
}): Promise<Uint8Array> {
  const { bytes, attack, seed } = options;
  const upright = sharp(bytes, { failOn: 'none' })
    .autoOrient()
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .removeAlpha();
  const { data, info } = await upright.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  const edited = EDITS[attack]({ width: info.width, height: info.height, rgb: data }, seededRandom(seed, attack));
  return attack.startsWith('jpeg') ? await edited.toBuffer() : await edited.png({ compressionLevel: 1 }).toBuffer();
}

function open(picture: Picture): Sharp {
  return sharp(picture.rgb, { raw: { width: picture.width, height: picture.height, channels: 3 } });
}

function crop(picture: Picture, options: { readonly area: number; readonly random: () => number }): Sharp {
  const side = Math.sqrt(options.area);
  const width = atLeastOne(picture.width * side);
  const height = atLeastOne(picture.height * side);
  const left = Math.floor(options.random() * (picture.width - width + 1));
  const top = Math.floor(options.random() * (picture.height - height + 1));
  return open(picture).extract({ left, top, width, height });
}

/** A word over two thirds of the width, light with a dark shadow so that it is visible on any background. */
function overlayText(picture: Picture, random: () => number): Sharp {
  const text = 'SAMPLE';
  const rgb = Uint8Array.from(picture.rgb);
  const scale = atLeastOne((picture.width * 0.66) / (text.length * CHARACTER_WIDTH));
  const left = Math.floor((picture.width - text.length * CHARACTER_WIDTH * scale) / 2);
  const top = Math.floor(random() * Math.max(1, picture.height - CHARACTER_HEIGHT * scale));
  const shadow = Math.ceil(scale / 3);
  drawText({ ...picture, rgb }, { text, left: left + shadow, top: top + shadow, scale, colour: [20, 20, 20] });
  drawText({ ...picture, rgb }, { text, left, top, scale, colour: [245, 245, 245] });
  return open({ ...picture, rgb });
}

function addBorder(picture: Picture, random: () => number): Sharp {
  const colour: Colour = [Math.floor(random() * 256), Math.floor(random() * 256), Math.floor(random() * 256)];
  const sides = atLeastOne(picture.width / 10);
  const ends = atLeastOne(picture.height / 10);
  const background = { r: colour[0], g: colour[1], b: colour[2] };
  return open(picture).extend({ left: sides, right: sides, top: ends, bottom: ends, background });
}

/** Gaussian noise of 20 grey levels on every channel (Box and Muller). */
function addNoise(picture: Picture, random: () => number): Sharp {
  const rgb = new Uint8ClampedArray(picture.rgb.length);
  for (let i = 0; i < rgb.length; i++) {
    const normal = randomNormal(random);
    rgb[i] = picture.rgb[i]! + 20 * normal;
  }
  return open({ ...picture, rgb: new Uint8Array(rgb.buffer) });
}

function atLeastOne(size: number): number {
  return Math.max(1, Math.floor(size));
}
