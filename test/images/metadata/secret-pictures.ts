/** Pictures that say more than they show: EXIF with a place, XMP, comments and what phones put behind the end. */
import { crc32 } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import type { ImageFormat } from '../../../src/images/image-decoder.js';

/** Stands in every kind of metadata that {@link withSecrets} adds. */
export const SECRET = 'Likeness-Secret-Place';

/** What no stripped file may hold. */
export const BETRAYAL = /Likeness-Secret-Place|GPS|xmpmeta|Photoshop|XMP|iTXt|tEXt|zTXt|ns\.adobe/;

/** The signs of metadata in a file; EXIF of an orientation alone is not counted where there is one. */
export function betrayals(bytes: Uint8Array, orientation: number): readonly string[] {
  const text = Buffer.from(bytes).toString('latin1');
  const signs = [text.match(BETRAYAL)?.[0], orientation === 1 ? text.match(/exif/i)?.[0] : undefined];
  return signs.filter((sign) => sign !== undefined);
}

/**
 * The same picture with metadata of every kind that its format knows; `encode` is what made it, for formats whose
 * metadata sharp writes.
 */
export async function withSecrets(
  plain: Buffer,
  {
    format,
    encode,
    orientation,
  }: { readonly format: ImageFormat; readonly encode: (picture: Sharp) => Sharp; readonly orientation: number },
): Promise<Buffer> {
  if (format === 'gif') return gifWithSecrets(plain);
  const isAnimated = ((await sharp(plain, { animated: true }).metadata()).pages ?? 1) > 1;
  const file = await encode(sharp(plain, { animated: isAnimated }))
    .withExif({
      IFD0: { ImageDescription: SECRET, Copyright: SECRET },
      IFD3: { GPSLatitude: '51/1 30/1 0/1', GPSLatitudeRef: 'N', GPSMapDatum: SECRET },
    })
    .withXmp(`<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>${SECRET}</a></x:xmpmeta>`)
    .withMetadata({ orientation })
    .toBuffer();
  if (format === 'jpeg') return jpegWithSecrets(file);
  return format === 'png' ? pngWithSecrets(file) : Buffer.concat([file, Buffer.from(SECRET)]);
}

/** A comment, Photoshop's block and an index of further pictures, which stand behind the end. */
function jpegWithSecrets(file: Buffer): Buffer {
  const segment = (marker: number, text: string): Buffer => {
    const payload = Buffer.from(text, 'latin1');
    return Buffer.concat([Buffer.from([0xff, marker, (payload.length + 2) >> 8, (payload.length + 2) & 255]), payload]);
  };
  const extra = [segment(0xfe, SECRET), segment(0xed, `Photoshop 3.0\0${SECRET}`), segment(0xe2, `MPF\0${SECRET}`)];
  return Buffer.concat([file.subarray(0, 2), ...extra, file.subarray(2), file, Buffer.from(SECRET)]);
}

/** Text of three kinds, and bytes behind the end. */
function pngWithSecrets(file: Buffer): Buffer {
  const chunk = (type: string, text: string): Buffer => {
    const body = Buffer.from(type + text, 'latin1');
    const made = Buffer.alloc(body.length + 8);
    made.writeUInt32BE(text.length, 0);
    made.set(body, 4);
    made.writeUInt32BE(crc32(body), body.length + 4);
    return made;
  };
  const header = 8 + 25;
  const extra = [chunk('tEXt', `Comment\0${SECRET}`), chunk('iTXt', `Title\0\0\0\0\0${SECRET}`), chunk('prVt', SECRET)];
  return Buffer.concat([file.subarray(0, header), ...extra, file.subarray(header), Buffer.from(SECRET)]);
}

/**
 * A comment, XMP as Adobe writes it into GIF (its text read as lengths of runs), another application's block, and bytes
 * behind the end.
 */
function gifWithSecrets(file: Buffer): Buffer {
  const runs = (text: string): Buffer =>
    Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1'), Buffer.from([0])]);
  const trailer = Buffer.concat([
    Buffer.from([1]),
    Buffer.from(Array.from({ length: 256 }, (_, at) => 255 - at)),
    Buffer.from([0]),
  ]);
  const extra = [
    Buffer.concat([Buffer.from([0x21, 0xfe]), runs(SECRET)]),
    Buffer.concat([Buffer.from([0x21, 0xff, 11]), Buffer.from(`XMP DataXMP<x:xmpmeta>${SECRET}</x:xmpmeta>`), trailer]),
    Buffer.concat([Buffer.from([0x21, 0xff, 11]), Buffer.from('SECRETAPP01'), runs(SECRET)]),
  ];
  const flags = file[10]!;
  const start = 13 + ((flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1));
  return Buffer.concat([file.subarray(0, start), ...extra, file.subarray(start), Buffer.from(SECRET)]);
}
