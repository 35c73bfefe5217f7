/**
 * Decodes one image and derives everything from it. Runs inside a decoder process; call {@link restrictSharp} first.
 */
import { createHash } from 'node:crypto';
import sharp, { type Metadata, type OutputInfo, type Sharp, type SharpOptions } from 'sharp';
import { SearchError } from '../../errors.js';
import type { DecodedImage, DecodedView, DecodeOptions, ImageFormat } from '../image-decoder.js';
import { lanczosCost, type PixelRectangle, shrinkWithLanczos } from '../lanczos.js';
import {
  type DihedralHashes,
  type DihedralVariant,
  PERCEPTUAL_HASH_QUALITY_MIN,
  perceptualHash,
  perceptualHashes,
} from '../perceptual-hash.js';
import type { Pixels } from '../pixels.js';
import type { Preprocessing } from '../preprocessing.js';
import { cropPixels, type Region, turnPixels } from '../region.js';
import { inputWindow, resample, type Size } from '../resample.js';
import { sketchOfPixels } from '../sketch.js';
import { asAvif, largestItem } from './avif-items.js';
import { FORMAT_NAMES, recogniseFormat } from './format.js';
import { checkPixelLimit, estimateDecodeBytes, type ImageLimits } from './image-limits.js';

/** Fixed for the life of a decoder process. */
export type DecodeSettings = {
  readonly limits: ImageLimits;
  readonly preprocessing: Preprocessing;
  /** Longest side of thumbnails in pixels, 1..{@link THUMBNAIL_SIZE_MAX}; smaller pictures are not enlarged. */
  readonly thumbnailSize: number;
};

/**
 * `admit` is called once the header is read, with the estimated peak of memory; decoding waits until it resolves and
 * fails as it rejects.
 */
export type DecodeImageOptions = DecodeSettings &
  DecodeOptions & { readonly admit?: (estimatedBytes: number) => Promise<void> };

/** The longest side of the reduced picture is at least this (or the picture's own), so thumbnails can be no larger. */
export const THUMBNAIL_SIZE_MAX = 512;

/**
 * Blocks every loader of libvips but the six accepted formats' buffer loaders (no files, no SVG, no PDF), turns its
 * cache off and limits it to one thread. Global to the process: called once, by the entry point.
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
 * Decodes one image to an upright, reduced sRGB picture without transparency, and derives encoder input, hash and
 * thumbnail from it. The pixels depend on the bytes, the crop and the preprocessing alone. Throws UNSUPPORTED_FORMAT,
 * HEIC_NOT_SUPPORTED, IMAGE_TOO_LARGE, UNREADABLE_IMAGE, or what `admit` rejects with.
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeImageOptions): Promise<DecodedImage> {
  const format = recogniseFormat(bytes);
  const source = { bytes: format === 'avif' ? asAvif(bytes) : bytes, format, limits: options.limits };
  const header = await readHeader(source);
  const { width, height } = header;
  const { crop, views = [], copyFeatures = false } = options;
  const size = reducedSize({ width, height }, options.preprocessing, crop);
  await options.admit?.(estimateDecodeBytes({ ...header, reducedPixels: size.width * size.height }));

  const whole = await decodeFrames(source, header, size);
  const reduced = crop === undefined ? whole : cropPixels(whole, crop);
  // libvips works in threads of its own while this one hashes.
  const pixels = fitToPreprocessing(reduced, options.preprocessing);
  const thumbnail = options.thumbnail ? encodeThumbnail(reduced, options.thumbnailSize) : undefined;
  const sketch = copyFeatures ? sketchOfPixels(reduced) : undefined;
  const hashes = copyFeatures || views.length > 0 ? perceptualHashes(reduced) : undefined;
  const { hash, quality } = hashes ?? perceptualHash(reduced);
  const { sha256 = createHash('sha256').update(bytes).digest() } = options;
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
      views.length > 0 && {
        views: await turnedViews(reduced, { views, hashes: hashes.variants }, options.preprocessing),
      }),
    ...(hashes !== undefined &&
      sketch !== undefined && { copyFeatures: { hashes: hashes.variants, sketch: await sketch } }),
  };
}

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

/** A file, with the limits of its format. */
type Source = { readonly bytes: Uint8Array; readonly format: ImageFormat; readonly limits: ImageLimits };

type Header = {
  readonly format: ImageFormat;
  /** Of the upright picture. */
  readonly width: number;
  readonly height: number;
  readonly orientation: number;
  readonly channels: number;
  readonly bytesPerSample: number;
  readonly isProgressive: boolean;
  readonly hasWideProfile: boolean;
  readonly hasAlpha: boolean;
  readonly isFloat: boolean;
  /** Samples are linear light (scRGB). */
  readonly isLinear: boolean;
  readonly frames: number;
  /** Pixels of the largest picture in the file that is decoded. */
  readonly decodedPixels: number;
};

/**
 * One page of a file, for its header or its pixels. Damage that decoders mend (stray bytes, odd scan parameters) is
 * accepted; truncation is not.
 */
function openFile({ bytes, format, limits }: Source, options: SharpOptions = {}): Sharp {
  const limitInputPixels = limits.maxPixels[format];
  return sharp(bytes, {
    failOn: 'error',
    limitInputPixels,
    limitInputChannels: 5,
    unlimited: false,
    pages: 1,
    ...options,
  });
}

async function readHeader(source: Source): Promise<Header> {
  const { bytes, format, limits } = source;
  // Read first: libvips looks at the primary item only.
  const largest = format === 'avif' ? largestItem(bytes) : undefined;
  if (largest !== undefined) checkPixelLimit({ format, ...largest }, limits);
  let metadata: Metadata;
  try {
    metadata = await openFile(source).metadata();
  } catch (cause) {
    await refuseIfTooLarge(source);
    if (cause instanceof Error && UNSUPPORTED_WORDS.test(cause.message))
      throw unsupported(`The ${FORMAT_NAMES[format]} image uses a feature of the format that is not supported`, cause);
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
    isFloat: metadata.depth === 'float' || metadata.depth === 'double',
    isLinear: metadata.space === 'scrgb',
    frames: ANIMATED.includes(format) ? (metadata.pages ?? 1) : 1,
    decodedPixels: Math.max(width * height, (largest?.width ?? 0) * (largest?.height ?? 0)),
  };
}

const ANIMATED: readonly ImageFormat[] = ['gif', 'webp'];

const BYTES_PER_SAMPLE: Readonly<Record<string, number>> = {
  uchar: 1,
  char: 1,
  ushort: 2,
  short: 2,
  uint: 4,
  int: 4,
  float: 4,
  double: 8,
};

/**
 * libvips reports "over the limit" only in its message text; so read the size again, without limit and
 * without decoding.
 */
async function refuseIfTooLarge(source: Source): Promise<void> {
  let metadata: Metadata;
  try {
    metadata = await openFile(source, { limitInputPixels: false }).metadata();
  } catch {
    return; // unreadable for another reason, which the caller reports
  }
  checkPixelLimit({ format: source.format, width: metadata.width, height: metadata.height }, source.limits);
}

function formatOf(metadata: Metadata): string | undefined {
  return metadata.format === 'heif' && metadata.compression === 'av1' ? 'avif' : metadata.format;
}

/** An imported encoder's picture is reduced to this many times its resized size first; nearer, it would show. */
const RESAMPLED_FROM = 2;

/** A smaller reduction costs more than it saves, and blurs. */
const REDUCTION_MIN = 1.5;

/**
 * Size of the reduced picture: never enlarged, and large enough for the longest thumbnail and the encoder's input of
 * the crop. It depends on nothing else of the request, so that the same crop always has the same pixels.
 */
function reducedSize(
  picture: Size,
  preprocessing: Preprocessing,
  crop: Region = { x: 0, y: 0, width: 1, height: 1 },
): Size {
  const part = { width: picture.width * crop.width, height: picture.height * crop.height };
  const scales = [preprocessing.width / part.width, preprocessing.height / part.height];
  const { fit, resize } = preprocessing;
  let forEncoder = fit === 'contain' ? Math.min(...scales) : Math.max(...scales);
  if (resize !== undefined) {
    // A kernel that skips source pixels must meet those of the file.
    if (!resize.antialias || resize.kernel === 'nearest') return picture;
    const { resized } = inputWindow(part, preprocessing, resize);
    forEncoder = RESAMPLED_FROM * Math.max(resized.width / part.width, resized.height / part.height);
  }
  const forThumbnail = THUMBNAIL_SIZE_MAX / Math.max(part.width, part.height);
  const scale = Math.max(forEncoder, forThumbnail);
  if (scale * REDUCTION_MIN > 1) return picture;
  return {
    width: Math.max(1, Math.round(picture.width * scale)),
    height: Math.max(1, Math.round(picture.height * scale)),
  };
}

/** An animation whose first frame has less detail than this, such as a fade-in, is represented by a later frame. */
const BLANK_QUALITY_MAX = 10;
/** Frames tried after a blank first one. */
const LATER_FRAMES_MAX = 8;

/** The first frame, or where it is blank the first of the next few with detail (otherwise the one with the most). */
async function decodeFrames(source: Source, header: Header, size: Size): Promise<Pixels> {
  const first = await decodeReduced(source, header, { size });
  if (header.frames <= 1) return first;
  let best = { frame: first, quality: perceptualHash(first).quality };
  if (best.quality >= BLANK_QUALITY_MAX) return first;
  for (let page = 1; page < header.frames && page <= LATER_FRAMES_MAX; page++) {
    const frame = await decodeReduced(source, header, { size, page });
    const { quality } = perceptualHash(frame);
    if (quality > best.quality) best = { frame, quality };
    if (quality >= PERCEPTUAL_HASH_QUALITY_MIN) break;
  }
  return best.frame;
}

type FrameOptions = { readonly size: Size; readonly page?: number };

/** Reads every row (the crop comes later), so that a truncated file is found out. */
async function decodeReduced(source: Source, header: Header, { size, page = 0 }: FrameOptions): Promise<Pixels> {
  const frameOf = (from: Source, failOn: 'error' | 'warning'): Sharp =>
    openFile(from, { failOn, page })
      .autoOrient()
      .resize({ ...size, fit: 'fill', kernel: 'lanczos3' });
  const picture = frameOf(source, 'error');
  if (header.isFloat) return { ...size, rgb: await floatsToRgb(picture, header) };
  let output: { data: Buffer; info: OutputInfo };
  try {
    output = await toRgb(picture, header);
  } catch (cause) {
    if (source.format !== 'jpeg' || endsWithEoi(source.bytes)) throw unreadable(header.format, cause);
    // Where only the end marker is missing, the picture is complete: with the marker, it decodes without a warning.
    const ended = { ...source, bytes: Buffer.concat([source.bytes, JPEG_EOI]) };
    output = await toRgb(frameOf(ended, 'warning'), header).catch(() => {
      throw unreadable(header.format, cause);
    });
  }
  const { data, info } = output;
  if (info.channels !== (header.hasAlpha ? 4 : 3) || info.width !== size.width || info.height !== size.height) {
    throw unreadable(header.format, new Error(`decoded to ${info.width}x${info.height}x${info.channels}`));
  }
  return { ...size, rgb: header.hasAlpha ? flatten(data) : data };
}

const JPEG_EOI = Buffer.from([0xff, 0xd9]);

function endsWithEoi(bytes: Uint8Array): boolean {
  return bytes.at(-2) === 0xff && bytes.at(-1) === 0xd9;
}

function toRgb(picture: Sharp, header: Header): Promise<{ data: Buffer; info: OutputInfo }> {
  let converted = picture.toColourspace('srgb');
  // sharp converts 16-bit pictures with a profile to Display P3 and would leave them there.
  if (header.hasWideProfile) converted = converted.withIccProfile('srgb');
  return converted.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
}

/**
 * Floating-point samples as sRGB. By convention they are 0..1 or 0..255; colours of 0..1 are linear light, as libvips
 * reads them. Throws UNSUPPORTED_FORMAT for other ranges, which a cast would show as black or white.
 */
async function floatsToRgb(picture: Sharp, { format, isLinear }: Header): Promise<Uint8Array> {
  const unconverted = isLinear ? picture.pipelineColourspace('scrgb').toColourspace('scrgb') : picture;
  const output = unconverted.raw({ depth: 'float' }).toBuffer({ resolveWithObject: true });
  const { data, info } = await output.catch((cause: unknown) => {
    throw unreadable(format, cause);
  });
  const samples = new Float32Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.length));
  let [least, most] = [0, 0];
  for (const sample of samples) {
    if (!(sample >= least)) least = sample; // NaN too
    if (!(sample <= most)) most = sample;
  }
  const range = most <= HIGHLIGHT_MAX ? 1 : 255;
  // Some colours and the resampling filter go beyond the range, and are clipped.
  if (!(most <= 2 * 255 && least >= -range) || (info.channels !== 1 && info.channels !== 3))
    throw unsupported('The TIFF image has floating-point samples with transparency or outside of 0..1 and 0..255');
  const encode = isLinear && range === 1 ? encodeSrgb : (value: number) => value;
  const rgb = new Uint8ClampedArray(info.width * info.height * 3);
  for (let at = 0; at < rgb.length; at++)
    rgb[at] = 255 * encode(samples[info.channels === 1 ? Math.floor(at / 3) : at]! / range);
  return new Uint8Array(rgb.buffer);
}

/** Samples of 0..1 may have highlights up to here, which are clipped. */
const HIGHLIGHT_MAX = 16;

/** The transfer function of sRGB (IEC 61966-2-1), for linear light of 0..1. */
function encodeSrgb(value: number): number {
  return value <= 0.0031308 ? 12.92 * value : 1.055 * value ** (1 / 2.4) - 0.055;
}

/** Colours further apart than this in one channel contrast fully. */
const FULL_CONTRAST = 64;
/** White is kept as the ground unless black contrasts this many times better. */
const GROUND_PREFERENCE = 4;

/**
 * Removes transparency: lays the picture on white, as most programs do, or on black where its own colours would hardly
 * show on white (a white logo). rgba: height x width x 4, not premultiplied. Returns height x width x 3.
 */
function flatten(rgba: Uint8Array): Uint8Array {
  let onWhite = 0;
  let onBlack = 0;
  for (let at = 0; at < rgba.length; at += 4) {
    const alpha = rgba[at + 3]!;
    if (alpha === 0) continue;
    const least = Math.min(rgba[at]!, rgba[at + 1]!, rgba[at + 2]!);
    const most = Math.max(rgba[at]!, rgba[at + 1]!, rgba[at + 2]!);
    onWhite += alpha * Math.min(FULL_CONTRAST, 255 - least);
    onBlack += alpha * Math.min(FULL_CONTRAST, most);
  }
  const ground = onWhite * GROUND_PREFERENCE < onBlack ? 0 : 255;
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    const alpha = rgba[from + 3]!;
    for (let channel = 0; channel < 3; channel++)
      rgb[to + channel] = Math.round((rgba[from + channel]! * alpha + ground * (255 - alpha)) / 255);
  }
  return rgb;
}

/** Mid grey, of `fit: 'contain'`. */
const PADDING = { r: 128, g: 128, b: 128 };

/** Above this many multiplications libvips is quicker, its set-up included. */
const LANCZOS_COST_MAX = 300_000;

/**
 * Resizes to the encoder's input as `resize` says; without it, with a Lanczos-3 filter: small inputs in JavaScript,
 * others by libvips; the sizes alone decide which. For `cover` the centre is cut out first, exact to half a source
 * pixel; sharp's own crop is exact only to half a target pixel, which is visible at 32 pixels. /
 */
async function fitToPreprocessing(picture: Pixels, preprocessing: Preprocessing): Promise<Pixels> {
  const { width, height, fit, resize } = preprocessing;
  if (resize !== undefined) return resample(picture, { width, height }, resize);
  if (picture.width === width && picture.height === height) return picture;
  const part =
    fit === 'cover'
      ? middleOfShape(picture, width / height)
      : { left: 0, top: 0, width: picture.width, height: picture.height };
  const isShrunk = fit !== 'contain' && width <= part.width && height <= part.height;
  if (isShrunk && lanczosCost(part, preprocessing) <= LANCZOS_COST_MAX)
    return shrinkWithLanczos(picture, part, { width, height });
  let resized = sharp(picture.rgb, { raw: { width: picture.width, height: picture.height, channels: 3 } });
  if (fit === 'cover') resized = resized.extract(part);
  const data = await resized
    .resize({ width, height, fit: fit === 'contain' ? 'contain' : 'fill', kernel: 'lanczos3', background: PADDING })
    .raw()
    .toBuffer();
  return { width, height, rgb: data };
}

/** The largest centred rectangle of the given aspect ratio (width / height). */
function middleOfShape(picture: Size, aspect: number): PixelRectangle {
  const width = Math.max(1, Math.min(picture.width, Math.round(picture.height * aspect)));
  const height = Math.max(1, Math.min(picture.height, Math.round(picture.width / aspect)));
  return {
    width,
    height,
    left: Math.floor((picture.width - width) / 2),
    top: Math.floor((picture.height - height) / 2),
  };
}

/** Effort 2 takes half the time of the default 4, for 3 % more bytes. */
const THUMBNAIL_EFFORT = 2;
const THUMBNAIL_QUALITY = 80;

async function encodeThumbnail(picture: Pixels, longestSide: number): Promise<Uint8Array> {
  return sharp(picture.rgb, { raw: { width: picture.width, height: picture.height, channels: 3 } })
    .resize({ width: longestSide, height: longestSide, fit: 'inside', withoutEnlargement: true })
    .webp({ effort: THUMBNAIL_EFFORT, quality: THUMBNAIL_QUALITY })
    .toBuffer();
}

/** libvips tells an unsupported header from a damaged one in its message only. */
const UNSUPPORTED_WORDS = /(?<!buffer contains )unsupported|not supported|not implemented|labq/i;

function unreadable(format: ImageFormat, cause: unknown): SearchError {
  const name = FORMAT_NAMES[format];
  return new SearchError('UNREADABLE_IMAGE', `The ${name} image is damaged or incomplete and cannot be decoded.`, {
    cause,
  });
}

function unsupported(what: string, cause?: unknown): SearchError {
  return new SearchError('UNSUPPORTED_FORMAT', `${what}; convert it to JPEG or PNG first.`, { cause });
}
