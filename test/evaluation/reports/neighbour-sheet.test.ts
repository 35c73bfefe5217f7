import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { neighbourSheet } from '../../../src/evaluation/reports/neighbour-sheet.js';
import type { Pixels } from '../../../src/images/pixels.js';

const flat = (width: number, height: number, colour: readonly [number, number, number]): Pixels => ({
  width,
  height,
  rgb: Uint8Array.from({ length: width * height * 3 }, (_, i) => colour[i % 3]!),
});

test('a sheet has a row per query, frames by class, and pictures centred in their own shape', async () => {
  const red = flat(8, 8, [200, 0, 0]);
  const wide = flat(200, 100, [0, 0, 200]);
  const rows = [
    {
      query: red,
      caption: 'horse',
      neighbours: [
        { pixels: wide, score: 0.9, sameClass: true },
        { pixels: red, score: 0.5, sameClass: false },
      ],
    },
    { query: wide, caption: 'a name too long for its tile by far', neighbours: [{ pixels: red, score: -0.1 }] },
  ];
  const sheet = await neighbourSheet({ rows, tileSize: 64, format: 'png' });
  assert.equal(sheet.mediaType, 'image/png');
  const { data, info } = await sharp(sheet.bytes).raw().toBuffer({ resolveWithObject: true });
  assert.deepEqual([info.width, info.height], [sheet.width, sheet.height]);
  const colours = new Map<string, number>();
  for (let i = 0; i < data.length; i += 3) {
    const colour = `${data[i]},${data[i + 1]},${data[i + 2]}`;
    colours.set(colour, (colours.get(colour) ?? 0) + 1);
  }
  // 8 x 8 is enlarged by whole pixels to 64 x 64, three times; 200 x 100 shrinks to 64 x 32, twice.
  assert.equal(colours.get('200,0,0'), 3 * 64 * 64);
  assert.equal(colours.get('0,0,200'), 2 * 64 * 32);
  const frameArea = (width: number, height: number) => (width + 6) * (height + 6) - width * height;
  assert.equal(colours.get('31,78,160'), frameArea(64, 64) + frameArea(64, 32), 'query');
  assert.equal(colours.get('26,140,84'), frameArea(64, 32), 'same class');
  assert.equal(colours.get('205,92,48'), frameArea(64, 64), 'other class');
  assert.equal(colours.get('208,212,218'), frameArea(64, 64), 'no class known');
  assert.ok((colours.get('45,48,54') ?? 0) > 200, 'captions are drawn');
});

test('the same sheet is the same bytes, as WebP by default', async () => {
  const rows = [{ query: flat(5, 5, [1, 2, 3]), caption: 'x', neighbours: [] }];
  const [first, second] = [await neighbourSheet({ rows }), await neighbourSheet({ rows })];
  assert.deepEqual(first.bytes, second.bytes);
  assert.equal((await sharp(first.bytes).metadata()).format, 'webp');
});
