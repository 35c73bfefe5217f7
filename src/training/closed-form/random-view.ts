/**
 * A random view of a picture for the closed form: a crop with changed colours, perhaps in a frame. The encoder keeps
 * what two views of one picture share. No mirroring: the closed-form encoder is invariant to it by construction.
 */

import type { Pixels } from '../../images/pixels.js';
import type { Random } from '../../seeded-random.js';
import { mix, resizedCrop } from '../resample.js';

/** Smallest share of the area of a crop. */
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
 * A crop resized to the picture's size, its colours changed; with `frameProbability` shrunk into a frame of one colour.
 */
export function randomView(
  pixels: Pixels,
  random: Random,
  { frameProbability }: { readonly frameProbability: number },
): Pixels {
  const view = { ...pixels, rgb: recoloured(cropped(pixels, random), random) };
  // Without frames no number is drawn for them, so that encoders fitted before frames existed can be fitted again.
  return frameProbability > 0 && random() < frameProbability ? inFrame(view, random) : view;
}

/** The whole picture within a frame, by the nearest pixel: shrinking by a few per cent needs no filter. */
function inFrame({ width, height, rgb }: Pixels, random: Random): Pixels {
  const edge = between(FRAME_MIN, FRAME_MAX, random);
  const colour = [random(), random(), random()].map((value) => Math.floor(256 * value));
  const inside = (at: number, length: number): number =>
    Math.floor((((at + 0.5) / length - edge) / (1 - 2 * edge)) * length);
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

/** A random crop resized to the whole: values 0..255, not rounded. */
function cropped(pixels: Pixels, random: Random): Float32Array {
  const scale = Math.sqrt(between(AREA_MIN, 1, random));
  const stretch = Math.exp(between(-LOG_ASPECT_MAX, LOG_ASPECT_MAX, random));
  const [width, height] = [pixels.width * Math.min(1, scale / stretch), pixels.height * Math.min(1, scale * stretch)];
  const left = random() * (pixels.width - width);
  return resizedCrop(pixels, { left, top: random() * (pixels.height - height), width, height });
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
