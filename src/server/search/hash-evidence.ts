/** What two perceptual hashes say of each other. */
import { HASH_BYTES } from '../../catalogue/hashes/linear-hash-index.js';
import {
  hammingDistance,
  PERCEPTUAL_HASH_QUALITY_MIN,
  PERCEPTUAL_HASH_THRESHOLD,
} from '../../images/perceptual-hash.js';

/** Most bits between the hashes of copies. */
export const NEAR_HASH_BITS = PERCEPTUAL_HASH_THRESHOLD;

const FLAT_QUALITY = 10;

/** A perceptual hash and its quality; a quality that is not known is trusted. */
export type QualifiedHash = { readonly hash: Uint8Array; readonly quality: number | null };

/** Whether a picture has enough detail for its hash to say anything. */
export function hasDetail(quality: number | null): boolean {
  return quality === null || quality >= PERCEPTUAL_HASH_QUALITY_MIN;
}

/** Whether a picture has next to no detail: of 1,850 photographs the lowest quality is 69; of one colour it is 0. */
export function isFlat(quality: number | null): boolean {
  return quality !== null && quality < FLAT_QUALITY;
}

/** Bits between two hashes, 0..256; undefined where one of them has too little detail. */
export function hashDistance(a: QualifiedHash, b: QualifiedHash): number | undefined {
  return hasDetail(a.quality) && hasDetail(b.quality) ? hashBits(a.hash, b.hash) : undefined;
}

/**
 * Bits between two hashes, whatever they are worth; undefined where one of them is none: a record may hold any bytes.
 */
export function hashBits(a: Uint8Array, b: Uint8Array): number | undefined {
  return a.length === HASH_BYTES && b.length === HASH_BYTES ? hammingDistance(a, b) : undefined;
}

/** The hash of a record or of a decoded picture. */
export function hashOf(picture: {
  readonly perceptualHash: Uint8Array;
  readonly perceptualHashQuality?: number | null;
}): QualifiedHash {
  return { hash: picture.perceptualHash, quality: picture.perceptualHashQuality ?? null };
}
