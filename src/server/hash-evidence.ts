/** What perceptual hashes of stored and sent pictures say of each other. */
import { HASH_BYTES } from '../catalogue/hash-scan.js';
import { hammingDistance, PERCEPTUAL_HASH_QUALITY_MIN, PERCEPTUAL_HASH_THRESHOLD } from '../images/perceptual-hash.js';

/** When hashes count as near. */
export const HASH_LIMITS = { hashThreshold: PERCEPTUAL_HASH_THRESHOLD, qualityMin: PERCEPTUAL_HASH_QUALITY_MIN };

/** Whether hashes of these qualities say anything; unknown ones are trusted. */
export function speaks(qualities: readonly (number | null)[]): boolean {
  return qualities.every((quality) => quality === null || quality >= HASH_LIMITS.qualityMin);
}

/** Bits between two hashes; undefined where one of them is none: a record may hold any bytes. */
export function distanceOf(a: Uint8Array, b: Uint8Array): number | undefined {
  return a.length === HASH_BYTES && b.length === HASH_BYTES ? hammingDistance(a, b) : undefined;
}
