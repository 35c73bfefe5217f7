/**
 * A random view of a picture: a part of it, in another light. What two views of one picture share is what the encoder should keep. No
 * mirroring: the closed-form encoder is invariant to it by construction.
 */

import type { Pixels } from '../images/pixels.js';
import type { Random } from '../infomax/random.js';

/** Share of the area that a crop keeps at least. */
const AREA_MIN = 0.4;
/** A crop's sides are in a ratio of at most e^(2 x this). */
const LOG_ASPECT_MAX = 0.25;
const LIGHT_PROBABILITY = 0.8;
const GREY_PROBABILITY = 0.2;
/** Saturation, contrast and brightness are multiplied by 1 -+ this, each channel by 1 -+ TINT_MAX. */
const LIGHT_MAX = 0.4;
const TINT_MAX = 0.15;
/** Luminance of red, green and blue (ITU-R BT.601). */
const LUMINANCE = [0.299, 0.587, 0.114] as const;

/** A frame's share of the side, on each of the four edges. */
const FRAME_MIN = 0.03;
const FRAME_MAX = 0.1;

/**
 * A crop of the picture, resized to the picture's size (bilinear), its colours changed; with probability `framed` shrunk into a frame of one
 * colour. All chance comes from `random`.
 */
export function randomView(pixels: Pixels, random: Random, { framed }: { readonly framed: number }): Pixels {
  const view = { ...pixels, rgb: recoloured(cropped(pixels, random), random) };
  // Without frames nothing is drawn for them: encoders fitted before there were frames can be made again.
  return framed > 0 && random() < framed ? inFrame(view, random) : view;
}

/** The whole picture within a frame, by the nearest pixel: shrinking by a few per cent asks for no filter. */
function inFrame({ width, height, rgb }: Pixels, random: Random): Pixels {
  const edge = between(FRAME_MIN, FRAME_MAX, random);
  const colour = [random(), random(), random()].map((value) => Math.floor(256 * value));
  const inside = (at: number, length: number): number => Math.floor((((at + 0.5) / length - edge) / (1 - 2 * edge)) * length);
  const target = new Uint8Array(rgb.length);
  for (let y = 0; y < height; y++) {
    const row = inside(y, height);
    for (let x = 0; x < width; x++) {
      const column = inside(x, width);
      const isFrame = row < 0 || row >= height || column < 0 || column >= width;
      for (let channel = 0; channel < 3; channel++)
        target[(y * width + x) * 3 + channel] = isFrame ? colour[channel]! : rgb[(row * width + column) * 3 + channel]!;
    }
  }
  return { width, height, rgb: target };
}

/** The values of the crop, 0..255, not yet rounded. */
function cropped({ width, height, rgb }: Pixels, random: Random): Float32Array {
  const scale = Math.sqrt(between(AREA_MIN, 1, random));
  const stretch = Math.exp(between(-LOG_ASPECT_MAX, LOG_ASPECT_MAX, random));
  const columns = axisSamples(width, Math.min(1, scale / stretch), random);
  const rows = axisSamples(height, Math.min(1, scale * stretch), random);
  const values = new Float32Array(rgb.length);
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      const topLeft = (row.first * width + column.first) * 3;
      const bottomLeft = (row.second * width + column.first) * 3;
      const across = (column.second - column.first) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const top = mix(rgb[topLeft + channel]!, rgb[topLeft + across + channel]!, column.fraction);
        const bottom = mix(rgb[bottomLeft + channel]!, rgb[bottomLeft + across + channel]!, column.fraction);
        values[at++] = mix(top, bottom, row.fraction);
      }
    }
  }
  return values;
}

type AxisSample = { readonly first: number; readonly second: number; readonly fraction: number };

/** Where the samples of a random stretch of the axis lie: between which two pixels, and how far. */
function axisSamples(length: number, share: number, random: Random): readonly AxisSample[] {
  const start = random() * length * (1 - share);
  return Array.from({ length }, (_, index) => {
    const place = Math.max(0, Math.min(length - 1, start + (index + 0.5) * share - 0.5));
    const first = Math.floor(place);
    return { first, second: Math.min(length - 1, first + 1), fraction: place - first };
  });
}

function recoloured(values: Float32Array, random: Random): Uint8Array {
  const isLit = random() < LIGHT_PROBABILITY;
  const factor = (range: number): number => (isLit ? between(1 - range, 1 + range, random) : 1);
  const [contrast, brightness] = [factor(LIGHT_MAX), factor(LIGHT_MAX)];
  const tints = [factor(TINT_MAX), factor(TINT_MAX), factor(TINT_MAX)] as const;
  const coloured = factor(LIGHT_MAX);
  const saturation = random() < GREY_PROBABILITY ? 0 : coloured;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const rgb = new Uint8Array(values.length);
  for (let at = 0; at < values.length; at += 3) {
    const luminance = LUMINANCE.reduce((sum, weight, channel) => sum + weight * values[at + channel]!, 0);
    for (let channel = 0; channel < 3; channel++) {
      const saturated = mix(luminance, values[at + channel]!, saturation);
      const lit = mix(mean, saturated, contrast) * brightness * tints[channel]!;
      rgb[at + channel] = Math.max(0, Math.min(255, Math.round(lit)));
    }
  }
  return rgb;
}

function between(low: number, high: number, random: Random): number {
  return low + (high - low) * random();
}

function mix(from: number, to: number, share: number): number {
  return from + (to - from) * share;
}
