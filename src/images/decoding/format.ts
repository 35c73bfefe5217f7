import { SearchError } from '../../errors.js';
import type { ImageFormat } from '../image-decoder.js';

/**
 * Recognises an image format by its first bytes, never by name or declared type. Throws HEIC_NOT_SUPPORTED for HEIF
 * pictures that are not AVIF, and UNSUPPORTED_FORMAT otherwise, naming the format where it is known.
 */
export function recogniseFormat(bytes: Uint8Array): ImageFormat {
  if (bytes.length === 0) throw new SearchError('UNSUPPORTED_FORMAT', `The file is empty; ${ACCEPTED}`);
  for (const [format, ...magics] of ACCEPTED_MAGIC) if (magics.some((magic) => startsWith(bytes, magic))) return format;
  if (startsWith(bytes, 'RIFF') && text(bytes, 8, 12) === 'WEBP') return 'webp';
  const family = isoMediaFamily(bytes);
  if (family === 'avif') return 'avif';
  if (family === 'heif') {
    throw new SearchError(
      'HEIC_NOT_SUPPORTED',
      'The file is a HEIC/HEIF picture, which is not supported; convert it to JPEG or AVIF first.',
    );
  }
  const kind = family ?? nameUnsupported(bytes);
  const subject =
    kind === undefined ? 'The file is in no image format known to Likeness' : `The file looks like ${kind}`;
  throw new SearchError('UNSUPPORTED_FORMAT', `${subject}; ${ACCEPTED}`);
}

/** Names of formats for messages. */
export const FORMAT_NAMES: Readonly<Record<ImageFormat, string>> = {
  jpeg: 'JPEG',
  png: 'PNG',
  webp: 'WebP',
  gif: 'GIF',
  avif: 'AVIF',
  tiff: 'TIFF',
};

const ACCEPTED = 'send JPEG, PNG, WebP, GIF, AVIF or TIFF.';

const ACCEPTED_MAGIC: readonly (readonly [ImageFormat, ...string[]])[] = [
  ['jpeg', '\xff\xd8\xff'],
  ['png', '\x89PNG\r\n\x1a\n'],
  ['gif', 'GIF87a', 'GIF89a'],
  ['tiff', 'II*\0', 'MM\0*', 'II+\0', 'MM\0+'], // the last two are BigTIFF
];

const UNSUPPORTED_MAGIC: readonly (readonly [string, ...string[]])[] = [
  ['a BMP image', 'BM'],
  ['a Photoshop document', '8BPS'],
  ['a JPEG XL image', '\xff\x0a', '\0\0\0\x0cJXL '],
  ['a JPEG 2000 image', '\0\0\0\x0cjP  ', '\xff\x4f\xff\x51'],
  ['an OpenEXR image', '\x76\x2f\x31\x01'],
  ['a Radiance HDR image', '#?RADIANCE', '#?RGBE'],
  ['a QOI image', 'qoif'],
  ['a DDS texture', 'DDS '],
  ['a FITS image', 'SIMPLE  ='],
  ['an Apple icon', 'icns'],
  ['a Netpbm image', 'P1\n', 'P2\n', 'P3\n', 'P4\n', 'P5\n', 'P6\n', 'P7\n'],
  ['a PostScript document', '%!PS'],
  ['a ZIP archive', 'PK\x03\x04', 'PK\x05\x06'],
  ['a gzip file (SVGZ is one)', '\x1f\x8b'],
  ['a WebM or Matroska video', '\x1a\x45\xdf\xa3'],
];

/** Brands of HEIF pictures coded as HEVC, or of the general container when nothing says AVIF. */
const HEIF_BRANDS = new Set(['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'hevm', 'hevs', 'mif1', 'mif2', 'msf1']);
const HEVC_BRANDS = new Set(['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'hevm', 'hevs']);
const AVIF_BRANDS = new Set(['avif', 'avis']);
const BRANDS_MAX = 64;

type IsoUnsupported = 'an MP4 or QuickTime video' | 'an AVIF image sequence';

/** Tells ISO base media files apart by the brands of the leading `ftyp` box (ISO/IEC 14496-12, 4.3). */
function isoMediaFamily(bytes: Uint8Array): 'avif' | 'heif' | IsoUnsupported | undefined {
  if (text(bytes, 4, 8) !== 'ftyp') return undefined;
  const boxEnd = Math.min(
    new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0),
    bytes.length,
    16 + 4 * BRANDS_MAX,
  );
  const major = text(bytes, 8, 12);
  const brands = [major];
  for (let at = 16; at + 4 <= boxEnd; at += 4) brands.push(text(bytes, at, at + 4));
  if (HEVC_BRANDS.has(major)) return 'heif';
  if (major === 'avis') return 'an AVIF image sequence';
  if (brands.some((brand) => AVIF_BRANDS.has(brand))) return 'avif';
  return brands.some((brand) => HEIF_BRANDS.has(brand)) ? 'heif' : 'an MP4 or QuickTime video';
}

const SNIFFED_BYTES = 4096;

function nameUnsupported(bytes: Uint8Array): string | undefined {
  for (const [name, ...magics] of UNSUPPORTED_MAGIC) if (magics.some((magic) => startsWith(bytes, magic))) return name;
  // A Truevision header may begin with the same four bytes; a directory of icons is never empty.
  const isIconType = ['\0\0\x01\0', '\0\0\x02\0'].includes(text(bytes, 0, 4));
  if (isIconType && text(bytes, 4, 6) !== '\0\0') return 'an icon (ICO or CUR)';
  if (isTruevision(bytes)) return 'a TGA image';
  const opening = text(bytes, 0, SNIFFED_BYTES).replaceAll('\0', '').toLowerCase(); // without the zeros of UTF-16
  if (opening.slice(0, 1024).includes('%pdf-')) return 'a PDF document';
  if (opening.includes('<svg')) return 'an SVG drawing';
  if (opening.includes('<html') || opening.includes('<!doctype html') || opening.includes('<script'))
    return 'an HTML page';
  if (opening.trimStart().startsWith('<?xml')) return 'an XML document';
  return undefined;
}

/** TGA has no magic number: its header's colour map, image type and depth are checked, or its footer. */
function isTruevision(bytes: Uint8Array): boolean {
  if (text(bytes, bytes.length - 18, bytes.length).startsWith('TRUEVISION-XFILE')) return true;
  const [colourMap = 255, type = 255, depth = 255] = [bytes[1], bytes[2], bytes[16]];
  return colourMap <= 1 && [1, 2, 3, 9, 10, 11].includes(type) && [8, 15, 16, 24, 32].includes(depth);
}

function startsWith(bytes: Uint8Array, magic: string): boolean {
  return text(bytes, 0, magic.length) === magic;
}

/** Bytes as Latin-1 text, so that magic numbers can be written as strings. */
function text(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1', from, Math.min(to, bytes.length));
}
