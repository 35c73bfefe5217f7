/** WebP (RFC 9649): a RIFF file of chunks, padded to even length. */
import { orientationBlock, PARTS_MAX } from './file-parts.js';

const HEADER_BYTES = 12;
const CHUNK_HEADER_BYTES = 8;
/** Of an animation frame, before its chunks. */
const FRAME_HEADER_BYTES = 16;
/** Alpha and colours. */
const FRAME_CHUNKS_MAX = 2;
const EXTENDED_BYTES = 10;
const [EXIF_FLAG, XMP_FLAG] = [0x08, 0x04];
const PICTURE = new Set(['VP8 ', 'VP8L', 'ALPH']);
const KEPT = new Set([...PICTURE, 'VP8X', 'ANIM', 'ANMF', 'ICCP']);

/**
 * Keeps pictures, animation and colour profile; drops EXIF, XMP, unknown chunks and what follows the end. Undefined
 * where a chunk is truncated or invalid.
 */
export function stripWebp(bytes: Uint8Array, orientation: number): Uint8Array[] | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = CHUNK_HEADER_BYTES + view.getUint32(4, true);
  if (end > bytes.length) return undefined;
  const header = new Uint8Array(bytes.subarray(0, HEADER_BYTES)); // A Buffer's slice would be the input itself.
  const pieces: Uint8Array[] = [];
  pieces.push(header);
  let isExtended = false;
  const isWhole = eachChunk(
    view,
    { from: HEADER_BYTES, end, chunksMax: PARTS_MAX },
    ({ name, from, payload, to, next }) => {
      if (name === 'VP8X') {
        if (to - payload !== EXTENDED_BYTES) return false;
        const extended = new Uint8Array(bytes.subarray(from, next));
        extended[CHUNK_HEADER_BYTES] =
          (extended[CHUNK_HEADER_BYTES]! & ~(EXIF_FLAG | XMP_FLAG)) | (orientation === 1 ? 0 : EXIF_FLAG);
        pieces.push(extended);
        isExtended = true;
      } else if (KEPT.has(name)) pieces.push(bytes.subarray(from, next));
      return name !== 'ANMF' || isFrame(view, payload, to);
    },
  );
  if (!isWhole) return undefined;
  if (orientation !== 1) {
    if (!isExtended) return undefined; // The simple format has no EXIF chunk.
    pieces.push(orientationChunk(orientation));
  }
  new DataView(header.buffer).setUint32(
    4,
    pieces.reduce((sum, { length }) => sum + length, -CHUNK_HEADER_BYTES),
    true,
  );
  return pieces;
}

type Chunk = {
  readonly name: string;
  readonly from: number;
  readonly payload: number;
  readonly to: number;
  readonly next: number;
};

type ChunkRange = { readonly from: number; readonly end: number; readonly chunksMax: number };

/**
 * Calls `visit` for each chunk of a range; false where one is truncated, there are too many, or `visit` returns false.
 */
function eachChunk(view: DataView, { from, end, chunksMax }: ChunkRange, visit: (chunk: Chunk) => boolean): boolean {
  let at = from;
  for (let chunk = 0; at < end; chunk++) {
    if (chunk === chunksMax) return false;
    const payload = at + CHUNK_HEADER_BYTES;
    if (payload > end) return false;
    const to = payload + view.getUint32(at + 4, true);
    const next = to + ((to - payload) & 1);
    if (next > end) return false;
    const name = String.fromCharCode(
      view.getUint8(at),
      view.getUint8(at + 1),
      view.getUint8(at + 2),
      view.getUint8(at + 3),
    );
    if (!visit({ name, from: at, payload, to, next })) return false;
    at = next;
  }
  return true;
}

/** False where a frame holds chunks that are no picture: they would be copied with it. */
function isFrame(view: DataView, payload: number, end: number): boolean {
  return (
    payload + FRAME_HEADER_BYTES <= end &&
    eachChunk(view, { from: payload + FRAME_HEADER_BYTES, end, chunksMax: FRAME_CHUNKS_MAX }, ({ name }) =>
      PICTURE.has(name),
    )
  );
}

function orientationChunk(orientation: number): Uint8Array {
  const block = orientationBlock(orientation);
  const chunk = Buffer.alloc(CHUNK_HEADER_BYTES + block.length);
  chunk.write('EXIF', 'latin1');
  chunk.writeUInt32LE(block.length, 4);
  chunk.set(block, CHUNK_HEADER_BYTES);
  return chunk;
}
