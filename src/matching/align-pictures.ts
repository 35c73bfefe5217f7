/**
 * Is one picture an edited copy of another? They are laid on each other as well as can be (crop, border, mirror, scale), then compared block by
 * block in fine detail, where pictures that are merely alike differ. Pure arithmetic on sketches, some two milliseconds a pair.
 */
import { agreementOf, BLOCK } from './block-agreement.js';
import { findWindows, type Guess, type Searchable, searchable } from './find-window.js';
import { type Box, correlationUnder, type Plane, planeOf, resized, type Sketch, sampled } from './grey-plane.js';

/** How two pictures lie on each other. `agreement`: 0..1, of their detail; boxes: what they share, in fractions of each. */
export type Alignment = {
  readonly agreement: number;
  /** The query had to be mirrored left for right; its box is that of the picture as it was sent. */
  readonly mirrored: boolean;
  readonly query: Box;
  readonly stored: Box;
};

/** A query prepared once for all pictures it is compared with. */
export type AlignmentQuery = { readonly upright: Searchable; readonly mirrored: Searchable };

/**
 * Below these correlations at low resolution a guess is not looked at closely. Measured on 40 photographs: 98 % of crops to half the area lie above,
 * and milder edits all but always; of the nearest other pictures about 85 % lie below. Less is asked where the one picture is all of the other: a bold
 * stamp costs correlation, and there is only one such guess.
 */
const PROMISING = { correlationMin: 0.7, wholeMin: 0.4 } as const;
/** Guesses looked at closely, and the agreement at which no further one is. */
const GUESSES = 3;
const AGREEMENT_ENOUGH = 0.8;
/** The square root of the pixels that are compared closely. */
const DETAIL_SIDE = 56;

/** Prepares a query's sketch. */
export function alignmentQuery(sketch: Sketch): AlignmentQuery {
  return { upright: searchable(planeOf(sketch)), mirrored: searchable(planeOf(sketch, true)) };
}

/** The best alignment of the query with a stored picture; undefined where none is worth a closer look. */
export function alignPictures(query: AlignmentQuery, stored: Sketch): Alignment | undefined {
  const other = searchable(planeOf(stored));
  const guesses = [query.upright, query.mirrored].flatMap((view) => [
    ...findWindows(view, other, PROMISING).map((guess) => ({ ...guess, view, isPart: true })),
    ...findWindows(other, view, PROMISING).map((guess) => ({ ...guess, view, isPart: false })),
  ]);
  let best: Alignment | undefined;
  for (const { view, isPart, ...guess } of guesses.sort((a, b) => b.correlation - a.correlation).slice(0, GUESSES)) {
    const { box, agreement } = isPart ? mended(view.plane, other.plane, guess) : mended(other.plane, view.plane, guess);
    if (best !== undefined && agreement <= best.agreement) continue;
    const mirrored = view === query.mirrored;
    const [inQuery, inStored] = isPart ? [WHOLE, box] : [box, WHOLE];
    best = { agreement, mirrored, query: mirrored ? { ...inQuery, x: 1 - inQuery.x - inQuery.width } : inQuery, stored: inStored };
    if (agreement >= AGREEMENT_ENOUGH) break;
  }
  return best;
}

const WHOLE: Box = { x: 0, y: 0, width: 1, height: 1 };

/** Moves and stretches a guess to where the pictures fit best, first roughly, and compares them there. */
function mended(part: Plane, whole: Plane, guess: Guess): { readonly box: Box; readonly agreement: number } {
  const step = { x: guess.box.width / 16, y: guess.box.height / 16 };
  const rough = refined(pairAt(DETAIL_SIDE / 2, { part, whole, box: guess.box }), { box: guess.box, step, rounds: 3 });
  const pair = pairAt(DETAIL_SIDE, { part, whole, box: rough });
  const box = refined(pair, { box: rough, step: { x: step.x / 8, y: step.y / 8 }, rounds: 1 });
  return { box: clipped(box), agreement: agreementOf(pair.patch, { ...pair.patch, values: sampled(pair.field, pair.patch, box) }) };
}

/** Both pictures at a size at which the part under the box has `side` squared pixels. */
type Pair = { readonly patch: Plane; readonly field: Plane };

function pairAt(side: number, { part, whole, box }: { readonly part: Plane; readonly whole: Plane; readonly box: Box }): Pair {
  const scale = side / Math.sqrt(part.width * part.height);
  const least = (pixels: number): number => Math.max(BLOCK, Math.round(pixels));
  const patch = resized(part, least(part.width * scale), least(part.height * scale));
  return { patch, field: resized(whole, least(patch.width / box.width), least(patch.height / box.height)) };
}

/** Which edges move: left, top, right, bottom. A whole box moves or one edge does. */
const MOVES: readonly (readonly [left: number, top: number, right: number, bottom: number])[] = [
  [1, 0, 1, 0],
  [-1, 0, -1, 0],
  [0, 1, 0, 1],
  [0, -1, 0, -1],
  [1, 0, 0, 0],
  [-1, 0, 0, 0],
  [0, 1, 0, 0],
  [0, -1, 0, 0],
  [0, 0, 1, 0],
  [0, 0, -1, 0],
  [0, 0, 0, 1],
  [0, 0, 0, -1],
];

/** Pattern search: every move that correlates better is made; each round halves the steps. */
function refined(
  { patch, field }: Pair,
  start: { readonly box: Box; readonly step: { readonly x: number; readonly y: number }; readonly rounds: number },
): Box {
  let best = { box: start.box, correlation: correlationUnder(field, patch, start.box) };
  for (let round = 0, part = 1; round < start.rounds; round++, part /= 2) {
    const [stepX, stepY] = [start.step.x * part, start.step.y * part];
    for (let turn = 0; turn < 2; turn++) {
      const before = best.correlation;
      for (const [left, top, right, bottom] of MOVES) {
        const { x, y, width, height } = best.box;
        const box = {
          x: x + left * stepX,
          y: y + top * stepY,
          width: width + (right - left) * stepX,
          height: height + (bottom - top) * stepY,
        };
        const correlation = correlationUnder(field, patch, box);
        if (correlation > best.correlation) best = { box, correlation };
      }
      if (best.correlation === before) break;
    }
  }
  return best.box;
}

function clipped({ x, y, width, height }: Box): Box {
  const [left, top] = [Math.max(0, x), Math.max(0, y)];
  return { x: left, y: top, width: Math.min(1, x + width) - left, height: Math.min(1, y + height) - top };
}
