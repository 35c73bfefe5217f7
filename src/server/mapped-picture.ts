import type { FeatureMap } from '../encoder/encoder.js';
import type { Region } from '../images/region.js';
import type { EncodedImage } from './pipeline.js';

/** A picture with what the encoder says of its places, or of those of a part of it; `features` absent where it says nothing. */
export type MappedPicture = {
  readonly width: number;
  readonly height: number;
  readonly features: FeatureMap | undefined;
  readonly crop?: Region | undefined;
};

/** What regions of an encoded picture are compared by. */
export function mappedPicture({ image, features }: EncodedImage): MappedPicture {
  return { width: image.width, height: image.height, features };
}
