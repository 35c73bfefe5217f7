/**
 * Do two aligned pictures show the same detail? Documents of one layout share rules, frames and headings and differ in
 * a few lines of text, so the blocks where pictures differ decide, not the median block.
 */
import type { Plane } from './grey-plane.js';

/** Side of a block in pixels: two lines of small print on a thumbnail. */
const BLOCK = 12;
/**
 * Root mean square gradients, in grey levels a pixel, from which on a block has detail, highest first: the first one
 * that leaves enough blocks is used, so that soft pictures can be compared and noise is ignored in sharp ones.
 */
const DETAIL_MIN = [6, 3.5, 2] as const;
/** Blocks with less correlation of their gradients contradict each other. */
const CORRELATION_MIN = 0.6;
/** With fewer blocks of detail, or all of them in fewer of 4 x 4 parts of the picture, nothing is said. */
const BLOCKS_MIN = 8;
const PARTS_MIN = 4;
/**
 * If the median block of one picture has less of the other's energy than this, one of them is blurred or was enlarged.
 */
const ENERGY_RATIO_MIN = 0.35;
/**
 * The quiet blocks of a noisy picture, by quantile; their gradients, in grey levels a pixel and times those of the
 * other picture.
 */
const NOISE = { quantile: 0.2, gradientMin: 1.5, ratioMin: 1.4 } as const;
/**
 * Contradicting blocks of an overlay (a stamp, a caption): share of all at most, share that has more detail in the
 * same picture, area; and of a plain label: least blocks within its rim, and how many times the energy of the label
 * they have.
 */
const OVERLAY = { shareMax: 0.55, oneSidedMin: 0.92, areaMax: 0.2, labelBlocksMin: 6, labelRatio: 9 } as const;
/** Agreement lost by each contradicting block, in shares of all, and by each of an overlay. */
const LOSS = { scattered: 10, overlay: 0.54 } as const;
/** Share of outermost contradicting blocks on each side that the extent of an overlay ignores. */
const OUTLIERS = 0.03;

/**
 * `agreement`: 0..1, 1 where no block contradicts. `isUneven`: one picture is blurred, was enlarged or is noisy and
 * the other is not, so smaller ones should be compared.
 */
export type DetailComparison = { readonly agreement: number; readonly isUneven: boolean };

/** What the pictures say of one block: its place, the correlation of gradients, and the energy of either picture. */
type Block = {
  readonly column: number;
  readonly row: number;
  readonly detail: number;
  readonly correlation: number;
  readonly energyA: number;
  readonly energyB: number;
};

/**
 * Compares pictures of equal size pixel by pixel, where `inside` is not 0. A block counts if either picture has
 * gradients both across and down (the edge of a bar or a ruled line says nothing), and its correlation is the lesser
 * of the two directions. Undefined where too few blocks count. Contradictions may be as many as {@link OVERLAY} says
 * if they look like one thing put over one of the pictures.
 */
export function compareDetail(a: Plane, b: Float32Array, inside: Uint8Array): DetailComparison | undefined {
  const all = blocksOf(a, b, inside);
  for (const detailMin of DETAIL_MIN) {
    const blocks = all.filter(({ detail }) => detail >= detailMin);
    if (blocks.length < BLOCKS_MIN) continue;
    const found = compared(blocks, { across: a.width / BLOCK, down: a.height / BLOCK });
    return found && { ...found, isUneven: found.isUneven || isNoisier(all) };
  }
  return undefined;
}

function compared(
  blocks: readonly Block[],
  size: { readonly across: number; readonly down: number },
): DetailComparison | undefined {
  const parts = new Set(
    blocks.map(({ column, row }) => 4 * Math.floor((4 * row) / size.down) + Math.floor((4 * column) / size.across)),
  );
  if (parts.size < PARTS_MIN) return undefined;
  const ratios = blocks.map(({ energyA, energyB }) => energyA / (energyB + 1e-3)).sort((p, q) => p - q);
  const ratio = ratios[ratios.length >> 1]!;
  const isUneven = ratio < ENERGY_RATIO_MIN || ratio * ENERGY_RATIO_MIN > 1;
  const contradicting = blocks.filter(({ correlation }) => correlation < CORRELATION_MIN);
  const share = contradicting.length / blocks.length;
  const scattered = 1 - LOSS.scattered * share;
  const agreement = isOverlay(contradicting, share, size) ? Math.max(scattered, 1 - LOSS.overlay * share) : scattered;
  return { agreement: Math.max(0, agreement), isUneven };
}

/** Whether one picture has gradients even where it is quietest, and the other has less. */
function isNoisier(all: readonly Block[]): boolean {
  const quiet = (energies: readonly number[]): number => {
    const sorted = energies.toSorted((p, q) => p - q);
    return Math.sqrt(sorted[Math.floor(NOISE.quantile * sorted.length)]! / 2) / BLOCK;
  };
  const [a, b] = [quiet(all.map(({ energyA }) => energyA)), quiet(all.map(({ energyB }) => energyB))];
  return Math.max(a, b) >= NOISE.gradientMin && Math.max(a, b) >= NOISE.ratioMin * Math.min(a, b);
}

/**
 * Whether contradicting blocks lie together and all but a few have more detail in the same picture, as under a word;
 * or, but for those at the rim, have next to none in the other, as under a plain label.
 */
function isOverlay(
  contradicting: readonly Block[],
  share: number,
  { across, down }: { readonly across: number; readonly down: number },
): boolean {
  const columns = extent(contradicting.map(({ column }) => column));
  const rows = extent(contradicting.map(({ row }) => row));
  const area = ((columns.last - columns.first) / across) * ((rows.last - rows.first) / down);
  if (share > OVERLAY.shareMax || area > OVERLAY.areaMax) return false;
  const within = contradicting.filter(
    ({ column, row }) => column > columns.first && column < columns.last && row > rows.first && row < rows.last,
  );
  return (
    isOneSided(contradicting, 1) || (within.length >= OVERLAY.labelBlocksMin && isOneSided(within, OVERLAY.labelRatio))
  );
}

/** Whether enough of the blocks have so many times the energy in the same picture. */
function isOneSided(blocks: readonly Block[], ratio: number): boolean {
  const inA = blocks.filter(({ energyA, energyB }) => energyA > ratio * energyB).length;
  const inB = blocks.filter(({ energyA, energyB }) => energyB > ratio * energyA).length;
  return Math.max(inA, inB) >= OVERLAY.oneSidedMin * blocks.length;
}

/** First and last place, but for outliers. */
function extent(places: readonly number[]): { readonly first: number; readonly last: number } {
  const sorted = places.toSorted((p, q) => p - q);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { first: at(OUTLIERS), last: at(1 - OUTLIERS) };
}

/** All blocks within both pictures. */
function blocksOf(a: Plane, b: Float32Array, inside: Uint8Array): Block[] {
  const { width, height } = a;
  const planes = { width, a: gradients(a.values, width, height), b: gradients(b, width, height) };
  // Alignments are off by a fraction of a pixel: a block that disagrees is tried a pixel further.
  const shifts = [-1, 1, -width, width, -width - 1, -width + 1, width - 1, width + 1];
  const [columns, rows] = [Math.floor(width / BLOCK), Math.floor(height / BLOCK)];
  const [left, top] = [(width - columns * BLOCK) >> 1, (height - rows * BLOCK) >> 1];
  const least = (DETAIL_MIN.at(-1)! * BLOCK) ** 2;
  const blocks: Block[] = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const first = (top + row * BLOCK) * width + left + column * BLOCK;
      const last = first + (BLOCK - 1) * (width + 1);
      const corners = inside[first]! + inside[first + BLOCK - 1]! + inside[last - BLOCK + 1]! + inside[last]!;
      if (corners < 4) continue;
      const products = productsOf(planes, first, 0);
      const { acrossA: xaa, acrossB: xbb, downA: yaa, downB: ybb } = products;
      const energy = Math.min(Math.max(xaa, xbb), Math.max(yaa, ybb));
      let correlation = correlationOf(products);
      for (const shift of shifts) {
        if (energy < least || correlation >= CORRELATION_MIN) break;
        if (first + shift < 0 || last + shift >= b.length) continue;
        correlation = Math.max(correlation, correlationOf(productsOf(planes, first, shift)));
      }
      blocks.push({
        column,
        row,
        correlation,
        detail: Math.sqrt(energy) / BLOCK,
        energyA: xaa + yaa,
        energyB: xbb + ybb,
      });
    }
  }
  return blocks;
}

type Gradients = { readonly across: Float32Array; readonly down: Float32Array };
type Products = {
  readonly acrossA: number;
  readonly acrossB: number;
  readonly across: number;
  readonly downA: number;
  readonly downB: number;
  readonly down: number;
};

/** Sums of squares and products over the block of A that begins at `first` and the one of B a `shift` further. */
function productsOf(
  { width, a, b }: { readonly width: number; readonly a: Gradients; readonly b: Gradients },
  first: number,
  shift: number,
): Products {
  let [acrossA, acrossB, across, downA, downB, down] = [0, 0, 0, 0, 0, 0];
  for (let row = 0, start = first; row < BLOCK; row++, start += width) {
    for (let at = start; at < start + BLOCK; at++) {
      const xa = a.across[at]!;
      const xb = b.across[at + shift]!;
      const ya = a.down[at]!;
      const yb = b.down[at + shift]!;
      acrossA += xa * xa;
      acrossB += xb * xb;
      across += xa * xb;
      downA += ya * ya;
      downB += yb * yb;
      down += ya * yb;
    }
  }
  return { acrossA, acrossB, across, downA, downB, down };
}

/** The lesser correlation of the two directions. The 1 only keeps a flat block from dividing by 0. */
function correlationOf({ acrossA, acrossB, across, downA, downB, down }: Products): number {
  return Math.min(across / Math.sqrt(acrossA * acrossB + 1), down / Math.sqrt(downA * downB + 1));
}

/** Sobel's gradients across and down, in grey levels a pixel; 0 at the border. */
function gradients(values: Float32Array, width: number, height: number): Gradients {
  const across = new Float32Array(values.length);
  const down = new Float32Array(values.length);
  for (let y = 1; y < height - 1; y++) {
    for (let at = y * width + 1; at < (y + 1) * width - 1; at++) {
      const northWest = values[at - width - 1]!;
      const northEast = values[at - width + 1]!;
      const southWest = values[at + width - 1]!;
      const southEast = values[at + width + 1]!;
      across[at] = (northEast - northWest + 2 * (values[at + 1]! - values[at - 1]!) + southEast - southWest) / 8;
      down[at] = (southWest - northWest + 2 * (values[at + width]! - values[at - width]!) + southEast - northEast) / 8;
    }
  }
  return { across, down };
}
