/**
 * Valid pictures that differ from the usual, and what of a picture is shown: flattened transparency, the frame of an
 * animation, floating-point samples.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import sharp from 'sharp';
import { decodeImage, restrictSharp } from '../../../src/images/decoding/decode-image.js';
import { DEFAULT_IMAGE_LIMITS } from '../../../src/images/decoding/image-limits.js';
import type { Pixels } from '../../../src/images/pixels.js';
import { meanDifference, PREPROCESSING, syntheticPicture, toSharp } from '../pictures.js';

const caseFile = (name: string) => readFileSync(new URL(`../../../../test/images/cases/${name}`, import.meta.url));
const decode = (bytes: Uint8Array) =>
  decodeImage(bytes, {
    limits: DEFAULT_IMAGE_LIMITS,
    preprocessing: PREPROCESSING,
    thumbnailSize: 256,
    thumbnail: true,
  });
const SIZE = { width: 160, height: 120 };
const picture = syntheticPicture(SIZE);

before(() => restrictSharp());

/** A logo of the given shapes and colour on transparent ground. */
function logo(colour: string, shape: string): Promise<Buffer> {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200"><g fill="${colour}">${shape}</g></svg>`;
  sharp.unblock({ operation: ['VipsForeignLoadSvg'] });
  return sharp(Buffer.from(svg)).png().toBuffer();
}

function spread({ rgb }: Pick<Pixels, 'rgb'>): number {
  const mean = rgb.reduce((sum, value) => sum + value, 0) / rgb.length;
  return Math.sqrt(rgb.reduce((sum, value) => sum + (value - mean) ** 2, 0) / rgb.length);
}

describe('transparency', () => {
  const shapes = ['<circle cx="100" cy="100" r="70"/>', '<path d="M20 20 L180 60 L60 180 Z"/>'];

  test('white and black logos show, on whatever ground contrasts, and are told apart', async () => {
    for (const colour of ['white', 'black', '#fdfdf6', '#c02040']) {
      const [first, second] = await Promise.all(shapes.map(async (shape) => decode(await logo(colour, shape))));
      assert.ok(spread(first!.pixels) > 40, `${colour}: ${spread(first!.pixels)}`);
      assert.ok(meanDifference(first!.pixels, second!.pixels) > 20, colour);
    }
  });

  test('other pictures stay on white', async () => {
    const { pixels } = await decode(await logo('#c02040', shapes[0]!));
    assert.deepEqual([...pixels.rgb.subarray(0, 3)], [255, 255, 255]);
  });
});

describe('an animation', () => {
  /** Frames that fade in from white. */
  const fadeIn = async (format: 'gif' | 'webp', frames: number): Promise<Buffer> => {
    const rgb = Buffer.concat(
      Array.from({ length: frames }, (_, frame) =>
        Uint8Array.from(picture.rgb, (value) => 255 - ((255 - value) * frame) / (frames - 1)),
      ),
    );
    const raw = { width: SIZE.width, height: SIZE.height * frames, channels: 3, pageHeight: SIZE.height } as const;
    return sharp(rgb, { raw })
      .toFormat(format, { delay: Array(frames).fill(50) })
      .toBuffer();
  };

  for (const format of ['gif', 'webp'] as const) {
    test(`that begins blank is represented by a frame with detail (${format})`, async () => {
      const still = await decode(await toSharp(picture).png().toBuffer());
      for (const frames of [2, 5]) {
        const animated = await decode(await fadeIn(format, frames));
        assert.equal(animated.height, SIZE.height);
        assert.ok(animated.perceptualHashQuality >= 50, String(animated.perceptualHashQuality));
        if (frames === 2) assert.ok(meanDifference(animated.pixels, still.pixels) < 12);
      }
    });
  }

  test('that begins with detail is represented by its first frame', async () => {
    const other = syntheticPicture({ ...SIZE, seed: 2 });
    const raw = { width: SIZE.width, height: SIZE.height * 2, channels: 3, pageHeight: SIZE.height } as const;
    const bytes = await sharp(Buffer.concat([other.rgb, picture.rgb]), { raw })
      .webp({ lossless: true })
      .toBuffer();
    const still = await decode(await toSharp(other).png().toBuffer());
    assert.ok(meanDifference((await decode(bytes)).pixels, still.pixels) < 1);
  });
});

describe('floating-point TIFF', () => {
  const floats = async (colour: boolean, scale: (value: number) => number): Promise<Buffer> => {
    const base = toSharp(picture).toColourspace(colour ? 'srgb' : 'b-w');
    const { data, info } = await base.raw({ depth: 'float' }).toBuffer({ resolveWithObject: true });
    const samples = new Float32Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.length));
    return floatTiff({ ...info, samples: samples.map(scale) });
  };

  test('shows the picture: grey and colour, of 0..1 and 0..255', async () => {
    const linear = (value: number) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const grey = await decode(await toSharp(picture).greyscale().png().toBuffer());
    const coloured = await decode(await toSharp(picture).png().toBuffer());
    for (const [name, expected, bytes] of [
      ['grey 0..1', grey, await floats(false, (value) => value / 255)],
      ['grey 0..255', grey, await floats(false, (value) => value)],
      ['linear 0..1', coloured, await floats(true, (value) => linear(value / 255))],
      ['colour 0..255', coloured, await floats(true, (value) => value)],
    ] as const) {
      const { pixels } = await decode(bytes);
      assert.ok(meanDifference(pixels, expected.pixels) < 4, `${name}: ${meanDifference(pixels, expected.pixels)}`);
    }
  });

  test('of any other range is unsupported', async () => {
    await assert.rejects(decode(await floats(false, (value) => value * 40)), {
      code: 'UNSUPPORTED_FORMAT',
      message: /floating-point/,
    });
  });
});

describe('odd JPEGs', () => {
  test('of Samsung phones, of cameras with stray bytes, and without an end marker are whole', async () => {
    const usual = await decode(caseFile('samsung-sos.jpg'));
    for (const name of ['restart-extraneous.jpg', 'no-eoi.jpg']) {
      const { pixels } = await decode(caseFile(name));
      assert.ok(meanDifference(pixels, usual.pixels) < 3, name);
    }
  });

  test('that are truncated are still refused, however little is missing', async () => {
    const jpeg = await toSharp(picture).jpeg().toBuffer();
    const progressive = await toSharp(picture).jpeg({ progressive: true }).toBuffer();
    await decode(jpeg.subarray(0, -2));
    for (const bytes of [jpeg, progressive]) {
      for (const missing of [12, 40, 400, Math.floor(bytes.length / 2)])
        await assert.rejects(decode(bytes.subarray(0, -missing)), { code: 'UNREADABLE_IMAGE' }, String(missing));
    }
  });
});

describe('AVIF', () => {
  const rebranded = async (major: string): Promise<Buffer> => {
    const bytes = await toSharp(picture).avif({ quality: 70 }).toBuffer();
    bytes.write(major, 8, 'latin1');
    return bytes;
  };

  test('is recognised by any of its brands', async () => {
    const expected = await decode(await rebranded('avif'));
    for (const major of ['mif1', 'miaf', 'MA1B'])
      assert.deepEqual((await decode(await rebranded(major))).pixels, expected.pixels, major);
    await assert.rejects(decode(caseFile('sequence.avif')), {
      code: 'UNSUPPORTED_FORMAT',
      message: /AVIF image sequence/,
    });
  });

  test('is limited by every item that is decoded, not by its picture alone', async () => {
    for (const item of ['alpha', 'tile'] as const) {
      await assert.rejects(decode(avifBoxes({ item, width: 7000, height: 7000 })), {
        code: 'IMAGE_TOO_LARGE',
        message: /7000x7000/,
      });
    }
    // A thumbnail is not decoded; these boxes hold no picture at all.
    await assert.rejects(decode(avifBoxes({ item: 'thumbnail', width: 7000, height: 7000 })), {
      code: 'UNREADABLE_IMAGE',
    });
  });
});

test('a picture in a colour space that is not supported is not called damaged', async () => {
  await assert.rejects(decode(caseFile('lab.tif')), { code: 'UNSUPPORTED_FORMAT', message: /not supported/ });
});

test('a TGA is not called an icon, and an icon is', async () => {
  const tga = Buffer.alloc(18 + 12);
  tga.set([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 24, 0]);
  await assert.rejects(decode(tga), { code: 'UNSUPPORTED_FORMAT', message: /a TGA image/ });
  const icon = Buffer.alloc(22);
  icon.set([0, 0, 1, 0, 1, 0, 16, 16]);
  await assert.rejects(decode(icon), { code: 'UNSUPPORTED_FORMAT', message: /an icon/ });
});

/** A TIFF of 32-bit float samples, one strip, little endian. */
function floatTiff(options: { width: number; height: number; channels: number; samples: Float32Array }): Buffer {
  const { width, height, channels, samples } = options;
  const data = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
  const tags: [tag: number, type: 3 | 4, count: number, value: number][] = [
    [256, 4, 1, width],
    [257, 4, 1, height],
    [258, 3, 1, 32],
    [259, 3, 1, 1],
    [262, 3, 1, channels === 1 ? 1 : 2],
    [273, 4, 1, 8],
    [277, 3, 1, channels],
    [278, 4, 1, height],
    [279, 4, 1, data.length],
    [339, 3, 1, 3],
  ];
  const head = Buffer.alloc(8);
  head.write('II', 'latin1');
  head.writeUInt16LE(42, 2);
  head.writeUInt32LE(8 + data.length + 12, 4);
  const each = Buffer.alloc(12); // bits and formats of three channels
  for (let channel = 0; channel < 3; channel++) {
    each.writeUInt16LE(32, 2 * channel);
    each.writeUInt16LE(3, 6 + 2 * channel);
  }
  const directory = Buffer.alloc(2 + tags.length * 12 + 4);
  directory.writeUInt16LE(tags.length, 0);
  tags.forEach(([tag, type, count, value], at) => {
    const isPerChannel = (tag === 258 || tag === 339) && channels === 3;
    directory.writeUInt16LE(tag, 2 + at * 12);
    directory.writeUInt16LE(type, 4 + at * 12);
    directory.writeUInt32LE(isPerChannel ? 3 : count, 6 + at * 12);
    directory.writeUInt32LE(isPerChannel ? 8 + data.length + (tag === 258 ? 0 : 6) : value, 10 + at * 12);
  });
  return Buffer.concat([head, data, each, directory]);
}

/**
 * The boxes of an AVIF of 64x64 whose second item is its alpha, a tile of its grid, or its thumbnail. It holds no
 * coded picture.
 */
function avifBoxes(options: { item: 'alpha' | 'tile' | 'thumbnail'; width: number; height: number }): Buffer {
  const u16 = (...values: number[]) => Buffer.concat(values.map((value) => Buffer.from([value >> 8, value & 255])));
  const u32 = (value: number) => u16(value >>> 16, value & 0xffff);
  const box = (type: string, ...parts: Buffer[]): Buffer => {
    const content = Buffer.concat(parts);
    return Buffer.concat([u32(content.length + 8), Buffer.from(type, 'latin1'), content]);
  };
  const full = (type: string, ...parts: Buffer[]) => box(type, u32(0), ...parts);
  const ispe = (width: number, height: number) => full('ispe', u32(width), u32(height));
  const reference = { alpha: ['auxl', 2, 1], tile: ['dimg', 1, 2], thumbnail: ['thmb', 2, 1] } as const;
  const [type, from, to] = reference[options.item];
  const meta = full(
    'meta',
    full('pitm', u16(1)),
    full('iref', box(type, u16(from, 1, to))),
    box(
      'iprp',
      box('ipco', ispe(64, 64), ispe(options.width, options.height)),
      full('ipma', u32(2), u16(1), Buffer.from([1, 1]), u16(2), Buffer.from([1, 0x82])),
    ),
  );
  return Buffer.concat([box('ftyp', Buffer.from('avif\0\0\0\0avifmif1', 'latin1')), meta]);
}
