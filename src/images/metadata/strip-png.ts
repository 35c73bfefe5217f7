/** PNG and APNG (PNG third edition, W3C): a signature and chunks, each with length, type and check sum. */
import { crc32 } from 'node:zlib';
import { KeptPieces, PARTS_MAX } from './kept-pieces.js';
import { orientationBlock } from './orientation-block.js';

const SIGNATURE_BYTES = 8;
/** Length, type, check sum. */
const FRAME_BYTES = 12;
/** The picture, its colours, its size in print and its animation. */
const KEPT = new Set([
  ...['IHDR', 'PLTE', 'IDAT', 'IEND', 'tRNS', 'gAMA', 'cHRM', 'sRGB', 'iCCP', 'cICP', 'mDCV', 'cLLI', 'sBIT', 'bKGD', 'hIST', 'pHYs'],
  ...['acTL', 'fcTL', 'fdAT'],
]);

/** Keeps the chunks that show the picture; drops text, time, EXIF and unknown ones, and what stands behind the end. Undefined where a chunk is cut or a needed one unknown. */
export function stripPng(bytes: Uint8Array, orientation: number): Uint8Array | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const pieces = new KeptPieces(bytes);
  pieces.keep(0, Math.min(SIGNATURE_BYTES, bytes.length));
  for (let at = SIGNATURE_BYTES, part = 0; at + FRAME_BYTES <= bytes.length && part < PARTS_MAX; part++) {
    const end = at + FRAME_BYTES + view.getUint32(at);
    if (end > bytes.length) return undefined;
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if ((at === SIGNATURE_BYTES) !== (type === 'IHDR')) return undefined;
    if (KEPT.has(type)) pieces.keep(at, end);
    else if (!/^[a-z][A-Za-z]{3}$/.test(type)) return undefined; // A capital first: not to be shown without it.
    if (type === 'IHDR' && orientation !== 1) pieces.insert(orientationChunk(orientation));
    if (type === 'IEND') return pieces.join();
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
