/** Where one small picture lies within another, at unknown size: normalised correlation over places and sizes. */
import { type Box, blockMeans, type Plane, type RunningSums, resized, runningSums } from './grey-plane.js';

/** A picture prepared to be looked for and to be looked through, at low resolution. */
export type Searchable = {
  readonly plane: Plane;
  /** About {@link PATCH_SIDE} squared pixels, less its mean, at length 1; undefined where it is flat. */
  readonly patch: Plane | undefined;
  readonly fields: readonly Field[];
  /** The patch at the sizes at which it was looked for, filled as they come up. */
  readonly fitted: Map<string, FittedPatch | undefined>;
};

/**
 * A picture to be looked through at one extent. `blocks`: the means of the squares of {@link BLOCK} pixels that begin
 * at each pixel, as wide as the plane.
 */
type Field = Plane & RunningSums & { readonly blocks: Float32Array };

/** A guess: the one picture is this part of the other. `correlation`: of grey levels, -1..1. */
export type Guess = { readonly box: Box; readonly correlation: number };

/** The square root of the pixels that are looked for. */
const PATCH_SIDE = 16;
/**
 * Extents that a part may have of the whole, by the square root of its area; each some 7 % less, so that between two
 * no pixel is off by half.
 */
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
  return { plane, patch: normalised(resized(plane, ...sizeOf(PATCH_SIDE))), fields, fitted: new Map() };
}

/** Mean 0 and length 1; undefined where the plane deviates from its mean by less. */
function normalised(plane: Plane, deviationMin = DEVIATION_MIN): Plane | undefined {
  const { values } = plane;
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  const length = Math.sqrt(squares);
  if (length <= deviationMin * Math.sqrt(values.length)) return undefined;
  return { ...plane, values: values.map((value) => (value - mean) / length) };
}

/**
 * The best place of `part` in `whole` for each extent, as far as it fits and correlates by more than `correlationMin`,
 * or `wholeMin` if it is all of it.
 */
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
    const fitting = fittedPatch(part, patch, { width, height });
    const isWhole = width === field.width && height === field.height;
    const best = fitting && bestPlace(fitting, field, isWhole ? wholeMin : correlationMin);
    if (best === undefined) continue;
    const box = {
      x: best.x / field.width,
      y: best.y / field.height,
      width: width / field.width,
      height: height / field.height,
    };
    guesses.push({ box, correlation: best.correlation });
  }
  return guesses;
}

/** A patch at one size, mean 0 and length 1. Its block means, and `rest`: the length of what they leave of it. */
type FittedPatch = Plane & {
  readonly across: number;
  readonly down: number;
  readonly means: Float64Array;
  readonly rest: number;
};

function fittedPatch(
  { fitted }: Searchable,
  patch: Plane,
  { width, height }: { readonly width: number; readonly height: number },
): FittedPatch | undefined {
  const size = `${width}x${height}`;
  if (fitted.has(size)) return fitted.get(size);
  const isUnchanged = width === patch.width && height === patch.height;
  const plane = isUnchanged ? patch : normalised(resized(patch, width, height), 0);
  const made = plane === undefined ? undefined : withBlockMeans(plane);
  fitted.set(size, made);
  return made;
}

function withBlockMeans(plane: Plane): FittedPatch {
  const { width, height, values } = plane;
  const [across, down] = [Math.floor(width / BLOCK), Math.floor(height / BLOCK)];
  const means = new Float64Array(across * down);
  for (let y = 0; y < down * BLOCK; y++) {
    for (let x = 0; x < across * BLOCK; x++) {
      means[Math.floor(y / BLOCK) * across + Math.floor(x / BLOCK)]! += values[y * width + x]! / (BLOCK * BLOCK);
    }
  }
  const explained = means.reduce((sum, mean) => sum + BLOCK * BLOCK * mean * mean, 0);
  return { ...plane, across, down, means, rest: Math.sqrt(Math.max(0, 1 - explained)) };
}

/** More than rounding can take from a bound. */
const ROUNDING = 1e-4;

type Place = { readonly x: number; readonly y: number; readonly correlation: number };

/**
 * The place of highest correlation, if above `correlationMin`. The means of a few blocks bound the correlation of a
 * place: what they leave of patch and window correlates by no more than the product of its lengths (Cauchy and
 * Schwarz). Seven places in ten fall there, at a sixteenth of the work; none falls that should not.
 */
function bestPlace(patch: FittedPatch, field: Field, correlationMin: number): Place | undefined {
  const { width, height, values: wanted, across, down, means, rest } = patch;
  const { values, sums, squares, blocks, width: fieldWidth } = field;
  const count = width * height;
  const stride = fieldWidth + 1;
  const flat = DEVIATION_MIN * DEVIATION_MIN * count;
  const area = BLOCK * BLOCK;
  let best: Place | undefined;
  let least = correlationMin;
  for (let y = 0; y + height <= field.height; y++) {
    for (let x = 0; x + width <= fieldWidth; x++) {
      const top = y * stride + x;
      const bottom = top + height * stride;
      const sum = sums[bottom + width]! - sums[bottom]! - sums[top + width]! + sums[top]!;
      const square = squares[bottom + width]! - squares[bottom]! - squares[top + width]! + squares[top]!;
      const spread = square - (sum * sum) / count;
      if (spread < flat) continue;
      const first = y * fieldWidth + x;
      const mean = sum / count;
      const length = Math.sqrt(spread);
      let coarse = 0;
      let explained = 0;
      for (let row = 0, at = 0, start = first; row < down; row++, start += BLOCK * fieldWidth) {
        for (let column = 0, from = start; column < across; column++, from += BLOCK) {
          const block = blocks[from]! - mean;
          coarse += means[at++]! * block;
          explained += block * block;
        }
      }
      const left = Math.sqrt(Math.max(0, spread - area * explained));
      if ((area * coarse + rest * left) / length + ROUNDING < least) continue;
      let product = 0;
      for (let row = 0, from = 0, to = first; row < height; row++, to += fieldWidth - width) {
        for (let column = 0; column < width; column++) product += wanted[from++]! * values[to++]!;
      }
      // The patch has mean 0 and length 1, so the window's own mean falls out.
      const correlation = product / length;
      if (correlation <= least) continue;
      best = { x, y, correlation };
      least = correlation;
    }
  }
  return best;
}
