/** JPEG (ITU-T T.81, annex B): a sequence of segments, with coded data after each SOS. */
import { orientationBlock, PARTS_MAX } from './file-parts.js';

const [SOI, EOI, SOS, COM, APP0, APP2, APP14, APP15] = [0xd8, 0xd9, 0xda, 0xfe, 0xe0, 0xe2, 0xee, 0xef];
/** Tables, number of lines, restart interval, and frame headers of all kinds but hierarchical ones. */
const NEEDED = new Set([0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc9, 0xca, 0xcb, 0xcc, 0xdb, 0xdc, 0xdd, SOS]);
/**
 * JFIF without its thumbnail, and Adobe's colour transform: both decide how colours are read. Longer segments are cut
 * to the defined fields.
 */
const JFIF_BYTES = 14;
const ADOBE_BYTES = 12;

/**
 * Keeps what decoding needs, JFIF without thumbnail, Adobe's transform and ICC profiles; drops other application
 * segments, comments, and what follows the end (phones append more pictures, videos and their own data). Undefined
 * where a segment or the end is missing or unknown.
 */
export function stripJpeg(bytes: Uint8Array, orientation: number): Uint8Array[] | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== SOI) return undefined;
  const pieces: Uint8Array[] = [];
  pieces.push(bytes.subarray(0, 2));
  let isOriented = orientation === 1;
  for (let at = 2, part = 0; part < PARTS_MAX; part++) {
    if (bytes[at] !== 0xff) return undefined;
    while (bytes[at + 1] === 0xff) at += 1; // Any number of 0xFF may precede a marker.
    const marker = bytes[at + 1];
    if (marker === undefined) return undefined;
    // The EXIF block comes after JFIF and before the tables.
    if (!isOriented && marker !== APP0) {
      pieces.push(orientationSegment(orientation));
      isOriented = true;
    }
    if (marker === EOI) {
      pieces.push(bytes.subarray(at, at + 2));
      return pieces;
    }
    const length = at + 4 <= bytes.length ? bytes[at + 2]! * 256 + bytes[at + 3]! : 0;
    const payload = at + 4;
    const end = at + 2 + length;
    if (length < 2 || end > bytes.length) return undefined;
    if (NEEDED.has(marker)) pieces.push(bytes.subarray(at, end));
    else if (marker === APP0 && startsWith(bytes, payload, end, 'JFIF\0') && end - payload >= JFIF_BYTES)
      pieces.push(segment(APP0, [...bytes.subarray(payload, payload + JFIF_BYTES - 2), 0, 0]));
    else if (marker === APP14 && startsWith(bytes, payload, end, 'Adobe') && end - payload >= ADOBE_BYTES)
      pieces.push(segment(APP14, bytes.subarray(payload, payload + ADOBE_BYTES)));
    else if (marker === APP2 && startsWith(bytes, payload, end, 'ICC_PROFILE\0')) pieces.push(bytes.subarray(at, end));
    else if (!((marker >= APP0 && marker <= APP15) || marker === COM)) return undefined;
    at = end;
    if (marker !== SOS) continue;
    at = endOfScan(bytes, end);
    pieces.push(bytes.subarray(end, at));
  }
  return undefined;
}

/**
 * Position of the next marker that is neither a stuffed 0xFF nor a restart; the end of the bytes where there is none.
 */
function endOfScan(bytes: Uint8Array, from: number): number {
  for (let at = from; at + 1 < bytes.length; at++) {
    if (bytes[at] !== 0xff) continue;
    const next = bytes[at + 1]!;
    if (next === 0xff) continue;
    if (next !== 0 && (next < 0xd0 || next > 0xd7)) return at;
    at += 1;
  }
  return bytes.length;
}

function orientationSegment(orientation: number): Uint8Array {
  return segment(0xe1, [...Buffer.from('Exif\0\0'), ...orientationBlock(orientation)]);
}

function segment(marker: number, payload: ArrayLike<number>): Uint8Array {
  const made = new Uint8Array(4 + payload.length);
  made.set([0xff, marker, (payload.length + 2) >> 8, (payload.length + 2) & 0xff]);
  made.set(payload, 4);
  return made;
}

function startsWith(bytes: Uint8Array, from: number, to: number, text: string): boolean {
  if (to - from < text.length) return false;
  for (let at = 0; at < text.length; at++) if (bytes[from + at] !== text.charCodeAt(at)) return false;
  return true;
}
