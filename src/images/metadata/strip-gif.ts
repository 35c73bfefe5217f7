/** GIF (CompuServe, 89a): a header, then blocks, whose data come in sub-blocks of at most 255 bytes. */
import { PARTS_MAX } from './file-parts.js';

const HEADER_BYTES = 13;
const [IMAGE, EXTENSION, TRAILER] = [0x2c, 0x21, 0x3b];
const [GRAPHIC_CONTROL, APPLICATION, COMMENT] = [0xf9, 0xff, 0xfe];
const IMAGE_HEADER_BYTES = 10;
/** Of an application extension: marker, label, length, name of eleven characters. */
const APPLICATION_HEADER_BYTES = 14;
const PROFILE = 'ICCRGBG1012';
const LOOPING = new Set(['NETSCAPE2.0', 'ANIMEXTS1.0']);
/** The loop count: a sub-block of three bytes, and the empty sub-block that ends the data. */
const LOOPING_BYTES = 5;

/**
 * Keeps frames, timing, loop count and colour profile; drops comments, XMP, other application extensions and what
 * follows the end. Undefined where a block is truncated or unknown.
 */
export function stripGif(bytes: Uint8Array): Uint8Array[] | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const pieces: Uint8Array[] = [];
  let at = HEADER_BYTES + tableBytes(bytes[10]!);
  pieces.push(bytes.subarray(0, Math.min(at, bytes.length)));
  for (let part = 0; at < bytes.length && part < PARTS_MAX; part++) {
    const kind = bytes[at];
    if (kind === TRAILER) {
      pieces.push(bytes.subarray(at, at + 1));
      return pieces;
    }
    const label = bytes[at + 1];
    let end: number | undefined;
    let isKept = true;
    if (kind === IMAGE) {
      // One byte, the minimum code size, precedes the sub-blocks.
      end = endOfRuns(bytes, at + IMAGE_HEADER_BYTES + tableBytes(bytes[at + IMAGE_HEADER_BYTES - 1] ?? 0) + 1);
    } else if (kind !== EXTENSION) return undefined;
    else if (label === GRAPHIC_CONTROL || label === COMMENT) {
      end = endOfRuns(bytes, at + 2);
      isKept = label === GRAPHIC_CONTROL;
    } else if (label === APPLICATION && bytes[at + 2] === APPLICATION_HEADER_BYTES - 3) {
      end = endOfRuns(bytes, at + APPLICATION_HEADER_BYTES);
      const name = String.fromCharCode(...bytes.subarray(at + 3, at + APPLICATION_HEADER_BYTES));
      const isLooping = LOOPING.has(name) && end === at + APPLICATION_HEADER_BYTES + LOOPING_BYTES;
      isKept = isLooping || name === PROFILE;
    }
    if (end === undefined) return undefined;
    if (isKept) pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return undefined;
}

/** Bytes of a colour table, by the flags before it. */
function tableBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1);
}

/** The position after the empty sub-block that ends a block's data; undefined where there is none. */
function endOfRuns(bytes: Uint8Array, from: number): number | undefined {
  let at = from;
  for (;;) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    at += 1 + length;
    if (length === 0) return at;
  }
}
