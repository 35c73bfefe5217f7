/**
 * What alignment calls a copy, on documents of one layout, captions and bars: the kinds that defeat a look at broad
 * shapes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import { attackImage, type CopyAttack } from '../../src/images/copy-attacks.js';
import { type Sketch, sketchOfThumbnail } from '../../src/images/sketch.js';
import { type Alignment, alignmentPicture, alignmentQuery, alignPictures } from '../../src/matching/align-pictures.js';
import { EDITED_AGREEMENT_MIN } from '../../src/matching/copy-verdict.js';
import { syntheticPicture, toSharp } from '../images/pictures.js';
import { type DocumentKind, drawnDocument, HELD_OUT_KINDS, TUNED_KINDS } from './drawn-documents.js';

const KINDS: readonly DocumentKind[] = [...TUNED_KINDS, ...HELD_OUT_KINDS];
const OF_EACH_KIND = 2;
const EDITS: readonly CopyAttack[] = ['jpeg-60', 'half-size', 'crop-90', 'grey'];

async function sketchOf(picture: Uint8Array): Promise<Sketch> {
  const thumbnail = await sharp(picture)
    .resize(256, 256, { fit: 'inside', withoutEnlargement: true })
    .webp({ quality: 80 })
    .toBuffer();
  return await sketchOfThumbnail(thumbnail);
}

const aligned = async (query: Uint8Array, stored: Uint8Array): Promise<Alignment | undefined> =>
  alignPictures(alignmentQuery(await sketchOf(query)), await sketchOf(stored));

const isCopy = (alignment: Alignment | undefined): boolean => (alignment?.agreement ?? 0) >= EDITED_AGREEMENT_MIN;

test('different documents of one layout are no copies, and those that align contradict each other', async () => {
  for (const kind of KINDS) {
    const sketches = await Promise.all(
      Array.from({ length: OF_EACH_KIND }, async (_, at) => await sketchOf(await drawnDocument(kind, at))),
    );
    const pictures = sketches.map((sketch) => alignmentPicture(sketch));
    for (const [at, sketch] of sketches.entries()) {
      const query = alignmentQuery(sketch);
      for (const [other, picture] of pictures.entries()) {
        const found = alignPictures(query, picture);
        const what = `${kind} ${at}, ${other}: ${JSON.stringify(found)}`;
        assert.equal(isCopy(found), at === other, what);
      }
    }
  }
});

test('a document that was coded, halved, cropped or tilted by a scanner is a copy', async () => {
  let [found, tried] = [0, 0];
  const missed: string[] = [];
  for (const kind of KINDS) {
    const bytes = await drawnDocument(kind, 0);
    const stored = await sketchOf(bytes);
    const tilted = await sharp(bytes).rotate(2, { background: 'white' }).jpeg({ quality: 85 }).toBuffer();
    const edits = await Promise.all(EDITS.map((attack) => attackImage({ bytes, attack, seed: 1 })));
    for (const [at, edit] of [...edits, tilted].entries()) {
      tried++;
      const isFound = isCopy(alignPictures(alignmentQuery(await sketchOf(edit)), stored));
      if (isFound) found++;
      else missed.push(`${kind} ${EDITS[at] ?? 'tilt'}`);
    }
  }
  assert.ok(found >= 0.9 * tried, `${found} of ${tried}; missed: ${missed.join(', ')}`);
});

const WIDTH = 320;
const HEIGHT = 240;
const photograph = (seed: number): Sharp => toSharp(syntheticPicture({ width: WIDTH, height: HEIGHT, seed }));

test('a word stamped over a picture leaves it a copy', async () => {
  const bytes = await photograph(1).png().toBuffer();
  const stamped = await attackImage({ bytes, attack: 'text', seed: 3 });
  assert.ok(isCopy(await aligned(stamped, bytes)));
});

test('bars on two sides do not make copies of different pictures', async () => {
  const framed = async (seed: number): Promise<Buffer> =>
    await photograph(seed).blur(6).extend({ left: 80, right: 80, background: 'white' }).png().toBuffer();
  const stored = await framed(1);
  for (let seed = 2; seed < 8; seed++)
    assert.equal(isCopy(await aligned(await framed(seed), stored)), false, `seed ${seed}`);
});

test('flat pictures and smooth gradients are never aligned', async () => {
  const flat = await sharp({ create: { width: 200, height: 160, channels: 3, background: '#fff' } })
    .png()
    .toBuffer();
  const ramp = Uint8Array.from({ length: 200 * 160 }, (_, at) => at % 200);
  const gradient = await sharp(ramp, { raw: { width: 200, height: 160, channels: 1 } })
    .png()
    .toBuffer();
  assert.equal(await aligned(flat, flat), undefined);
  assert.equal(await aligned(gradient, gradient), undefined);
});
