import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { before, describe, test } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import { SearchError } from '../../../src/errors.js';
import { type DecodeImageOptions, decodeImage, restrictSharp } from '../../../src/images/decoding/decode-image.js';
import { DEFAULT_IMAGE_LIMITS, type ImageLimits } from '../../../src/images/decoding/image-limits.js';
import { hammingDistance, PERCEPTUAL_HASH_THRESHOLD } from '../../../src/images/perceptual-hash.js';
import type { Preprocessing } from '../../../src/images/preprocessing.js';
import { seededRandom } from '../../../src/seeded-random.js';
import {
  clothingPhotos,
  meanDifference,
  PREPROCESSING,
  skipWithoutPhotos,
  syntheticPicture,
  toSharp,
} from '../pictures.js';

const options = (changes: Partial<DecodeImageOptions> = {}): DecodeImageOptions => ({
  limits: DEFAULT_IMAGE_LIMITS,
  preprocessing: PREPROCESSING,
  thumbnailSize: 256,
  thumbnail: false,
  ...changes,
});
const stretchTo = (width: number, height: number): Preprocessing => ({
  ...PREPROCESSING,
  width,
  height,
  fit: 'stretch',
});
const limitAll = (pixels: number): ImageLimits => ({
  maxPixels: { jpeg: pixels, png: pixels, webp: pixels, gif: pixels, avif: pixels, tiff: pixels },
});
const picture = syntheticPicture({ width: 240, height: 180 });

before(() => restrictSharp());

describe('one decode', () => {
  test('yields the upright size, the SHA-256, the hash, and a WebP thumbnail only where asked', async () => {
    const bytes = await toSharp(syntheticPicture({ width: 700, height: 350 }))
      .jpeg()
      .withExif({ IFD0: { Copyright: 'me' } })
      .toBuffer();
    const bare = await decodeImage(bytes, options());
    assert.deepEqual([bare.format, bare.width, bare.height, bare.thumbnail], ['jpeg', 700, 350, undefined]);
    assert.deepEqual(Buffer.from(bare.sha256), createHash('sha256').update(bytes).digest());
    assert.equal(bare.perceptualHash.length, 32);

    const { thumbnail } = await decodeImage(bytes, options({ thumbnail: true }));
    const metadata = await sharp(thumbnail).metadata();
    assert.deepEqual(
      [metadata.format, metadata.width, metadata.height, metadata.exif, metadata.icc],
      ['webp', 256, 128, undefined, undefined],
    );
  });

  test('does not enlarge small pictures to thumbnails', async () => {
    const { thumbnail } = await decodeImage(
      await toSharp(syntheticPicture({ width: 20, height: 10 }))
        .png()
        .toBuffer(),
      options({ thumbnail: true }),
    );
    const metadata = await sharp(thumbnail).metadata();
    assert.deepEqual([metadata.width, metadata.height], [20, 10]);
  });

  test('gives the same pixels whether or not a thumbnail of whatever size is asked for', async () => {
    for (const size of [
      { width: 300, height: 200 },
      { width: 1300, height: 900 },
    ]) {
      const bytes = await toSharp(syntheticPicture(size)).jpeg().toBuffer();
      const bare = await decodeImage(bytes, options());
      for (const thumbnailSize of [64, 256, 512]) {
        const decoded = await decodeImage(bytes, options({ thumbnail: true, thumbnailSize }));
        assert.deepEqual(decoded.pixels, bare.pixels);
        assert.deepEqual(decoded.perceptualHash, bare.perceptualHash);
      }
    }
  });

  test('hands a picture that has the size of the input on untouched', async () => {
    const small = syntheticPicture({ width: 32, height: 32 });
    const { pixels } = await decodeImage(await toSharp(small).png().toBuffer(), options());
    assert.equal(meanDifference(pixels, small), 0);
  });

  test('accepts a picture of one pixel', async () => {
    const bytes = await sharp({ create: { width: 1, height: 1, channels: 3, background: '#4080c0' } })
      .png()
      .toBuffer();
    const { pixels, thumbnail, perceptualHashQuality } = await decodeImage(bytes, options({ thumbnail: true }));
    assert.deepEqual([...pixels.rgb.subarray(0, 3)], [0x40, 0x80, 0xc0]);
    assert.equal(perceptualHashQuality, 0);
    assert.ok(thumbnail !== undefined && thumbnail.length > 0);
  });
});

describe('fit', () => {
  // Left third red, middle green, right blue; 96 x 32.
  const stripes = { width: 96, height: 32, rgb: new Uint8Array(96 * 32 * 3) };
  for (let i = 0; i < 96 * 32; i++) stripes.rgb[i * 3 + Math.floor((i % 96) / 32)] = 255;
  const COLOURS = [
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
  ];
  const fit = async (kind: Preprocessing['fit']) => {
    const { pixels } = await decodeImage(
      await toSharp(stripes).png().toBuffer(),
      options({ preprocessing: { ...PREPROCESSING, fit: kind } }),
    );
    return (x: number, y: number) => [...pixels.rgb.subarray((y * 32 + x) * 3, (y * 32 + x) * 3 + 3)];
  };

  test('cover keeps the middle', async () => {
    const at = await fit('cover');
    for (const x of [0, 16, 31]) assert.deepEqual(at(x, 16), [0, 255, 0]);
  });

  test('contain keeps all and pads with mid grey', async () => {
    const at = await fit('contain');
    for (const y of [0, 9, 23, 31]) assert.deepEqual(at(16, y), [128, 128, 128]);
    assert.deepEqual([at(4, 16), at(16, 16), at(27, 16)], COLOURS);
  });

  test('stretch keeps all and fills', async () => {
    const at = await fit('stretch');
    assert.deepEqual([at(4, 1), at(16, 30), at(27, 1)], COLOURS);
  });

  test('the input is nearly that of one direct resize, for small and for large pictures', async () => {
    for (const size of [
      { width: 400, height: 300 },
      { width: 1800, height: 1200 },
    ]) {
      const large = syntheticPicture(size);
      for (const side of [32, 64, 224]) {
        const direct = await toSharp(large).resize(side, side, { fit: 'fill', kernel: 'lanczos3' }).raw().toBuffer();
        const { pixels } = await decodeImage(
          await toSharp(large).png().toBuffer(),
          options({ preprocessing: stretchTo(side, side) }),
        );
        const difference = meanDifference(pixels, { width: side, height: side, rgb: direct });
        assert.ok(difference < 0.75, `${size.width} to ${side}: ${difference} of 255`);
      }
    }
  });

  test('the input is nearly that of one direct resize, on photos', { skip: skipWithoutPhotos }, async () => {
    for (const photo of clothingPhotos(50)) {
      const full = await sharp(photo).raw().toBuffer({ resolveWithObject: true });
      const { width, height } = full.info;
      const direct = await toSharp({ width, height, rgb: full.data }).resize(32, 32, { fit: 'fill' }).raw().toBuffer();
      const { pixels } = await decodeImage(photo, options({ preprocessing: stretchTo(32, 32) }));
      assert.ok(meanDifference(pixels, { width: 32, height: 32, rgb: direct }) < 0.5);
    }
  });
});

describe('the same picture in another coat', () => {
  const reference = async (original = picture) => decodeImage(await toSharp(original).png().toBuffer(), options());
  const isClose = async (bytes: Uint8Array, pixelsApart: number, original = picture) => {
    const [a, b] = [await reference(original), await decodeImage(bytes, options())];
    assert.deepEqual([b.width, b.height], [a.width, a.height]);
    const difference = meanDifference(a.pixels, b.pixels);
    assert.ok(difference <= pixelsApart, `pixels differ by ${difference} of 255`);
    const distance = hammingDistance(a.perceptualHash, b.perceptualHash);
    assert.ok(distance <= PERCEPTUAL_HASH_THRESHOLD, `hashes differ in ${distance} bits`);
  };

  test('is close as JPEG, WebP, AVIF, TIFF and GIF', async () => {
    const image = toSharp(picture);
    await isClose(await image.clone().jpeg({ quality: 90 }).toBuffer(), 2);
    await isClose(await image.clone().jpeg({ quality: 90, progressive: true }).toBuffer(), 2);
    await isClose(await image.clone().webp({ quality: 90 }).toBuffer(), 3);
    await isClose(await image.clone().avif({ quality: 80, effort: 2 }).toBuffer(), 3);
    await isClose(await image.clone().tiff({ compression: 'lzw' }).toBuffer(), 0);
    await isClose(await image.clone().gif().toBuffer(), 4);
  });

  test('is the same with 16 bits a channel, without and with a profile of a wider gamut', async () => {
    await isClose(await toSharp(picture).toColourspace('rgb16').png().toBuffer(), 1);
    await isClose(await toSharp(picture).withIccProfile('p3').png().toBuffer(), 3);
    await isClose(await toSharp(picture).toColourspace('rgb16').withIccProfile('p3').png().toBuffer(), 3);
  });

  test('keeps hash and greys as a grey picture', async () => {
    const grey = await decodeImage(await toSharp(picture).greyscale().png().toBuffer(), options());
    const { rgb } = grey.pixels;
    for (let i = 0; i < rgb.length; i += 3) assert.ok(rgb[i] === rgb[i + 1] && rgb[i] === rgb[i + 2]);
    assert.ok(hammingDistance(grey.perceptualHash, (await reference()).perceptualHash) <= PERCEPTUAL_HASH_THRESHOLD);
  });

  test('keeps its hash and stays recognisable as CMYK', async () => {
    // Muted, since inks cannot print the brightest colours of a screen.
    const muted = { ...picture, rgb: picture.rgb.map((value) => 140 + (value - 128) * 0.4) };
    const bytes = await toSharp(muted).toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer();
    assert.equal((await sharp(bytes).metadata()).space, 'cmyk');
    await isClose(bytes, 6, muted);
  });

  for (let orientation = 1; orientation <= 8; orientation++) {
    test(`is upright from EXIF orientation ${orientation}`, async () => {
      // What must be done to the upright picture so that the orientation undoes it (sharp mirrors first, then
      // turns, clockwise).
      const undo: readonly ((image: Sharp) => Sharp)[] = [
        (image) => image,
        (image) => image.flop(),
        (image) => image.rotate(180),
        (image) => image.flip(),
        (image) => image.flop().rotate(270),
        (image) => image.rotate(270),
        (image) => image.flop().rotate(90),
        (image) => image.rotate(90),
      ];
      const turned = await undo[orientation - 1]!(toSharp(picture)).png().toBuffer();
      await isClose(
        await sharp(turned).withMetadata({ orientation }).jpeg({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer(),
        2,
      );
    });
  }
});

describe('transparency and animation', () => {
  test('transparent pixels are white, whatever colour hides in them', async () => {
    const rgba = new Uint8Array(64 * 64 * 4);
    for (let i = 0; i < 64 * 64; i++) rgba.set(i % 64 < 32 ? [255, 0, 0, 0] : [0, 0, 255, 128], i * 4);
    const image = sharp(rgba, { raw: { width: 64, height: 64, channels: 4 } });
    for (const bytes of [
      await image.clone().png().toBuffer(),
      await image.clone().webp({ lossless: true }).toBuffer(),
    ]) {
      const { pixels } = await decodeImage(bytes, options());
      assert.deepEqual([...pixels.rgb.subarray(0, 3)], [255, 255, 255]);
      const right = pixels.rgb.subarray(31 * 3, 32 * 3);
      assert.ok(Math.abs(right[0]! - 127) <= 2 && Math.abs(right[1]! - 127) <= 2 && right[2] === 255, String(right));
    }
  });

  test('an animation is its first frame', async () => {
    const frames = [
      syntheticPicture({ width: 80, height: 60, seed: 8 }),
      syntheticPicture({ width: 80, height: 60, seed: 9 }),
    ];
    const [first, second] = await Promise.all(frames.map((frame) => toSharp(frame).png().toBuffer()));
    // A test of the decoder must not be at the mercy of its own encoder settings, so joining is done by sharp from
    // PNG buffers.
    const animation = sharp([first!, second!], { join: { animated: true } });
    for (const bytes of [
      await animation.clone().gif({ effort: 1 }).toBuffer(),
      await animation.clone().webp({ lossless: true }).toBuffer(),
    ]) {
      assert.equal((await sharp(bytes).metadata()).pages, 2);
      const decoded = await decodeImage(bytes, options());
      assert.deepEqual([decoded.width, decoded.height], [80, 60]);
      const alone = await decodeImage(first!, options());
      assert.ok(meanDifference(decoded.pixels, alone.pixels) < 6, `${meanDifference(decoded.pixels, alone.pixels)}`);
    }
  });
});

describe('what is refused', () => {
  const rejects = (bytes: Uint8Array, code: string, changes: Partial<DecodeImageOptions> = {}) =>
    assert.rejects(decodeImage(bytes, options(changes)), (error) => {
      assert.ok(error instanceof SearchError, String(error));
      assert.equal(error.code, code, error.message);
      return true;
    });

  test('files cut short or with damage in the middle, of every format', async () => {
    const noisy = { width: 160, height: 120, rgb: new Uint8Array(160 * 120 * 3) };
    const random = seededRandom(3);
    for (let i = 0; i < noisy.rgb.length; i++) noisy.rgb[i] = random() * 256;
    const image = toSharp(noisy);
    const files = await Promise.all([
      image.clone().jpeg().toBuffer(),
      image.clone().jpeg({ progressive: true }).toBuffer(),
      image.clone().png().toBuffer(),
      image.clone().webp().toBuffer(),
      image.clone().gif().toBuffer(),
      image.clone().avif({ effort: 0 }).toBuffer(),
      image.clone().tiff({ compression: 'lzw' }).toBuffer(),
    ]);
    for (const file of files)
      for (const part of [0.2, 0.6, 0.95])
        await rejects(file.subarray(0, Math.floor(file.length * part)), 'UNREADABLE_IMAGE');
    const png = Buffer.from(files[2]!);
    png[png.length >> 1]! ^= 0xff;
    await rejects(png, 'UNREADABLE_IMAGE');
  });

  test('a truncated file is refused even where only its middle would be needed', async () => {
    const tall = await toSharp(syntheticPicture({ width: 64, height: 1200 }))
      .jpeg()
      .toBuffer();
    await rejects(tall.subarray(0, Math.floor(tall.length * 0.9)), 'UNREADABLE_IMAGE');
  });

  test('magic without an image', async () => {
    await rejects(Buffer.from('\xff\xd8\xff', 'latin1'), 'UNREADABLE_IMAGE');
    await rejects(Buffer.from('GIF89a', 'latin1'), 'UNREADABLE_IMAGE');
  });

  test('SVG and PDF, and files that libvips would open by name', async () => {
    await rejects(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), 'UNSUPPORTED_FORMAT');
    await rejects(Buffer.from('%PDF-1.4\n'), 'UNSUPPORTED_FORMAT');
    await rejects(Buffer.from('/etc/hosts'), 'UNSUPPORTED_FORMAT');
    // Closed in libvips as well, should a magic ever lie.
    await assert.rejects(
      sharp(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')).metadata(),
    );
    await assert.rejects(sharp(new URL(import.meta.url).pathname).metadata());
  });

  test('pictures over the limit of their format, with size, limit and setting in the message', async () => {
    const flat = (width: number, height: number) =>
      sharp({ create: { width, height, channels: 3, background: '#123456' } });
    const avif = await flat(5000, 3300).avif({ effort: 0 }).toBuffer();
    await assert.rejects(decodeImage(avif, options()), {
      code: 'IMAGE_TOO_LARGE',
      message: 'Image is 5000x3300, 16.5 MP; the limit for AVIF is 16 MP (--max-pixels-avif).',
    });
    const gif = await flat(120, 100).gif().toBuffer();
    await assert.rejects(decodeImage(gif, options({ limits: limitAll(11_999) })), {
      code: 'IMAGE_TOO_LARGE',
      message: /--max-pixels-gif/,
    });
    for (const bytes of [
      await flat(120, 100).jpeg().toBuffer(),
      await flat(120, 100).png().toBuffer(),
      await flat(120, 100).webp().toBuffer(),
    ]) {
      await assert.rejects(decodeImage(bytes, options({ limits: limitAll(11_999) })), {
        code: 'IMAGE_TOO_LARGE',
        message: /\(--max-pixels\)/,
      });
      await decodeImage(bytes, options({ limits: limitAll(12_000) }));
    }
  });

  test('what is not admitted, before it is decoded', async () => {
    const bytes = await toSharp(picture).png().toBuffer();
    const asked: number[] = [];
    const admit = (estimatedBytes: number) => {
      asked.push(estimatedBytes);
      return Promise.reject(new SearchError('DEADLINE_EXCEEDED', 'no'));
    };
    await rejects(bytes, 'DEADLINE_EXCEEDED', { admit });
    assert.ok(asked.length === 1 && asked[0]! >= 240 * 180, String(asked));
  });
});
