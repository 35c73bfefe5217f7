/** Where one small picture lies within another, at unknown size: normalised correlation over places and sizes. */
import { type Box, blockMeans, type Plane, type RunningSums, resized, runningSums } from './grey-plane.js';

/** A picture prepared to be looked for and to be looked through, at low resolution. */
export type Searchable = {
  readonly plane: Plane;
  /** About {@link PATCH_SIDE} squared pixels, less its mean, at length 1; undefined where it is flat. */
  readonly patch: Plane | undefined;
  readonly fields: readonly Field[];
};

/** A picture to be looked through at one extent. `blocks`: the means of the squares of {@link BLOCK} pixels that begin at each pixel, as wide as the plane. */
type Field = Plane & RunningSums & { readonly blocks: Float32Array };

/** A guess: the one picture is this part of the other. `correlation`: of grey levels, -1..1. */
export type Guess = { readonly box: Box; readonly correlation: number };

/** The square root of the pixels that are looked for. */
const PATCH_SIDE = 16;
/** Extents that a part may have of the whole, by the square root of its area; each some 7 % less, so that between two no pixel is off by half. */
const EXTENTS = [1, 0.93, 0.865, 0.805, 0.75, 0.695, 0.645, 0.6, 0.56, 0.52] as const;
/** Side in pixels of the blocks whose means tell most places apart from the part that is looked for. */
const BLOCK = 4;
/** Grey levels; of less deviation a picture or a part of it is flat and says nothing. */
const DEVIATION_MIN = 4;

/** Prepares one picture for {@link findWindows}. */
export function searchable(plane: Plane): Searchable {
  const sizeOf = (side: number): readonly [number, number] => {
    const scale = side / Math.sqrt(plane.width * plane.height);
    return [Math.max(1, Math.round(plane.width * scale)), Math.max(1, Math.round(plane.height * scale))];
  };
  const fields = EXTENTS.map((extent) => {
    const field = resized(plane, ...sizeOf(PATCH_SIDE / extent));
    const sums = runningSums(field);
    return { ...field, ...sums, blocks: blockMeans(field, sums, BLOCK) };
  });
  return { plane, patch: normalised(resized(plane, ...sizeOf(PATCH_SIDE))), fields };
}

/** Mean 0 and length 1; undefined where the plane deviates from its mean by less. */
function normalised(plane: Plane, deviationMin = DEVIATION_MIN): Plane | undefined {
  const { values } = plane;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const length = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0));
  return length <= deviationMin * Math.sqrt(values.length)
    ? undefined
    : { ...plane, values: values.map((value) => (value - mean) / length) };
}

/** The best place of `part` in `whole` for each extent, as far as it fits and correlates by more than `correlationMin`, or `wholeMin` if it is all of it. */
export function findWindows(
  part: Searchable,
  whole: Searchable,
  { correlationMin, wholeMin }: { readonly correlationMin: number; readonly wholeMin: number },
): Guess[] {
  const { patch } = part;
  if (patch === undefined) return [];
  const guesses: Guess[] = [];
  for (const field of whole.fields) {
    // A pixel of rounding is no reason not to fit.
    const width = Math.min(patch.width, field.width);
    const height = Math.min(patch.height, field.height);
    if (width < patch.width - 1 || height < patch.height - 1) continue;
    const isUnchanged = width === patch.width && height === patch.height;
    const fitting = isUnchanged ? patch : normalised(resized(patch, width, height), 0);
    const isWhole = width === field.width && height === field.height;
    const best = fitting && bestPlace(fitting, field, isWhole ? wholeMin : correlationMin);
    if (best === undefined) continue;
    const box = { x: best.x / field.width, y: best.y / field.height, width: width / field.width, height: height / field.height };
    guesses.push({ box, correlation: best.correlation });
  }
  return guesses;
}

type Place = { readonly x: number; readonly y: number; readonly correlation: number };

/**
 * The place of highest correlation, if above `correlationMin`. The means of a few blocks bound the correlation of a place: what they leave of patch
 * and window correlates by no more than the product of its lengths (Cauchy and Schwarz). Seven places in ten fall there, at a sixteenth of the work; none
 * falls that should not.
 */
function bestPlace(patch: Plane, field: Field, correlationMin: number): Place | undefined {
  const { width, height, values: wanted } = patch;
  const { values, sums, squares } = field;
  const count = width * height;
  const stride = field.width + 1;
  const coarse = coarsePatch(patch);
  let best: Place | undefined;
  for (let y = 0; y + height <= field.height; y++) {
    for (let x = 0; x + width <= field.width; x++) {
      const top = y * stride + x;
      const bottom = top + height * stride;
      const sum = sums[bottom + width]! - sums[bottom]! - sums[top + width]! + sums[top]!;
      const square = squares[bottom + width]! - squares[bottom]! - squares[top + width]! + squares[top]!;
      const spread = square - (sum * sum) / count;
      if (spread < DEVIATION_MIN * DEVIATION_MIN * count) continue;
      const least = best?.correlation ?? correlationMin;
      const first = y * field.width + x;
      if (highestCorrelation(coarse, field, { first, mean: sum / count, spread }) < least) continue;
      let product = 0;
      for (let row = 0, from = 0, to = first; row < height; row++, to += field.width - width) {
        for (let column = 0; column < width; column++) product += wanted[from++]! * values[to++]!;
      }
      // The patch has mean 0 and length 1, so the window's own mean falls out.
      const correlation = product / Math.sqrt(spread);
      if (correlation > least) best = { x, y, correlation };
    }
  }
  return best;
}

/** A patch by its block means; `rest`: the length of what they leave of it. */
type CoarsePatch = { readonly across: number; readonly down: number; readonly means: Float64Array; readonly rest: number };

function coarsePatch({ width, height, values }: Plane): CoarsePatch {
  const [across, down] = [Math.floor(width / BLOCK), Math.floor(height / BLOCK)];
  const means = new Float64Array(across * down);
  for (let y = 0; y < down * BLOCK; y++) {
    for (let x = 0; x < across * BLOCK; x++) {
      means[Math.floor(y / BLOCK) * across + Math.floor(x / BLOCK)]! += values[y * width + x]! / (BLOCK * BLOCK);
    }
  }
  const explained = means.reduce((sum, mean) => sum + BLOCK * BLOCK * mean * mean, 0);
  return { across, down, means, rest: Math.sqrt(Math.max(0, 1 - explained)) };
}

/** More than rounding can take from a bound. */
const ROUNDING = 1e-4;

/** An upper bound of the correlation of the patch with the window whose upper left pixel is `first`. */
function highestCorrelation(
  { across, down, means, rest }: CoarsePatch,
  { blocks, width }: Field,
  window: { readonly first: number; readonly mean: number; readonly spread: number },
): number {
  let product = 0;
  let explained = 0;
  for (let row = 0, at = 0, start = window.first; row < down; row++, start += BLOCK * width) {
    for (let column = 0, from = start; column < across; column++, from += BLOCK) {
      const mean = blocks[from]! - window.mean;
      product += means[at++]! * mean;
      explained += mean * mean;
    }
  }
  const area = BLOCK * BLOCK;
  const left = Math.sqrt(Math.max(0, window.spread - area * explained));
  return (area * product + rest * left) / Math.sqrt(window.spread) + ROUNDING;
}
