/** PNG and APNG (PNG third edition, W3C): a signature and chunks, each with length, type and checksum. */
import { crc32 } from 'node:zlib';
import { orientationBlock, PARTS_MAX } from './file-parts.js';

const SIGNATURE_BYTES = 8;
/** Length, type, checksum. */
const FRAME_BYTES = 12;
/** Chunks of the picture, its colours, its print size and its animation. */
const KEPT = new Set(
  'IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP cICP mDCV cLLI sBIT bKGD hIST pHYs acTL fcTL fdAT'.split(' '),
);

/**
 * Drops text, time, EXIF, unknown chunks and what follows the end. Undefined where a chunk is truncated, or an unknown
 * one is critical.
 */
export function stripPng(bytes: Uint8Array, orientation: number): Uint8Array[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const pieces: Uint8Array[] = [];
  pieces.push(bytes.subarray(0, Math.min(SIGNATURE_BYTES, bytes.length)));
  for (let at = SIGNATURE_BYTES, part = 0; at + FRAME_BYTES <= bytes.length && part < PARTS_MAX; part++) {
    const end = at + FRAME_BYTES + view.getUint32(at);
    if (end > bytes.length) return undefined;
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if ((at === SIGNATURE_BYTES) !== (type === 'IHDR')) return undefined;
    if (KEPT.has(type)) pieces.push(bytes.subarray(at, end));
    else if (!/^[a-z][A-Za-z]{3}$/.test(type)) return undefined; // An upper-case first letter marks a critical chunk.
    if (type === 'IHDR' && orientation !== 1) pieces.push(orientationChunk(orientation));
    if (type === 'IEND') return pieces;
    at = end;
  }
  return undefined;
}

function orientationChunk(orientation: number): Uint8Array {
  const block = orientationBlock(orientation);
  const chunk = Buffer.alloc(FRAME_BYTES + block.length);
  chunk.writeUInt32BE(block.length, 0);
  chunk.write('eXIf', 4, 'latin1');
  chunk.set(block, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + block.length)), 8 + block.length);
  return chunk;
}
