/**
 * What a decode for the service needs, done plainly with the libraries: the measure that ours is held against. Nothing
 * of it is left out (the header must be read before the pixels, or a small file could ask for any memory) and nothing
 * is shared between calls of sharp but the pixels.
 */
import { createHash } from 'node:crypto';
import sharp from 'sharp';
import { perceptualHash } from '../src/images/perceptual-hash.js';

export type BareDecodeOptions = {
  /** Size of the encoder's input. */
  readonly width: number;
  readonly height: number;
  readonly thumbnail: boolean;
  readonly thumbnailSize: number;
};

/** The largest side that is kept of a picture, times one and a half: photographs up to here are not reduced. */
const KEPT_SIDE = 768;

/**
 * Header, upright RGB on white, encoder's input, hash (our PDQ; there is no library of it), digest, and a thumbnail
 * where asked for. For photographs of at most 768 pixels a side, which our own decode does not reduce either; throws
 * for larger ones, so that like is compared with like.
 */
export async function decodeWithLibraries(bytes: Uint8Array, options: BareDecodeOptions): Promise<void> {
  const metadata = await sharp(bytes, { failOn: 'warning' }).metadata();
  if (Math.max(metadata.width, metadata.height) > KEPT_SIDE)
    throw new Error(`${metadata.width}x${metadata.height} would be reduced.`);
  const { data, info } = await sharp(bytes, { failOn: 'warning' })
    .autoOrient()
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const raw = { raw: { width, height, channels: 3 } } as const;
  const input = sharp(data, raw)
    .resize(options.width, options.height, { fit: 'fill', kernel: 'lanczos3' })
    .raw()
    .toBuffer();
  const { thumbnailSize } = options;
  const thumbnail = options.thumbnail
    ? sharp(data, raw)
        .resize(thumbnailSize, thumbnailSize, { fit: 'inside', withoutEnlargement: true })
        .webp({ effort: 2 })
        .toBuffer()
    : undefined;
  perceptualHash({ width, height, rgb: data });
  createHash('sha256').update(bytes).digest();
  await Promise.all([input, thumbnail]);
}
