import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import { type Alignment, alignmentQuery, alignPictures } from '../../src/matching/align-pictures.js';
import type { Sketch } from '../../src/matching/grey-plane.js';
import { syntheticPicture, toSharp } from '../images/pictures.js';

const WIDTH = 320;
const HEIGHT = 240;

async function sketchOf(picture: Sharp): Promise<Sketch> {
  const { data, info } = await sharp(await picture.png().toBuffer())
    .greyscale()
    .resize({ width: 96, height: 96, fit: 'inside' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, grey: new Uint8Array(data) };
}

const original = (seed = 1): Sharp => toSharp(syntheticPicture({ width: WIDTH, height: HEIGHT, seed }));

async function alignmentOf(query: Sharp, stored: Sharp): Promise<Alignment | undefined> {
  return alignPictures(alignmentQuery(await sketchOf(query)), await sketchOf(stored));
}

test('a crop is found where it was cut out', async () => {
  const crop = { left: 60, top: 30, width: 220, height: 160 };
  const found = await alignmentOf(original().extract(crop), original());
  assert.ok(found && found.agreement > 0.8, JSON.stringify(found));
  assert.equal(found.mirrored, false);
  assert.deepEqual(found.query, { x: 0, y: 0, width: 1, height: 1 });
  for (const [value, expected] of [
    [found.stored.x, 60 / WIDTH],
    [found.stored.y, 30 / HEIGHT],
    [found.stored.width, 220 / WIDTH],
    [found.stored.height, 160 / HEIGHT],
  ] as const) {
    assert.ok(Math.abs(value - expected) < 0.02, JSON.stringify(found));
  }
});

test('a picture in a wide border is found, and where it lies in the query', async () => {
  const framed = original().extend({ left: 40, right: 20, top: 30, bottom: 30, background: '#336699' });
  const found = await alignmentOf(framed, original());
  assert.ok(found && found.agreement > 0.8, JSON.stringify(found));
  assert.ok(
    Math.abs(found.query.x - 40 / 380) < 0.03 && Math.abs(found.query.width - WIDTH / 380) < 0.03,
    JSON.stringify(found),
  );
});

test('a mirrored crop is found, and its place in the query is that of the picture as it was sent', async () => {
  const left = { left: 0, top: 0, width: 230, height: 180 };
  const mirrored = sharp(await original().flop().png().toBuffer()).extract(left);
  const found = await alignmentOf(mirrored, original());
  assert.ok(found?.mirrored && found.agreement > 0.8, JSON.stringify(found));
  assert.ok(Math.abs(found.stored.x - (WIDTH - 230) / WIDTH) < 0.02, JSON.stringify(found));
  const framed = sharp(await original().flop().png().toBuffer()).extend({
    left: 0,
    right: 80,
    top: 0,
    bottom: 60,
    background: '#fff',
  });
  const within = await alignmentOf(framed, original());
  assert.ok(within?.mirrored && within.query.x < 0.03, JSON.stringify(within));
});

test('light, noise, coarse coding, squeezing and a stamp over the picture leave it a copy', async () => {
  const stamp = await sharp({ create: { width: 200, height: 40, channels: 3, background: '#ffffff' } })
    .png()
    .toBuffer();
  const edits: readonly Sharp[] = [
    original().linear(1.4, 0),
    original().linear(0.5, 10).greyscale(),
    sharp(await original().jpeg({ quality: 20 }).toBuffer()),
    original().composite([{ input: stamp, left: 60, top: 100 }]),
    original().resize({ width: WIDTH, height: Math.round(HEIGHT * 0.9), fit: 'fill' }),
  ];
  for (const [at, edit] of edits.entries()) {
    const found = await alignmentOf(edit, original());
    assert.ok(found && found.agreement > 0.7, `edit ${at}: ${JSON.stringify(found)}`);
  }
});

test('other pictures do not agree, and flat ones say nothing', async () => {
  for (let seed = 2; seed < 14; seed++)
    assert.ok(((await alignmentOf(original(), original(seed)))?.agreement ?? 0) < 0.4, `seed ${seed}`);
  const flat = (): Sharp => sharp({ create: { width: 100, height: 80, channels: 3, background: '#808080' } });
  assert.equal(await alignmentOf(flat(), flat()), undefined);
  assert.equal(await alignmentOf(flat(), original()), undefined);
  const line = { width: 96, height: 1, grey: Uint8Array.from({ length: 96 }, (_, x) => x * 2) };
  assert.equal(alignPictures(alignmentQuery(line), line)?.agreement ?? 0, 0);
});
