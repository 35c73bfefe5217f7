/**
 * The sheet that shows how an encoder sees: rows of one query and its nearest neighbours, in one picture. It is how
 * Deep InfoMax results are judged by eye, and it says what no mean accuracy does.
 */
import sharp from 'sharp';
import {
  type Canvas,
  CHARACTER_HEIGHT,
  CHARACTER_WIDTH,
  type Colour,
  drawText,
  fillRectangle,
} from '../../images/bitmap-text.js';
import type { Pixels } from '../../images/pixels.js';

/** One neighbour. score: cosine similarity or minus a distance; sameClass: undefined where there are no labels. */
type SheetNeighbour = {
  readonly pixels: Pixels;
  readonly score: number;
  readonly sameClass?: boolean | undefined;
};

/**
 * One row. caption stands under the query: its class, say. All rows of a sheet show equally many neighbours, or the
 * last stay empty.
 */
export type SheetRow = {
  readonly query: Pixels;
  readonly caption: string;
  readonly neighbours: readonly SheetNeighbour[];
};

/** The sheet as a picture. */
export type Sheet = {
  readonly bytes: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly mediaType: string;
};

const GROUND: Colour = [255, 255, 255];
const INK: Colour = [45, 48, 54];
const FRAMES = {
  query: [31, 78, 160],
  same: [26, 140, 84],
  other: [205, 92, 48],
  plain: [208, 212, 218],
} as const satisfies Record<string, Colour>;
const FRAME_WIDTH = 3;
const GAP = 10;
const TEXT_SCALE = 2;
const CAPTION_HEIGHT = CHARACTER_HEIGHT * TEXT_SCALE + 8;
/** Pictures up to half the tile are enlarged by whole pixels, so that one sees what the encoder saw. */
const CRISP_SHARE = 0.5;

/**
 * Draws the rows. tileSize: longest side of each picture in pixels. The query is framed blue and stands apart;
 * neighbours are framed green (same class) or orange (another class), or grey without labels, with the score
 * under each.
 */
export async function neighbourSheet(options: {
  readonly rows: readonly SheetRow[];
  readonly tileSize?: number;
  readonly format?: 'png' | 'webp';
}): Promise<Sheet> {
  const { rows, tileSize = 96, format = 'webp' } = options;
  const columns = 1 + Math.max(0, ...rows.map((row) => row.neighbours.length));
  const cell = { width: tileSize + 2 * FRAME_WIDTH + GAP, height: tileSize + 2 * FRAME_WIDTH + CAPTION_HEIGHT + GAP };
  const width = columns * cell.width + 2 * GAP; // one gap more after the query
  const height = rows.length * cell.height + GAP;
  const canvas: Canvas = { width, height, rgb: new Uint8Array(width * height * 3) };
  fillRectangle(canvas, { left: 0, top: 0, width, height, colour: GROUND });
  for (const [index, row] of rows.entries()) {
    const top = GAP + index * cell.height;
    await drawTile(canvas, { left: GAP, top, tileSize, pixels: row.query, frame: FRAMES.query, caption: row.caption });
    for (const [place, neighbour] of row.neighbours.entries()) {
      const left = 2 * GAP + (place + 1) * cell.width;
      const frame = neighbour.sameClass === undefined ? FRAMES.plain : neighbour.sameClass ? FRAMES.same : FRAMES.other;
      await drawTile(canvas, {
        left,
        top,
        tileSize,
        pixels: neighbour.pixels,
        frame,
        caption: formatScore(neighbour.score),
      });
    }
  }
  const picture = sharp(canvas.rgb, { raw: { width, height, channels: 3 } });
  const bytes = format === 'png' ? await picture.png().toBuffer() : await picture.webp({ quality: 85 }).toBuffer();
  return { bytes, width, height, mediaType: `image/${format}` };
}

type Tile = {
  readonly left: number;
  readonly top: number;
  readonly tileSize: number;
  readonly pixels: Pixels;
  readonly frame: Colour;
  readonly caption: string;
};

async function drawTile(canvas: Canvas, tile: Tile): Promise<void> {
  const { left, top, tileSize, frame } = tile;
  const side = tileSize + 2 * FRAME_WIDTH;
  const picture = await fitted(tile.pixels, tileSize);
  // The frame hugs the picture, which is centred in its cell.
  const x = left + FRAME_WIDTH + Math.floor((tileSize - picture.width) / 2);
  const y = top + FRAME_WIDTH + Math.floor((tileSize - picture.height) / 2);
  fillRectangle(canvas, {
    left: x - FRAME_WIDTH,
    top: y - FRAME_WIDTH,
    width: picture.width + 2 * FRAME_WIDTH,
    height: picture.height + 2 * FRAME_WIDTH,
    colour: frame,
  });
  for (let line = 0; line < picture.height; line++) {
    const from = line * picture.width * 3;
    canvas.rgb.set(picture.rgb.subarray(from, from + picture.width * 3), ((y + line) * canvas.width + x) * 3);
  }
  // Long captions are drawn small, and cut where even that is too wide.
  const scale = tile.caption.length * CHARACTER_WIDTH * TEXT_SCALE <= side + GAP ? TEXT_SCALE : 1;
  const text = tile.caption.slice(0, Math.floor(side / (CHARACTER_WIDTH * scale)) + 1);
  const textLeft = left + Math.floor((side - text.length * CHARACTER_WIDTH * scale) / 2);
  drawText(canvas, { text, left: textLeft, top: top + side + 4, scale, colour: INK });
}

async function fitted(pixels: Pixels, tileSize: number): Promise<Pixels> {
  const longest = Math.max(pixels.width, pixels.height);
  const isCrisp = longest <= tileSize * CRISP_SHARE;
  const scale = isCrisp ? Math.floor(tileSize / longest) : tileSize / longest;
  const width = Math.max(1, Math.round(pixels.width * scale));
  const height = Math.max(1, Math.round(pixels.height * scale));
  const rgb = await sharp(pixels.rgb, { raw: { width: pixels.width, height: pixels.height, channels: 3 } })
    .resize(width, height, { fit: 'fill', kernel: isCrisp ? 'nearest' : 'lanczos3' })
    .raw()
    .toBuffer();
  return { width, height, rgb };
}

function formatScore(score: number): string {
  return Math.abs(score) < 10 ? score.toFixed(3) : score.toPrecision(4);
}
