/**
 * Paths of a stored image's pictures, as answers name them. Relative to the service's root: a proxy may have put a
 * prefix before it.
 */
import type { ImageId } from '../catalogue/catalogue.js';

/** Bytes of a picture's digest that tell it from others of the same id: 8 characters. */
const VERSION_BYTES = 6;

/**
 * Path of an image's thumbnail. With the picture's digest it changes when the picture does, so that a browser may keep
 * what it names for ever.
 */
export function thumbnailUrl(collection: string, id: ImageId, sha256?: Uint8Array): string {
  return picturePath('thumbnail', collection, id, sha256);
}

/** Path of the file as it was uploaded, or null where it was not kept, so that nobody has to ask in vain. */
export function originalUrl(
  collection: string,
  { id, sha256, hasOriginal }: { readonly id: ImageId; readonly sha256: Uint8Array; readonly hasOriginal: boolean },
): string | null {
  return hasOriginal ? picturePath('original', collection, id, sha256) : null;
}

function picturePath(
  part: 'thumbnail' | 'original',
  collection: string,
  id: ImageId,
  sha256: Uint8Array | undefined,
): string {
  const parameters = new URLSearchParams();
  if (collection !== 'default') parameters.set('collection', collection);
  if (sha256 !== undefined) parameters.set('v', Buffer.from(sha256.subarray(0, VERSION_BYTES)).toString('base64url'));
  const query = parameters.toString();
  return `/images/${encodeURIComponent(id)}/${part}${query === '' ? '' : `?${query}`}`;
}
