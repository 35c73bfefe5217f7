/** One image from bytes to everything that is derived from it. Runs inside a decoder process; {@link restrictSharp} first. */
import { createHash } from 'node:crypto';
import sharp, { type Metadata, type OutputInfo, type Sharp, type SharpOptions } from 'sharp';
import { SearchError } from '../errors.js';
import { FORMAT_NAMES, recogniseFormat } from './format.js';
import type { DecodedImage, DecodedView, ImageFormat } from './image-decoder.js';
import { checkPixelLimit, estimateDecodeBytes, type ImageLimits } from './image-limits.js';
import { type DihedralHashes, type DihedralVariant, perceptualHash, perceptualHashes } from './perceptual-hash.js';
import type { Pixels } from './pixels.js';
import type { Preprocessing } from './preprocessing.js';
import { cropPixels, type Region } from './region.js';
import { type PixelRectangle, shrinkingCost, shrinkPixels } from './shrink-pixels.js';
import { sketchOfPixels } from './sketch.js';
import { turnPixels } from './turn-pixels.js';

/** How to decode: fixed for the life of a decoder process. */
export type DecodeSettings = {
  readonly limits: ImageLimits;
  readonly preprocessing: Preprocessing;
  /** Longest side of thumbnails in pixels, 1..{@link THUMBNAIL_SIZE_MAX}; smaller pictures are not enlarged. */
  readonly thumbnailSize: number;
};

export type DecodeImageOptions = DecodeSettings & {
  readonly thumbnail: boolean;
  /** The part to look at instead of the whole picture. */
  readonly crop?: Region | undefined;
  /** Turns and mirrors to make besides. */
  readonly views?: readonly DihedralVariant[] | undefined;
  /** Whether to derive what edited copies are found by. */
  readonly traits?: boolean | undefined;
  /** Called once the header is read, with the estimated peak of memory; decoding goes on when it resolves and fails as it rejects. */
  readonly admit?: (estimatedBytes: number) => Promise<void>;
};

/** The reduced picture from which all else is made has at least this long a side (or the picture's own), so thumbnails can be no larger. */
export const THUMBNAIL_SIZE_MAX = 512;

/**
 * Closes every loader of libvips and opens the six for buffers that we accept (no files, no SVG, no PDF), turns its cache off and
 * keeps it to one thread. Global to the process, so it is called once by the composition root.
 */
export function restrictSharp(): void {
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({
    operation: ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Heif', 'Tiff'].map((loader) => `VipsForeignLoad${loader}Buffer`),
  });
  sharp.cache(false);
  sharp.concurrency(1);
}

/**
 * Decodes one image once, to an upright reduced picture in sRGB on white, and derives the encoder's input, the hash and the thumbnail from that. The
 * pixels depend on the bytes and the preprocessing alone. Throws SearchError: UNSUPPORTED_FORMAT, HEIC_NOT_SUPPORTED,
 * IMAGE_TOO_LARGE, UNREADABLE_IMAGE, or what `admit` rejects with.
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeImageOptions): Promise<DecodedImage> {
  const format = recogniseFormat(bytes);
  // One for probe and decode: a probe that is laxer or stricter refuses good pictures or admits bad ones.
  const input = sharp(bytes, inputOptions(options.limits.maxPixels[format]));
  const header = await readHeader(input, { bytes, format, limits: options.limits });
  const { width, height } = header;
  const { crop, views = [], traits = false } = options;
  const size = reducedSize({ width, height }, options.preprocessing, crop);
  await options.admit?.(estimateDecodeBytes({ ...header, reducedPixels: size.width * size.height }));

  const whole = await decodeReduced(input, header, size);
  const reduced = crop === undefined ? whole : cropPixels(whole, crop);
  // libvips works in threads of its own while this one hashes.
  const pixels = fitToPreprocessing(reduced, options.preprocessing);
  const thumbnail = options.thumbnail ? encodeThumbnail(reduced, options.thumbnailSize) : undefined;
  const sketch = traits ? sketchOfPixels(reduced) : undefined;
  const hashes = traits || views.length > 0 ? perceptualHashes(reduced) : undefined;
  const { hash, quality } = hashes ?? perceptualHash(reduced);
  const sha256 = createHash('sha256').update(bytes).digest();
  return {
    format,
    width,
    height,
    orientation: header.orientation,
    pixels: await pixels,
    sha256,
    perceptualHash: hash,
    perceptualHashQuality: quality,
    thumbnail: await thumbnail,
    ...(hashes !== undefined &&
      views.length > 0 && { views: await turnedViews(reduced, { views, hashes: hashes.variants }, options.preprocessing) }),
    ...(hashes !== undefined && sketch !== undefined && { traits: { hashes: hashes.variants, sketch: await sketch } }),
  };
}

/** The picture turned and mirrored: encoder's input and hash of each. */
async function turnedViews(
  picture: Pixels,
  { views, hashes }: { readonly views: readonly DihedralVariant[]; readonly hashes: DihedralHashes },
  preprocessing: Preprocessing,
): Promise<DecodedView[]> {
  const turned: DecodedView[] = [];
  for (const view of views) {
    // One after the other, so that a large crop is not held eight times.
    const pixels = await fitToPreprocessing(turnPixels(picture, view), preprocessing);
    turned.push({ view, pixels, perceptualHash: hashes[view] });
  }
  return turned;
}

type Header = {
  readonly format: ImageFormat;
  /** Upright. */
  readonly width: number;
  readonly height: number;
  readonly orientation: number;
  readonly channels: number;
  readonly bytesPerSample: number;
  readonly isProgressive: boolean;
  readonly hasWideProfile: boolean;
  readonly hasAlpha: boolean;
};

function inputOptions(maxPixels: number | false): SharpOptions {
  return { failOn: 'warning', limitInputPixels: maxPixels, limitInputChannels: 5, unlimited: false, pages: 1 };
}

async function readHeader(
  input: Sharp,
  { bytes, format, limits }: { readonly bytes: Uint8Array; readonly format: ImageFormat; readonly limits: ImageLimits },
): Promise<Header> {
  let metadata: Metadata;
  try {
    metadata = await input.metadata();
  } catch (cause) {
    await refuseIfTooLarge(bytes, format, limits);
    throw unreadable(format, cause);
  }
  if (metadata.format === 'heif' && metadata.compression === 'hevc') {
    throw new SearchError(
      'HEIC_NOT_SUPPORTED',
      'The AVIF container holds a HEIC picture, which is not supported; convert it to JPEG or AVIF first.',
    );
  }
  if (formatOf(metadata) !== format) throw unreadable(format, new Error(`libvips calls it ${metadata.format}`));
  const { width, height } = metadata.autoOrient;
  checkPixelLimit({ format, width, height }, limits);
  return {
    format,
    width,
    height,
    orientation: metadata.orientation ?? 1,
    channels: metadata.channels,
    bytesPerSample: BYTES_PER_SAMPLE[metadata.depth] ?? 8,
    isProgressive: metadata.isProgressive,
    hasWideProfile: metadata.depth === 'ushort' && metadata.hasProfile,
    hasAlpha: metadata.hasAlpha,
  };
}

const BYTES_PER_SAMPLE: Readonly<Record<string, number>> = { uchar: 1, char: 1, ushort: 2, short: 2, uint: 4, int: 4, float: 4 };

/** libvips says "over the limit" in words only, which are no interface; so ask again for the size, without limit and without decoding. */
async function refuseIfTooLarge(bytes: Uint8Array, format: ImageFormat, limits: ImageLimits): Promise<void> {
  let metadata: Metadata;
  try {
    metadata = await sharp(bytes, inputOptions(false)).metadata();
  } catch {
    return; // unreadable for another reason, which the first attempt reports
  }
  checkPixelLimit({ format, width: metadata.width, height: metadata.height }, limits);
}

function formatOf(metadata: Metadata): string | undefined {
  return metadata.format === 'heif' && metadata.compression === 'av1' ? 'avif' : metadata.format;
}

type Size = { readonly width: number; readonly height: number };

/** A picture is not reduced by less than this: it would cost more than it saves, and blur. */
const REDUCTION_MIN = 1.5;

/**
 * Size of the reduced picture: never enlarged, and large enough for the longest thumbnail and for the encoder's input by its fit, be it of
 * the whole or of the part that is cut out of it. Nothing else of the request counts, so that the same part always has the same pixels.
 */
function reducedSize(picture: Size, preprocessing: Preprocessing, crop: Region = { x: 0, y: 0, width: 1, height: 1 }): Size {
  const part = { width: picture.width * crop.width, height: picture.height * crop.height };
  const scales = [preprocessing.width / part.width, preprocessing.height / part.height];
  const forEncoder = preprocessing.fit === 'contain' ? Math.min(...scales) : Math.max(...scales);
  const forThumbnail = THUMBNAIL_SIZE_MAX / Math.max(part.width, part.height);
  const scale = Math.max(forEncoder, forThumbnail);
  if (scale * REDUCTION_MIN > 1) return picture;
  return { width: Math.max(1, Math.round(picture.width * scale)), height: Math.max(1, Math.round(picture.height * scale)) };
}

/** Every row is read (nothing is cropped before), so a truncated file cannot pass. */
async function decodeReduced(input: Sharp, header: Header, size: Size): Promise<Pixels> {
  let picture = input
    .autoOrient()
    .resize({ ...size, fit: 'fill', kernel: 'lanczos3' })
    .toColourspace('srgb');
  if (header.hasAlpha) picture = picture.flatten({ background: '#ffffff' });
  // sharp takes 16-bit pictures with a profile to Display P3 and would leave them there.
  if (header.hasWideProfile) picture = picture.withIccProfile('srgb');
  let output: { data: Buffer; info: OutputInfo };
  try {
    output = await picture.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  } catch (cause) {
    throw unreadable(header.format, cause);
  }
  const { data, info } = output;
  if (info.channels !== 3 || info.width !== size.width || info.height !== size.height) {
    throw unreadable(header.format, new Error(`decoded to ${info.width}x${info.height}x${info.channels}`));
  }
  return { ...size, rgb: data };
}

/** What `fit: 'contain'` pads with: mid grey. */
const PADDING = { r: 128, g: 128, b: 128 };

/** Above so many multiplications libvips is quicker, its set-up included. */
const SHRINKING_COST_MAX = 300_000;

/**
 * Resizes to the encoder's input with Lanczos of three lobes: small inputs by ourselves, others by libvips; the sizes alone decide which. For
 * `cover` the middle is cut out first, exact to half a source pixel; sharp's own crop is exact only to half a target pixel, which at 32 pixels
 * is visible.
 */
async function fitToPreprocessing(picture: Pixels, preprocessing: Preprocessing): Promise<Pixels> {
  const { width, height, fit } = preprocessing;
  if (picture.width === width && picture.height === height) return picture;
  const part = fit === 'cover' ? middleOfShape(picture, width / height) : { left: 0, top: 0, width: picture.width, height: picture.height };
  const isShrunk = fit !== 'contain' && width <= part.width && height <= part.height;
  if (isShrunk && shrinkingCost(part, preprocessing) <= SHRINKING_COST_MAX) return shrinkPixels(picture, part, { width, height });
  let resized = sharp(picture.rgb, { raw: { width: picture.width, height: picture.height, channels: 3 } });
  if (fit === 'cover') resized = resized.extract(part);
  const data = await resized
    .resize({ width, height, fit: fit === 'contain' ? 'contain' : 'fill', kernel: 'lanczos3', background: PADDING })
    .raw()
    .toBuffer();
  return { width, height, rgb: data };
}

/** The largest centred region of a picture with the given width over height. */
function middleOfShape(picture: Size, aspect: number): PixelRectangle {
  const width = Math.max(1, Math.min(picture.width, Math.round(picture.height * aspect)));
  const height = Math.max(1, Math.min(picture.height, Math.round(picture.width / aspect)));
  return { width, height, left: Math.floor((picture.width - width) / 2), top: Math.floor((picture.height - height) / 2) };
}

/** Measured on 400x533 photos: effort 2 takes half the time of the default 4 and 3 % more bytes. */
const THUMBNAIL_EFFORT = 2;
const THUMBNAIL_QUALITY = 80;

async function encodeThumbnail(picture: Pixels, longestSide: number): Promise<Uint8Array> {
  return sharp(picture.rgb, { raw: { width: picture.width, height: picture.height, channels: 3 } })
    .resize({ width: longestSide, height: longestSide, fit: 'inside', withoutEnlargement: true })
    .webp({ effort: THUMBNAIL_EFFORT, quality: THUMBNAIL_QUALITY })
    .toBuffer();
}

function unreadable(format: ImageFormat, cause: unknown): SearchError {
  return new SearchError('UNREADABLE_IMAGE', `The ${FORMAT_NAMES[format]} image is damaged or incomplete and cannot be decoded.`, {
    cause,
  });
}
