/** A picture that shows faults of preprocessing: edges, fine lines, slopes and colours, unlike on every side. */
import sharp from 'sharp';
import { seededRandom } from '../seeded-random.js';

const WIDTH = 480;
const HEIGHT = 360;
/** Side of a tile; each has a colour and a pattern. */
const TILE = 40;
const COLUMNS = WIDTH / TILE;
const ROWS = HEIGHT / TILE;

/** What a pattern adds to the colour of its tile. */
type Pattern = (x: number, y: number) => number;

const flat: Pattern = () => 0;
/** Upright lines, finer to the right: where they end depends on the kernel of a resize and on its antialias. */
const lines: Pattern = (x) => (Math.floor(x / (1 + Math.floor((WIDTH - x) / 60))) % 2 === 0 ? 90 : -90);
/** Brighter to the upper right: crops, and pictures that are turned or mirrored, differ in their means. */
const slope: Pattern = (x, y) => (180 * (x - y)) / WIDTH - 45;

const PATTERNS = [flat, lines, slope];

/**
 * The chart as a PNG file of 480x360, always the same. Turned, mirrored, cropped or with its channels exchanged it is
 * another picture.
 */
export async function testChart(): Promise<Uint8Array> {
  const random = seededRandom(480);
  const colours = Array.from({ length: COLUMNS * ROWS }, () => [random(), random(), random()]);
  const rgb = new Uint8Array(WIDTH * HEIGHT * 3);
  for (let at = 0; at < rgb.length; at++) {
    const pixel = Math.floor(at / 3);
    const [x, y] = [pixel % WIDTH, Math.floor(pixel / WIDTH)];
    const tile = Math.floor(y / TILE) * COLUMNS + Math.floor(x / TILE);
    const value = 255 * colours[tile]![at % 3]! + PATTERNS[tile % PATTERNS.length]!(x, y);
    rgb[at] = Math.max(0, Math.min(255, value));
  }
  return sharp(rgb, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } })
    .png({ compressionLevel: 9 })
    .toBuffer();
}
