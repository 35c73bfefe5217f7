/** Which parts of two pictures look alike to an encoder: its local feature maps, cell against cell. */
import type { Box } from './grey-plane.js';

/** An encoder's feature map: [channels, height, width]. */
export type FeatureGrid = { readonly channels: number; readonly width: number; readonly height: number; readonly values: Float32Array };

/** A part of either picture, in fractions of the encoder's input, and their likeness: mean cosine of its cells, -1..1. */
export type RegionPair = { readonly a: Box; readonly b: Box; readonly similarity: number };

/** Less alike cells are not paired. Cells of the same place in a copy lie above 0.8, the best of chance at 0.3 to 0.5. */
const CELL_SIMILARITY_MIN = 0.5;
/** The same of a cell that stands alone: neighbours do not bear it out. */
const LONE_CELL_SIMILARITY_MIN = 0.7;
/** Pairs answered at most. */
const REGIONS_MAX = 5;

/**
 * The parts that correspond, best first: cells that are each other's nearest, joined where neighbours on one side are neighbours on the other (so also in a
 * mirrored or turned copy), as the boxes about them. Cells are compared less the mean cell of both pictures: what all places share says
 * nothing about one. Empty where nothing is alike. Source of the criterion: mutual nearest neighbours, as in Rocco et al. 2018.
 */
export function matchRegions(a: FeatureGrid, b: FeatureGrid): RegionPair[] {
  const [cellsA, cellsB] = unitCells(a, b);
  const similarities = cellsA.map((left) => cellsB.map((right) => dotOf(left, right)));
  const nearestB = similarities.map((row) => argmax(row));
  const nearestA = cellsB.map((_, at) => argmax(similarities.map((row) => row[at]!)));
  const pairs = nearestB.flatMap((at, from): CellPair[] => {
    const similarity = similarities[from]![at]!;
    if (nearestA[at] !== from || similarity < CELL_SIMILARITY_MIN) return [];
    return [{ a: placeOf(from, a.width), b: placeOf(at, b.width), similarity }];
  });
  return connected(pairs)
    .filter(([first, second]) => second !== undefined || first!.similarity >= LONE_CELL_SIMILARITY_MIN)
    .map((group) => ({
      weight: group.reduce((sum, { similarity }) => sum + similarity, 0),
      pair: {
        a: boxAbout(
          group.map((pair) => pair.a),
          a,
        ),
        b: boxAbout(
          group.map((pair) => pair.b),
          b,
        ),
        similarity: group.reduce((sum, { similarity }) => sum + similarity, 0) / group.length,
      },
    }))
    .sort((left, right) => right.weight - left.weight)
    .slice(0, REGIONS_MAX)
    .map(({ pair }) => pair);
}

type Place = { readonly x: number; readonly y: number };
type CellPair = { readonly a: Place; readonly b: Place; readonly similarity: number };

function unitCells(...grids: readonly [FeatureGrid, FeatureGrid]): [Float32Array[], Float32Array[]] {
  const cellsOf = ({ channels, width, height, values }: FeatureGrid): Float32Array[] =>
    Array.from({ length: width * height }, (_, cell) =>
      Float32Array.from({ length: channels }, (__, channel) => values[channel * width * height + cell]!),
    );
  const [cellsA, cellsB] = [cellsOf(grids[0]), cellsOf(grids[1])];
  const mean = new Float64Array(grids[0].channels);
  for (const cells of [cellsA, cellsB]) {
    for (const cell of cells) for (const [channel, value] of cell.entries()) mean[channel]! += value / cells.length / 2;
  }
  const unit = (cell: Float32Array): Float32Array => {
    const centred = cell.map((value, channel) => value - mean[channel]!);
    const length = Math.hypot(...centred);
    return length > 0 ? centred.map((value) => value / length) : centred;
  };
  return [cellsA.map(unit), cellsB.map(unit)];
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

function boxAbout(places: readonly Place[], { width, height }: FeatureGrid): Box {
  const [xs, ys] = [places.map(({ x }) => x), places.map(({ y }) => y)];
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return { x: left / width, y: top / height, width: (Math.max(...xs) - left + 1) / width, height: (Math.max(...ys) - top + 1) / height };
}

function placeOf(cell: number, width: number): Place {
  return { x: cell % width, y: Math.floor(cell / width) };
}

function argmax(values: readonly number[]): number {
  return values.reduce((best, value, at) => (value > values[best]! ? at : best), 0);
}

function dotOf(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
