/** Where one small picture lies within another, at unknown size: normalised correlation over places and sizes. */
import { type Box, type Plane, type RunningSums, resized, runningSums } from './grey-plane.js';

/** A picture prepared to be looked for and to be looked through, at low resolution. */
export type Searchable = {
  readonly plane: Plane;
  /** About {@link PATCH_SIDE} squared pixels, less its mean, at length 1; undefined where it is flat. */
  readonly patch: Plane | undefined;
  readonly fields: readonly (Plane & RunningSums)[];
};

/** A guess: the one picture is this part of the other. `correlation`: of grey levels, -1..1. */
export type Guess = { readonly box: Box; readonly correlation: number };

/** The square root of the pixels that are looked for. */
const PATCH_SIDE = 16;
/** Extents that a part may have of the whole, by the square root of its area; each some 7 % less, so that between two no pixel is off by half. */
const EXTENTS = [1, 0.93, 0.865, 0.805, 0.75, 0.695, 0.645, 0.6, 0.56, 0.52] as const;
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
    return { ...field, ...runningSums(field) };
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

/** The best place of `part` in `whole` for each extent, as far as it fits. */
export function findWindows(part: Searchable, whole: Searchable): Guess[] {
  const { patch } = part;
  if (patch === undefined) return [];
  const guesses: Guess[] = [];
  for (const field of whole.fields) {
    // A pixel of rounding is no reason not to fit.
    const width = Math.min(patch.width, field.width);
    const height = Math.min(patch.height, field.height);
    if (width < patch.width - 1 || height < patch.height - 1) continue;
    const isWhole = width === patch.width && height === patch.height;
    const fitting = isWhole ? patch : normalised(resized(patch, width, height), 0);
    const best = fitting && bestPlace(fitting, field);
    if (best === undefined) continue;
    const box = { x: best.x / field.width, y: best.y / field.height, width: width / field.width, height: height / field.height };
    guesses.push({ box, correlation: best.correlation });
  }
  return guesses;
}

type Place = { readonly x: number; readonly y: number; readonly correlation: number };

function bestPlace(patch: Plane, field: Plane & RunningSums): Place | undefined {
  const { width, height, values: wanted } = patch;
  const { values, sums, squares } = field;
  const count = width * height;
  const stride = field.width + 1;
  let best: Place | undefined;
  for (let y = 0; y + height <= field.height; y++) {
    for (let x = 0; x + width <= field.width; x++) {
      const top = y * stride + x;
      const bottom = top + height * stride;
      const sum = sums[bottom + width]! - sums[bottom]! - sums[top + width]! + sums[top]!;
      const square = squares[bottom + width]! - squares[bottom]! - squares[top + width]! + squares[top]!;
      const spread = square - (sum * sum) / count;
      if (spread < DEVIATION_MIN * DEVIATION_MIN * count) continue;
      let product = 0;
      for (let row = 0, from = 0, to = y * field.width + x; row < height; row++, to += field.width - width) {
        for (let column = 0; column < width; column++) product += wanted[from++]! * values[to++]!;
      }
      // The patch has mean 0 and length 1, so the window's own mean falls out.
      const correlation = product / Math.sqrt(spread);
      if (best === undefined || correlation > best.correlation) best = { x, y, correlation };
    }
  }
  return best;
}
