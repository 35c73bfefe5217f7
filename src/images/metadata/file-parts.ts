/**
 * Most segments, chunks or blocks of one file. Real pictures have a few thousand at most, and each costs time whatever
 * its size.
 */
export const PARTS_MAX = 20_000;

/**
 * An EXIF block that holds the orientation (1 to 8) only: a big-endian TIFF header and one directory of one entry, tag
 * 0x0112, without JPEG's "Exif" prefix.
 */
export function orientationBlock(orientation: number): Uint8Array {
  const block = new DataView(new ArrayBuffer(26));
  block.setUint32(0, 0x4d4d002a); // "MM", 42
  block.setUint32(4, 8);
  block.setUint16(8, 1);
  block.setUint16(10, 0x0112);
  block.setUint16(12, 3);
  block.setUint32(14, 1);
  block.setUint16(18, orientation);
  return new Uint8Array(block.buffer);
}
