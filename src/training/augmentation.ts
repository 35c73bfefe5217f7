/**
 * Random views of an image for training by gradients: a crop resized to the whole, mirrored or not, its colours
 * changed. All colour changes are one affine map of red, green and blue, so a view costs one pass over its pixels.
 */
import type { Random } from '../seeded-random.js';
import type { Augmentation } from './recipe.js';
import { type Crop, resizedCrop } from './resample.js';

/** Weights of brightness, ITU-R BT.601, as image libraries take them. */
const LUMA = [0.299, 0.587, 0.114] as const;

/** An affine map of colours: its three rows give red, green and blue from (r, g, b, 1), values 0..255. */
type ColourMap = readonly number[];
const UNCHANGED: ColourMap = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];

/**
 * Writes one view of a square image into `target`. source, target: side x side x 3, 0..255, not overlapping. The number
 * of random draws is always the same, so switching one change off leaves the others as they were. Parameters as in
 * torchvision's RandomResizedCrop and ColorJitter, but colours change in one order (brightness, contrast, saturation,
 * hue, grey) and values are clipped once, at the end.
 */
export function augment(options: {
  readonly source: Uint8Array;
  readonly target: Uint8Array;
  readonly side: number;
  readonly augmentation: Augmentation;
  readonly random: Random;
}): void {
  const { source, target, side, augmentation, random } = options;
  const crop = drawCrop(augmentation.crop, side, random);
  const isMirrored = random() < augmentation.flip;
  const values = resizedCrop({ width: side, height: side, rgb: source }, crop, isMirrored);
  for (let at = 0; at < values.length; at++) target[at] = values[at]! + 0.5;
  const colours = drawColours(augmentation, random, () => meanLuma(target));
  if (colours !== UNCHANGED) recolour(target, colours);
}

/** Area uniform, logarithm of the aspect ratio uniform; a side that does not fit is cut to the image's. */
function drawCrop(crop: Augmentation['crop'], side: number, random: Random): Crop {
  const area = crop.areaMin + random() * (crop.areaMax - crop.areaMin);
  const aspect = crop.aspectMax ** (2 * random() - 1);
  const width = side * Math.min(1, Math.sqrt(area * aspect));
  const height = side * Math.min(1, Math.sqrt(area / aspect));
  return { left: random() * (side - width), top: random() * (side - height), width, height };
}

function drawColours({ jitter, grey }: Augmentation, random: Random, mean: () => number): ColourMap {
  const isJittered = random() < jitter.probability;
  const factor = (strength: number): number => 1 + (2 * random() - 1) * strength;
  const [brightness, contrast, saturation] = [
    factor(jitter.brightness),
    factor(jitter.contrast),
    factor(jitter.saturation),
  ];
  const hue = (2 * random() - 1) * jitter.hue;
  const isGrey = random() < grey;
  if (!isJittered && !isGrey) return UNCHANGED;
  let map = UNCHANGED;
  if (isJittered) {
    map = after(map, scaled(brightness, 0));
    // Towards the picture's mean grey, which the brightness above has scaled.
    if (contrast !== 1) map = after(map, scaled(contrast, (1 - contrast) * brightness * mean()));
    map = after(map, saturated(saturation));
    if (hue !== 0) map = after(map, turned(hue));
  }
  return isGrey ? after(map, saturated(0)) : map;
}

function scaled(gain: number, offset: number): ColourMap {
  return [gain, 0, 0, offset, 0, gain, 0, offset, 0, 0, gain, offset];
}

/** Interpolates between the grey picture (0) and the picture itself (1), and beyond. */
function saturated(amount: number): ColourMap {
  return UNCHANGED.map((one, index) => (index % 4 === 3 ? 0 : one * amount + LUMA[index % 4]! * (1 - amount)));
}

/** Rotates hues by a share of the circle, in the chrominance plane of YIQ. */
function turned(share: number): ColourMap {
  const [cos, sin] = [Math.cos(2 * Math.PI * share), Math.sin(2 * Math.PI * share)];
  const toYiq: ColourMap = [
    0.299, 0.587, 0.114, 0, 0.595716, -0.274453, -0.321263, 0, 0.211456, -0.522591, 0.311135, 0,
  ];
  const turn: ColourMap = [1, 0, 0, 0, 0, cos, -sin, 0, 0, sin, cos, 0];
  const toRgb: ColourMap = [1, 0.9563, 0.621, 0, 1, -0.2721, -0.6474, 0, 1, -1.107, 1.7046, 0];
  return after(after(toYiq, turn), toRgb);
}

/** The map that applies `first`, then `second`. */
function after(first: ColourMap, second: ColourMap): ColourMap {
  return Array.from({ length: 12 }, (_, index) => {
    const [row, column] = [index - (index % 4), index % 4];
    let sum = column === 3 ? second[row + 3]! : 0;
    for (let k = 0; k < 3; k++) sum += second[row + k]! * first[4 * k + column]!;
    return sum;
  });
}

function meanLuma(rgb: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < rgb.length; i += 3) sum += LUMA[0] * rgb[i]! + LUMA[1] * rgb[i + 1]! + LUMA[2] * rgb[i + 2]!;
  return (3 * sum) / rgb.length;
}

function recolour(rgb: Uint8Array, map: ColourMap): void {
  const [rr = 1, rg = 0, rb = 0, r0 = 0, gr = 0, gg = 1, gb = 0, g0 = 0, br = 0, bg = 0, bb = 1, b0 = 0] = map;
  for (let i = 0; i < rgb.length; i += 3) {
    const [r, g, b] = [rgb[i]!, rgb[i + 1]!, rgb[i + 2]!];
    rgb[i] = byte(rr * r + rg * g + rb * b + r0);
    rgb[i + 1] = byte(gr * r + gg * g + gb * b + g0);
    rgb[i + 2] = byte(br * r + bg * g + bb * b + b0);
  }
}

function byte(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value + 0.5;
}
