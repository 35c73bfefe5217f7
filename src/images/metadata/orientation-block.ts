/** EXIF that says which way is up, and nothing else. */

/** A TIFF header and one directory of one entry: tag 0x0112, one SHORT, 1 to 8, big endian. 26 bytes, without the "Exif" that JPEG puts before it. */
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
