/**
 * The closed-form encoder written in loops, from its definition, for small pictures: what the ONNX stages are
 * tested against.
 */

import type { Pixels } from '../../../src/images/pixels.js';
import { seededRandom } from '../../../src/seeded-random.js';
import type { CellProjection, CodeProjection } from '../../../src/training/closed-form/closed-form-graph.js';
import {
  type ClosedFormOptions,
  closedFormGeometry,
  closedFormOptions,
} from '../../../src/training/closed-form/closed-form-options.js';
import type { PatchDictionary } from '../../../src/training/closed-form/patch-dictionary.js';

/** A geometry in which cells cut through places: 6 patches across, a map of 3 x 3, cells of 1.5 places. */
export const SMALL: ClosedFormOptions = closedFormOptions({
  side: 8,
  patch: 3,
  stride: 1,
  atoms: 24,
  threshold: 0.1,
  pool: 2,
  eigenvectors: 6,
  grid: 2,
  dimensions: 4,
  views: 2,
  momentImages: 1000,
});

/** Pictures with structure: two random waves in random colours, and a little noise. */
export function wavyPictures(count: number, side: number, seed: number): Pixels[] {
  const random = seededRandom(seed, 'waves');
  return Array.from({ length: count }, () => {
    const waves = [0, 1].map(() => ({
      x: random() * 2 - 1,
      y: random() * 2 - 1,
      phase: random() * 6,
      colour: [random(), random(), random()],
    }));
    const rgb = new Uint8Array(side * side * 3);
    for (let at = 0; at < rgb.length; at++) {
      const [x, y] = [Math.floor(at / 3) % side, Math.floor(at / 3 / side)];
      const light = waves.reduce(
        (sum, wave) => sum + wave.colour[at % 3]! * Math.sin(wave.x * x + wave.y * y + wave.phase),
        0,
      );
      rgb[at] = Math.max(0, Math.min(255, 128 + 45 * light + 20 * (random() - 0.5)));
    }
    return { width: side, height: side, rgb };
  });
}

/** Left and right exchanged. */
export function mirrored({ width, height, rgb }: Pixels): Pixels {
  const flipped = new Uint8Array(rgb.length);
  for (let at = 0; at < rgb.length; at++) {
    const place = Math.floor(at / 3);
    flipped[at] = rgb[(Math.floor(place / width) * width + (width - 1 - (place % width))) * 3 + (at % 3)]!;
  }
  return { width, height, rgb: flipped };
}

/** Sparse codes [P][P][K]. */
export function referenceCodes(picture: Pixels, dictionary: PatchDictionary, options: ClosedFormOptions): number[][][] {
  const { patch, stride, atoms, threshold } = options;
  const { patchesAcross } = closedFormGeometry(options);
  const size = 3 * patch * patch;
  return range(patchesAcross).map((row) =>
    range(patchesAcross).map((column) => {
      const values = range(size).map((at) => {
        const [channel, y, x] = [Math.floor(at / (patch * patch)), Math.floor(at / patch) % patch, at % patch];
        return picture.rgb[((row * stride + y) * picture.width + column * stride + x) * 3 + channel]! / 255 - 0.5;
      });
      const whitened = range(size).map((i) =>
        values.reduce((sum, value, j) => sum + dictionary.whitening[i * size + j]! * value, 0),
      );
      const norm = Math.max(Math.hypot(...whitened), 0.1);
      return range(atoms).map((atom) => {
        const cosine = whitened.reduce((sum, value, i) => sum + (value / norm) * dictionary.atoms[atom * size + i]!, 0);
        return Math.max(0, cosine - threshold);
      });
    }),
  );
}

/** Local embeddings [S][S][E]. */
export function referenceFeatures(
  codes: number[][][],
  projection: CodeProjection,
  options: ClosedFormOptions,
): number[][][] {
  const { pool, atoms, eigenvectors } = options;
  const { mapSide } = closedFormGeometry(options);
  return range(mapSide).map((row) =>
    range(mapSide).map((column) => {
      const pooled = range(atoms).map((atom) => {
        let sum = 0;
        for (const y of range(pool))
          for (const x of range(pool)) sum += codes[row * pool + y]![column * pool + x]![atom]!;
        return sum / (pool * pool);
      });
      return unit(
        range(eigenvectors).map((e) =>
          pooled.reduce((sum, value, k) => sum + projection.weights[e * atoms + k]! * value, projection.offsets[e]!),
        ),
      );
    }),
  );
}

/**
 * Averages over the cells of the left half, of the picture and of its mirror image, which is encoded in its own right.
 */
export function referenceCells(
  picture: Pixels,
  parts: { dictionary: PatchDictionary; codes: CodeProjection; options: ClosedFormOptions },
): number[] {
  const { dictionary, codes, options } = parts;
  const { eigenvectors, grid } = options;
  const both = [picture, mirrored(picture)].map((each) =>
    referenceFeatures(referenceCodes(each, dictionary, options), codes, options),
  );
  // Fine enough that every cell is a whole number of samples.
  const samples = closedFormGeometry(options).mapSide * grid;
  const cell = samples / grid;
  const cells: number[] = [];
  for (const e of range(eigenvectors)) {
    for (const row of range(grid)) {
      for (const column of range(grid / 2)) {
        let sum = 0;
        for (const map of both)
          for (const y of range(cell))
            for (const x of range(cell)) sum += at(map, row * cell + y, column * cell + x, e);
        cells.push(sum / (2 * cell * cell));
      }
    }
  }
  return cells;

  function at(map: number[][][], y: number, x: number, e: number): number {
    return map[Math.floor(y / grid)]![Math.floor(x / grid)]![e]!;
  }
}

/** The embedding, of norm 1. */
export function referenceEmbedding(cells: readonly number[], projection: CellProjection, dimensions: number): number[] {
  return unit(
    range(dimensions).map((d) =>
      cells.reduce((sum, value, f) => sum + projection.weights[f * dimensions + d]! * value, projection.offsets[d]!),
    ),
  );
}

function unit(values: number[]): number[] {
  const norm = Math.hypot(...values);
  return values.map((value) => value / norm);
}

export function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index);
}
