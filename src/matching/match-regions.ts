/** Which parts of two pictures look alike to an encoder: its local feature maps, cell against cell. */
import type { Box } from './grey-plane.js';

/** An encoder's feature map: [channels, height, width]. */
export type FeatureGrid = {
  readonly channels: number;
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
};

/**
 * A part of either picture, in fractions of the encoder's input, and their likeness: mean cosine of its cells, -1..1.
 */
export type RegionPair = { readonly a: Box; readonly b: Box; readonly similarity: number };

/**
 * Less alike cells are not paired. Cells of the same place in a copy lie above 0.8, the best of chance at 0.3 to 0.5.
 */
const CELL_SIMILARITY_MIN = 0.5;
/** The same of a cell that stands alone: neighbours do not bear it out. */
const LONE_CELL_SIMILARITY_MIN = 0.7;
/** Pairs answered at most. */
const REGIONS_MAX = 5;

/**
 * Corresponding parts, best first: cells that are each other's nearest, joined where they are neighbours in both
 * pictures (so also in mirrored or turned copies), as bounding boxes. The mean cell of both pictures is subtracted
 * first: what all cells share says nothing about one. Empty where nothing is alike. Source of the criterion: mutual
 * nearest neighbours, Rocco et al. 2018.
 */
export function matchRegions(a: FeatureGrid, b: FeatureGrid): RegionPair[] {
  const pairs = mutualNearest(unitCells(a, b), { widthA: a.width, widthB: b.width, channels: a.channels });
  return connected(pairs)
    .filter(([first, second]) => second !== undefined || first!.similarity >= LONE_CELL_SIMILARITY_MIN)
    .map((group) => ({ group, weight: group.reduce((sum, { similarity }) => sum + similarity, 0) }))
    .sort((left, right) => right.weight - left.weight)
    .slice(0, REGIONS_MAX)
    .map(({ group, weight }) => ({
      a: boxAround(group, 'a', a),
      b: boxAround(group, 'b', b),
      similarity: weight / group.length,
    }));
}

type Place = { readonly x: number; readonly y: number };
type CellPair = { readonly a: Place; readonly b: Place; readonly similarity: number };

/** The cells of both grids less their common mean, at length 1: [cells, channels] each. */
function unitCells(a: FeatureGrid, b: FeatureGrid): readonly [Float32Array, Float32Array] {
  const { channels } = a;
  const mean = new Float64Array(channels);
  for (const { width, height, values } of [a, b]) {
    const cells = width * height;
    for (let at = 0; at < values.length; at++) mean[Math.floor(at / cells)]! += values[at]! / cells / 2;
  }
  const unit = ({ width, height, values }: FeatureGrid): Float32Array => {
    const cells = width * height;
    const rows = new Float32Array(values.length);
    for (let cell = 0; cell < cells; cell++) {
      let squares = 0;
      for (let channel = 0; channel < channels; channel++)
        squares += (values[channel * cells + cell]! - mean[channel]!) ** 2;
      const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
      for (let channel = 0; channel < channels; channel++)
        rows[cell * channels + channel] = (values[channel * cells + cell]! - mean[channel]!) * scale;
    }
    return rows;
  };
  return [unit(a), unit(b)];
}

/** Pairs of cells that are each other's nearest and alike enough. */
function mutualNearest(
  [a, b]: readonly [Float32Array, Float32Array],
  { widthA, widthB, channels }: { readonly widthA: number; readonly widthB: number; readonly channels: number },
): CellPair[] {
  const [countA, countB] = [a.length / channels, b.length / channels];
  const nearestOfA = new Int32Array(countA);
  const nearestOfB = new Int32Array(countB);
  const bestOfA = new Float32Array(countA).fill(-2);
  const bestOfB = new Float32Array(countB).fill(-2);
  for (let left = 0; left < countA; left++) {
    for (let right = 0; right < countB; right++) {
      let similarity = 0;
      for (let i = left * channels, j = right * channels; i < (left + 1) * channels; i++, j++)
        similarity += a[i]! * b[j]!;
      similarity = Math.fround(similarity);
      if (similarity > bestOfA[left]!) [bestOfA[left], nearestOfA[left]] = [similarity, right];
      if (similarity > bestOfB[right]!) [bestOfB[right], nearestOfB[right]] = [similarity, left];
    }
  }
  const pairs: CellPair[] = [];
  for (const [left, right] of nearestOfA.entries()) {
    const similarity = bestOfA[left]!;
    if (nearestOfB[right] !== left || similarity < CELL_SIMILARITY_MIN) continue;
    pairs.push({ a: placeOf(left, widthA), b: placeOf(right, widthB), similarity });
  }
  return pairs;
}

/** Groups of pairs whose places touch on both sides. */
function connected(pairs: readonly CellPair[]): CellPair[][] {
  const left = new Set(pairs);
  const groups: CellPair[][] = [];
  for (const seed of pairs) {
    if (!left.delete(seed)) continue;
    const group = [seed];
    for (const member of group) {
      for (const other of left) {
        if (!touches(member.a, other.a) || !touches(member.b, other.b)) continue;
        left.delete(other);
        group.push(other);
      }
    }
    groups.push(group);
  }
  return groups;
}

function touches(one: Place, other: Place): boolean {
  return Math.abs(one.x - other.x) <= 1 && Math.abs(one.y - other.y) <= 1;
}

function boxAround(pairs: readonly CellPair[], side: 'a' | 'b', { width, height }: FeatureGrid): Box {
  const [xs, ys] = [pairs.map((pair) => pair[side].x), pairs.map((pair) => pair[side].y)];
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return {
    x: left / width,
    y: top / height,
    width: (Math.max(...xs) - left + 1) / width,
    height: (Math.max(...ys) - top + 1) / height,
  };
}

function placeOf(cell: number, width: number): Place {
  return { x: cell % width, y: Math.floor(cell / width) };
}
