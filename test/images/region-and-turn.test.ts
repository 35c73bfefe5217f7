import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import sharp from 'sharp';
import { SearchError } from '../../src/errors.js';
import { decodeImage, restrictSharp } from '../../src/images/decoding/decode-image.js';
import { createDecoderPool } from '../../src/images/decoding/decoder-pool.js';
import { DEFAULT_IMAGE_LIMITS } from '../../src/images/decoding/image-limits.js';
import { DIHEDRAL_VARIANTS, hammingDistance } from '../../src/images/perceptual-hash.js';
import { checkedRegion, cropPixels, turnPixels } from '../../src/images/region.js';
import { meanDifference, PREPROCESSING, syntheticPicture, TURNS, toSharp } from './pictures.js';

const settings = { limits: DEFAULT_IMAGE_LIMITS, preprocessing: PREPROCESSING, thumbnailSize: 256 };

before(() => restrictSharp());

describe('turning', () => {
  test('moves every pixel as sharp does', async () => {
    const picture = syntheticPicture({ width: 13, height: 7 });
    for (const variant of DIHEDRAL_VARIANTS) {
      const { data, info } = await TURNS[variant](toSharp(picture)).raw().toBuffer({ resolveWithObject: true });
      const turned = turnPixels(picture, variant);
      assert.deepEqual([turned.width, turned.height], [info.width, info.height], variant);
      assert.deepEqual(Buffer.from(turned.rgb), data, variant);
    }
  });

  test('in a decode gives input and hash of the turned file, for each view asked for and in that order', async () => {
    for (const width of [128, 64]) {
      const picture = syntheticPicture({ width, height: 64, seed: 3 });
      const bytes = await toSharp(picture).png().toBuffer();
      const asked = ['flipY', 'rotate90', 'original'] as const;
      const { views = [] } = await decodeImage(bytes, { ...settings, thumbnail: false, views: asked });
      assert.deepEqual(
        views.map(({ view }) => view),
        asked,
      );
      for (const { view, pixels, perceptualHash } of views) {
        const file = await decodeImage(await TURNS[view](toSharp(picture)).png().toBuffer(), {
          ...settings,
          thumbnail: false,
        });
        assert.ok(meanDifference(pixels, file.pixels) < 2, `${view}: ${meanDifference(pixels, file.pixels)}`);
        // The hash's sampling is symmetric only where there is nothing to blur.
        if (width === 64) assert.ok(hammingDistance(perceptualHash, file.perceptualHash) <= 4, view);
      }
    }
  });
});

describe('a crop', () => {
  test('is cut at whole pixels and has at least one', () => {
    const picture = syntheticPicture({ width: 10, height: 8 });
    assert.deepEqual(cropPixels(picture, { x: 0, y: 0, width: 1, height: 1 }), {
      ...picture,
      rgb: Uint8Array.from(picture.rgb),
    });
    const corner = cropPixels(picture, { x: 0.9, y: 0.875, width: 0.1, height: 0.125 });
    assert.deepEqual(corner, { width: 1, height: 1, rgb: picture.rgb.slice(-3) });
    const speck = cropPixels(picture, { x: 0.999, y: 0.999, width: 0.0001, height: 0.0001 });
    assert.deepEqual([speck.width, speck.height], [1, 1]);
  });

  test('outside the picture, empty or not finite is refused', () => {
    for (const wrong of [
      { x: -0.1 },
      { width: 0 },
      { height: 1.1 },
      { x: 0.6, width: 0.5 },
      { y: Number.NaN },
      { width: Number.POSITIVE_INFINITY },
    ]) {
      const region = { x: 0, y: 0, width: 1, height: 1, ...wrong };
      assert.throws(
        () => checkedRegion(region),
        (error) => error instanceof SearchError && error.code === 'INVALID_REQUEST',
      );
    }
    checkedRegion({ x: 0.7, y: 0.1, width: 0.3, height: 0.9 }); // 0.7 + 0.3 is not 1 in binary
  });

  test('of a large picture is as sharp as the same cut from the full picture, upright by EXIF', async () => {
    const large = syntheticPicture({ width: 1600, height: 1200, seed: 9 });
    const region = { x: 0.5, y: 0.25, width: 0.125, height: 0.25 };
    const bytes = await toSharp(large).rotate(270).jpeg({ quality: 95 }).withMetadata({ orientation: 6 }).toBuffer();
    const cropped = await decodeImage(bytes, { ...settings, thumbnail: true, crop: region });
    const expected = await decodeImage(await toSharp(cropPixels(large, region)).png().toBuffer(), {
      ...settings,
      thumbnail: true,
    });
    assert.deepEqual([cropped.width, cropped.height], [1600, 1200], 'the size is that of the whole picture');
    assert.ok(
      meanDifference(cropped.pixels, expected.pixels) < 4,
      String(meanDifference(cropped.pixels, expected.pixels)),
    );
    const thumbnails = [cropped, expected].map(async ({ thumbnail }) => {
      const { data, info } = await sharp(thumbnail).raw().toBuffer({ resolveWithObject: true });
      return { width: info.width, height: info.height, rgb: data };
    });
    const [thumbnail, wanted] = await Promise.all(thumbnails);
    assert.deepEqual([thumbnail!.width, thumbnail!.height], [171, 256]);
    assert.ok(meanDifference(thumbnail!, wanted!) < 4, String(meanDifference(thumbnail!, wanted!)));
  });

  test('of a truncated file fails as the whole does, wherever it lies', async () => {
    const bytes = await toSharp(syntheticPicture({ width: 900, height: 900 }))
      .jpeg()
      .toBuffer();
    const top = { x: 0, y: 0, width: 0.2, height: 0.2 };
    const decode = decodeImage(bytes.subarray(0, bytes.length * 0.7), { ...settings, thumbnail: false, crop: top });
    await assert.rejects(decode, (error) => error instanceof SearchError && error.code === 'UNREADABLE_IMAGE');
  });

  test('and views come out of a decoder process as they come out of the function, every time', async () => {
    const bytes = await toSharp(syntheticPicture({ width: 700, height: 500, seed: 4 }))
      .jpeg()
      .toBuffer();
    const wishes = { thumbnail: true, crop: { x: 0.1, y: 0.2, width: 0.5, height: 0.6 }, views: DIHEDRAL_VARIANTS };
    const expected = await decodeImage(bytes, { ...settings, ...wishes });
    const pool = createDecoderPool({ preprocessing: PREPROCESSING, processes: 1 });
    try {
      for (let round = 0; round < 2; round++) {
        const { image } = await pool.decode(bytes, wishes);
        assert.deepEqual(Buffer.from(image.pixels.rgb), Buffer.from(expected.pixels.rgb));
        assert.deepEqual(Buffer.from(image.thumbnail!), Buffer.from(expected.thumbnail!));
        assert.equal(image.views?.length, 8);
        for (const [place, view] of image.views.entries()) {
          assert.equal(view.view, DIHEDRAL_VARIANTS[place]);
          assert.deepEqual(Buffer.from(view.pixels.rgb), Buffer.from(expected.views![place]!.pixels.rgb));
          assert.deepEqual(Buffer.from(view.perceptualHash), Buffer.from(expected.views![place]!.perceptualHash));
        }
      }
    } finally {
      await pool.close();
    }
  });
});
