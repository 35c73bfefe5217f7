/**
 * Metadata go, pixels stay: pictures of every kept kind, then random damage, then every file of the corpus of bad
 * images that decodes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import type { ImageFormat } from '../../../src/images/image-decoder.js';
import { stripMetadata } from '../../../src/images/metadata/strip-metadata.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { syntheticPicture, toSharp } from '../pictures.js';
import { BETRAYAL, betrayals, SECRET, withSecrets } from './secret-pictures.js';

const SEED = 30;
const KINDS: readonly {
  readonly name: string;
  readonly format: ImageFormat;
  readonly encode: (picture: Sharp) => Sharp;
}[] = [
  { name: 'baseline JPEG', format: 'jpeg', encode: (picture) => picture.jpeg({ quality: 80 }) },
  { name: 'progressive JPEG', format: 'jpeg', encode: (picture) => picture.jpeg({ progressive: true }) },
  { name: 'grey JPEG', format: 'jpeg', encode: (picture) => picture.greyscale().jpeg() },
  { name: 'CMYK JPEG', format: 'jpeg', encode: (picture) => picture.toColourspace('cmyk').jpeg() },
  { name: 'JPEG with a profile', format: 'jpeg', encode: (picture) => picture.withIccProfile('p3').jpeg() },
  { name: 'PNG', format: 'png', encode: (picture) => picture.png() },
  { name: 'interlaced PNG', format: 'png', encode: (picture) => picture.png({ progressive: true }) },
  {
    name: 'PNG of 16 bits with a profile',
    format: 'png',
    encode: (picture) => picture.toColourspace('rgb16').withIccProfile('p3').png(),
  },
  { name: 'PNG of a palette', format: 'png', encode: (picture) => picture.png({ palette: true, colours: 20 }) },
  { name: 'WebP', format: 'webp', encode: (picture) => picture.webp({ quality: 70 }) },
  {
    name: 'lossless WebP with alpha',
    format: 'webp',
    encode: (picture) => picture.ensureAlpha(0.5).webp({ lossless: true }),
  },
  { name: 'WebP with a profile', format: 'webp', encode: (picture) => picture.withIccProfile('p3').webp() },
  { name: 'GIF', format: 'gif', encode: (picture) => picture.gif() },
];

test('nothing of the metadata stays, and every pixel does, in every orientation', async () => {
  for (const [at, { name, format, encode }] of KINDS.entries()) {
    const picture = toSharp(syntheticPicture({ width: 61 + at, height: 40, seed: SEED + at }));
    const plain = await encode(picture).toBuffer();
    for (const orientation of format === 'gif' ? [1] : [1, 3, 6]) {
      const file = await withSecrets(plain, { format, encode, orientation });
      assert.ok(file.includes(SECRET), name);
      const found = await sharp(file).metadata();
      assert.equal(found.orientation ?? 1, orientation, name);
      const asSent = Buffer.from(file);
      const stripped = stripMetadata(file, { format, orientation });
      assert.ok(file.equals(asSent), 'the input is left as it is');
      assert.ok(stripped !== undefined && stripped.length < file.length, `${name} was not stripped`);
      assert.deepEqual(betrayals(stripped, orientation), [], name);
      const { exif, xmp, iptc, comments, icc, orientation: kept = 1, pages } = await sharp(stripped).metadata();
      assert.deepEqual(
        { xmp, iptc, comments, kept, pages },
        { xmp: undefined, iptc: undefined, comments: undefined, kept: orientation, pages: found.pages },
        name,
      );
      assert.equal(exif === undefined, orientation === 1, name);
      assert.deepEqual(icc, found.icc, name);
      assert.deepEqual(await pixelsOf(stripped), await pixelsOf(file), name);
      assert.deepEqual(
        stripMetadata(stripped, { format, orientation }),
        stripped,
        `${name}: what is stripped is stripped no further`,
      );
    }
  }
});

test('an animation keeps its frames, their times and its looping', async () => {
  const frames = await Promise.all(
    [1, 2, 3].map((seed) =>
      toSharp(syntheticPicture({ width: 40, height: 30, seed }))
        .png()
        .toBuffer(),
    ),
  );
  const joined = () => sharp(frames, { join: { animated: true } });
  const options = { loop: 3, delay: [100, 200, 300] };
  for (const format of ['gif', 'webp'] as const) {
    const encode = (picture: Sharp): Sharp => (format === 'gif' ? picture.gif(options) : picture.webp(options));
    const file = await withSecrets(await encode(joined()).toBuffer(), { format, encode, orientation: 1 });
    const stripped = stripMetadata(file, { format, orientation: 1 });
    assert.ok(stripped !== undefined && stripped.length < file.length);
    assert.deepEqual(betrayals(stripped, 1), []);
    const { pages, loop, delay } = await sharp(stripped, { animated: true }).metadata();
    assert.deepEqual({ pages, loop, delay }, { pages: 3, ...options });
    const all = (bytes: Uint8Array) => sharp(bytes, { animated: true }).ensureAlpha().raw().toBuffer();
    assert.deepEqual(await all(stripped), await all(file));
  }
});

test('a file cut anywhere is refused, and one damaged anywhere is refused or keeps its pixels and tells nothing', async () => {
  const random = seededRandom(SEED);
  const below = (count: number): number => Math.floor(random() * count);
  let kept = 0;
  for (const { name, format, encode } of KINDS) {
    const plain = await encode(toSharp(syntheticPicture({ width: 48, height: 32, seed: SEED }))).toBuffer();
    const file = await withSecrets(plain, { format, encode, orientation: 1 });
    const whole = stripMetadata(file, { format, orientation: 1 })!;
    // What is stripped ends where the picture ends; each shorter file lacks that end.
    for (let cut = 0; cut < 300; cut++) {
      const length = below(whole.length);
      assert.equal(
        stripMetadata(whole.subarray(0, length), { format, orientation: 1 }),
        undefined,
        `${name} cut to ${length} bytes`,
      );
    }
    for (let damage = 0; damage < 60; damage++) {
      const damaged = Buffer.from(file);
      for (let count = 1 + below(3); count > 0; count--) damaged[below(damaged.length)] = below(256);
      const stripped = stripMetadata(damaged, { format, orientation: 1 });
      if (stripped === undefined) continue;
      const before = await pixelsOf(damaged).catch(() => undefined);
      if (before === undefined) continue; // The service refuses it.
      kept += 1;
      assert.deepEqual(await pixelsOf(stripped), before, `${name}, damage ${damage}`);
      assert.doesNotMatch(Buffer.from(stripped).toString('latin1'), BETRAYAL, `${name}, damage ${damage}`);
    }
  }
  assert.ok(kept > 100, `${kept} damaged files still decode`);
});

test('noise behind a signature, parts without end and formats that cannot be stripped are refused', async () => {
  const random = seededRandom(SEED + 1);
  const signatures = {
    jpeg: 'ffd8ff',
    png: '89504e470d0a1a0a0000000d49484452',
    webp: '524946460010000057454250',
    gif: '474946383961',
    tiff: '49492a00',
    avif: '0000001c66747970',
  } as const;
  for (const [format, signature] of Object.entries(signatures)) {
    for (let round = 0; round < 500; round++) {
      const noise = Uint8Array.from({ length: Math.floor(random() * 5000) }, () => Math.floor(random() ** 3 * 256));
      const bytes = Buffer.concat([Buffer.from(signature, 'hex'), noise]);
      stripMetadata(bytes, { format: format as ImageFormat, orientation: 1 + (round % 8) });
    }
  }
  const comment = Buffer.from('fffe0002', 'hex');
  const endless = Buffer.concat([
    Buffer.from('ffd8', 'hex'),
    ...Array<Buffer>(100_000).fill(comment),
    Buffer.from('ffd9', 'hex'),
  ]);
  assert.equal(stripMetadata(endless, { format: 'jpeg', orientation: 1 }), undefined);
  assert.equal(stripMetadata(new Uint8Array(), { format: 'png', orientation: 1 }), undefined);
  const picture = toSharp(syntheticPicture({ width: 20, height: 20 }));
  assert.equal(stripMetadata(await picture.clone().tiff().toBuffer(), { format: 'tiff', orientation: 1 }), undefined);
  assert.equal(stripMetadata(await picture.avif().toBuffer(), { format: 'avif', orientation: 1 }), undefined);
});

/** Upright, as a decoder of ours reads it: a warning is a refusal. */
function pixelsOf(bytes: Uint8Array): Promise<Buffer> {
  return sharp(bytes, { failOn: 'warning', pages: 1 }).autoOrient().raw().toBuffer();
}
