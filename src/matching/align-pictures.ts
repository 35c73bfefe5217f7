/**
 * Is one picture an edited copy of another? They are aligned as well as can be (crop, border, mirror, scale, a small
 * turn), then compared where they differ, in detail fine enough to tell one text from another. Pure arithmetic on grey
 * sketches.
 */
import { agreementOf } from './block-agreement.js';
import { compareDetail } from './compare-detail.js';
import { EDITED_AGREEMENT_MIN } from './copy-verdict.js';
import { findWindows, type Guess, type Searchable, searchable } from './find-window.js';
import { type Box, halfOf, type Plane, planeOf, resized, type Sketch } from './grey-plane.js';
import { boxOf, refinedWarp, type Warp, warped, warpOf } from './refine-warp.js';

/** How two pictures lie on each other. Boxes: what they share, in fractions of each. */
export type Alignment = {
  /** 0..1: how far their detail agrees. Below {@link EDITED_AGREEMENT_MIN} they share a layout and are no copies. */
  readonly agreement: number;
  /** The query had to be mirrored left for right; its box is that of the picture as it was sent. */
  readonly mirrored: boolean;
  readonly query: Box;
  readonly stored: Box;
};

/** A picture prepared once for all that it is aligned with. */
export type AlignmentPicture = {
  readonly sketch: Sketch;
  readonly isMirrored: boolean;
  /** The picture at a half, a quarter and an eighth of the sketch's size. */
  readonly halves: readonly Plane[];
  readonly search: Searchable;
  /** The whole picture at sizes at which it was compared, filled as they come up. */
  readonly sizes: Map<string, Plane>;
};
/** A query prepared once for all pictures it is compared with. */
export type AlignmentQuery = { readonly upright: AlignmentPicture; readonly mirrored: AlignmentPicture };

/**
 * Below these correlations at low resolution a guess is not looked at closely. Measured on 40 photographs: 98 % of
 * crops to half the area lie above, and milder edits all but always; of the nearest other pictures about 85 % lie
 * below. Less is asked where the one picture is all of the other: a bold stamp costs correlation, and there is only
 * one such guess.
 */
const PROMISING = { correlationMin: 0.7, wholeMin: 0.4 } as const;
/** Guesses looked at closely, and different places at which detail is compared. */
const GUESSES = 3;
const COMPARED_MAX = 2;
/**
 * Square roots of the pixels on which a guess is refined, the most steps on each, and the agreement of {@link
 * agreementOf} from which on the pictures are aligned.
 */
const REFINEMENTS = [
  { side: 20, steps: 5, agreementMin: 0 },
  { side: 40, steps: 4, agreementMin: 0.1 },
  { side: 64, steps: 3, agreementMin: 0.35 },
] as const;
/** The last one, of what is compared in detail: a fifth of a pixel matters there. */
const LAST_REFINEMENT = { side: 128, steps: 2 } as const;
/** Guesses of less correlation after a refinement are dropped. */
const REFINED_CORRELATION_MIN = 0.4;
/** How often both pictures are halved for a blurred or noisy one. */
const HALVINGS = 2;
/** Sizes of a picture that are kept: 50 kB at most. */
const KEPT_PIXELS_MAX = 42 * 42;
const KEPT_SIZES_MAX = 8;
/** A picture so many times as wide as was asked for is taken as it is. */
const NEAR_SIZE = 1.1;
/** Where pictures share this much of width and height, they are aligned as a whole and no other place is tried. */
const ALL_MIN = 0.98;
/** Two guesses whose corners lie this near, in fractions of the picture, are one. */
const SAME_PLACE = 0.02;

/** Prepares a query's sketch. */
export function alignmentQuery(sketch: Sketch): AlignmentQuery {
  return { upright: alignmentPicture(sketch), mirrored: alignmentPicture(sketch, true) };
}

/** Prepares a stored picture's sketch, for more than one query. */
export function alignmentPicture(sketch: Sketch, isMirrored = false): AlignmentPicture {
  const half = halfOf(sketch, isMirrored);
  const quarter = resizedBy(half, 0.5);
  return {
    sketch,
    isMirrored,
    halves: [half, quarter, resizedBy(quarter, 0.5)],
    search: searchable(quarter),
    sizes: new Map(),
  };
}

function resizedBy(plane: Plane, scale: number): Plane {
  return resized(plane, Math.max(1, Math.round(plane.width * scale)), Math.max(1, Math.round(plane.height * scale)));
}

/**
 * A picture at about another size: one of its halves or the whole where that is near enough, or made of the smallest
 * that is as large. Small ones are kept, as most of them are asked for again.
 */
function atSize({ sketch, isMirrored, halves, sizes }: AlignmentPicture, width: number, height: number): Plane {
  const key = `${width}x${height}`;
  const known = sizes.get(key);
  if (known !== undefined) return known;
  const isNear = (plane: { readonly width: number }): boolean =>
    plane.width >= width / NEAR_SIZE && plane.width <= width * NEAR_SIZE;
  const near = halves.find(isNear);
  if (near !== undefined) return near;
  const source = halves.findLast((half) => half.width * half.height >= width * height) ?? planeOf(sketch, isMirrored);
  if (isNear(source)) return source;
  const plane = resized(source, width, height);
  if (width * height <= KEPT_PIXELS_MAX && sizes.size < KEPT_SIZES_MAX) sizes.set(key, plane);
  return plane;
}

/**
 * The best alignment of the query with a stored picture; undefined where they cannot be aligned or have too little
 * detail to tell.
 */
export function alignPictures(query: AlignmentQuery, stored: Sketch | AlignmentPicture): Alignment | undefined {
  const other = 'search' in stored ? stored : alignmentPicture(stored);
  const guesses = [query.upright, query.mirrored].flatMap((view) => [
    ...findWindows(view.search, other.search, PROMISING).map((guess) => ({ ...guess, view, isPart: true })),
    ...findWindows(other.search, view.search, PROMISING).map((guess) => ({ ...guess, view, isPart: false })),
  ]);
  let best: Alignment | undefined;
  const seen: Alignment[] = [];
  for (const { view, isPart, ...guess } of guesses.sort((a, b) => b.correlation - a.correlation).slice(0, GUESSES)) {
    const pair = isPart ? { part: view, whole: other } : { part: other, whole: view };
    const warp = refined(pair, guess);
    if (warp === undefined) continue;
    const box = boxOf(warp);
    const mirrored = view === query.mirrored;
    const [inQuery, inStored] = isPart ? [WHOLE, box] : [box, WHOLE];
    const place = {
      mirrored,
      query: mirrored ? { ...inQuery, x: 1 - inQuery.x - inQuery.width } : inQuery,
      stored: inStored,
    };
    if (seen.some((former) => isSamePlace(former, place))) continue;
    const agreement = detailAgreement(pair, guess.box, warp);
    if (agreement === undefined) continue;
    const found = { agreement, ...place };
    seen.push(found);
    if (best === undefined || agreement > best.agreement) best = found;
    const isAll = box.width >= ALL_MIN && box.height >= ALL_MIN;
    if (agreement >= EDITED_AGREEMENT_MIN || isAll || seen.length >= COMPARED_MAX) break;
  }
  return best;
}

const WHOLE: Box = { x: 0, y: 0, width: 1, height: 1 };

/** The one that lies in a part of the other. */
type Pair = { readonly part: AlignmentPicture; readonly whole: AlignmentPicture };

/** A guess moved, stretched and turned to where the pictures fit best; undefined where they are not aligned even so. */
function refined({ part, whole }: Pair, { box }: Guess): Warp | undefined {
  let warp = warpOf(box);
  for (const { side, steps, agreementMin } of REFINEMENTS) {
    const { patch, field } = sized({ part, whole }, { box, side });
    const fit = refinedWarp(field, patch, warp, steps);
    warp = fit.warp;
    if (fit.correlation < REFINED_CORRELATION_MIN) return undefined;
    if (agreementMin > 0 && agreementOf(patch, { ...patch, values: warped(field, patch, warp).values }) < agreementMin)
      return undefined;
  }
  return warp;
}

/** How far detail agrees, on as many pixels as both have; on fewer where one of them is blurred or noisy. */
function detailAgreement({ part, whole }: Pair, box: Box, start: Warp): number | undefined {
  const { sketch: inPart } = part;
  const { sketch: inWhole } = whole;
  const most = Math.sqrt(
    Math.min(inPart.width, inWhole.width * box.width) * Math.min(inPart.height, inWhole.height * box.height),
  );
  const rough = sized({ part, whole }, { box, side: Math.min(most, LAST_REFINEMENT.side) });
  const { warp } = refinedWarp(rough.field, rough.patch, start, LAST_REFINEMENT.steps);
  let agreement: number | undefined;
  for (let halving = 0, side = most; halving <= HALVINGS; halving++, side /= 2) {
    const { patch, field } = sized({ part, whole }, { box, side });
    const under = warped(field, patch, warp);
    const compared = compareDetail(patch, under.values, under.inside);
    agreement = compared?.agreement ?? agreement;
    if (compared !== undefined && !compared.isUneven) break;
  }
  return agreement;
}

/** Both pictures at a size at which the part has about `side` squared pixels, and as many as what is under the box. */
type Sized = { readonly patch: Plane; readonly field: Plane };

function sized({ part, whole }: Pair, { box, side }: { readonly box: Box; readonly side: number }): Sized {
  const scale = side / Math.sqrt(part.sketch.width * part.sketch.height);
  const least = (pixels: number): number => Math.max(8, Math.round(pixels));
  const patch = atSize(part, least(part.sketch.width * scale), least(part.sketch.height * scale));
  return { patch, field: atSize(whole, least(patch.width / box.width), least(patch.height / box.height)) };
}

/** Whether two alignments put the same pixels on each other. */
function isSamePlace(
  a: Pick<Alignment, 'mirrored' | 'query' | 'stored'>,
  b: Pick<Alignment, 'mirrored' | 'query' | 'stored'>,
): boolean {
  const corner = ({ query, stored }: typeof a, at: 0 | 1): readonly [number, number] => [
    stored.x + ((at - query.x) / query.width) * stored.width,
    stored.y + ((at - query.y) / query.height) * stored.height,
  ];
  if (a.mirrored !== b.mirrored) return false;
  return ([0, 1] as const).every((at) =>
    corner(a, at).every((value, axis) => Math.abs(value - corner(b, at)[axis]!) < SAME_PLACE),
  );
}
