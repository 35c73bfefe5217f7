/**
 * The golden picture of an imported encoder and the vector that it must give: from file to embedding, so that a fault
 * in decoding, resizing, normalising or in the runtime is found before a catalogue is filled with wrong vectors. /
 */
import { SearchError } from '../errors.js';
import { decodeImage } from '../images/decoding/decode-image.js';
import { DEFAULT_IMAGE_LIMITS } from '../images/decoding/image-limits.js';
import { writeInputTensor } from '../images/preprocessing.js';
import type { Runtime } from './runtime.js';
import type { EncoderManifest, SavedEncoder } from './saved-encoder.js';

/** Least cosine at which a device agrees with the vector that was stored at import. */
export const GOLDEN_COSINE_MIN = 0.999;
/** Least cosine with a vector from elsewhere: other decoders of JPEG, other libraries, half precision. */
const GIVEN_COSINE_MIN = 0.995;

/** The embedding of a picture's file, by a runtime that was opened for the encoder. */
export async function embedFile(
  image: Uint8Array,
  preprocessing: EncoderManifest['preprocessing'],
  runtime: Pick<Runtime, 'run'>,
): Promise<Float32Array> {
  const settings = { limits: DEFAULT_IMAGE_LIMITS, preprocessing, thumbnailSize: 1, thumbnail: false };
  const { pixels } = await decodeImage(image, settings);
  const target = new Float32Array(preprocessing.width * preprocessing.height * 3);
  writeInputTensor({ pixels, preprocessing, target, index: 0 });
  return (await runtime.run(target, 1)).slice();
}

/** Cosine of what a runtime gives for the golden picture and the stored vector; undefined for an encoder without. */
export async function goldenCosine(encoder: SavedEncoder, runtime: Runtime): Promise<number | undefined> {
  const { golden, manifest } = encoder;
  if (golden === undefined) return undefined;
  return cosineOf(await embedFile(golden.image, manifest.preprocessing, runtime), golden.vector);
}

/** Throws INVALID_ENCODER where the golden picture gives another vector than the stored one. */
export async function checkGolden(encoder: SavedEncoder, runtime: Runtime): Promise<void> {
  const cosine = await goldenCosine(encoder, runtime);
  if (cosine === undefined || cosine >= GOLDEN_COSINE_MIN) return;
  throw new SearchError(
    'INVALID_ENCODER',
    `${encoder.folder}: the golden picture gives another vector than at import (cosine ${cosine.toFixed(4)} on ${runtime.device}; at least ${GOLDEN_COSINE_MIN}). Import the encoder again, or choose another --device.`,
  );
}

/** Throws INVALID_ENCODER where the vector differs from the one that the encoder's makers give for the picture. */
export function checkGivenVector(vector: Float32Array, given: Float32Array, picture: string): void {
  if (vector.length !== given.length)
    throw new SearchError(
      'INVALID_ENCODER',
      `The given vector of ${picture} has ${given.length} numbers, the embedding ${vector.length}. Choose another --output.`,
    );
  const cosine = cosineOf(vector, given);
  if (cosine >= GIVEN_COSINE_MIN) return;
  throw new SearchError(
    'INVALID_ENCODER',
    `${picture} gives another vector than the given one (cosine ${cosine.toFixed(4)}; at least ${GIVEN_COSINE_MIN}): preprocessing, --output or --pool differ from where that was made.`,
  );
}

/** NaN where a vector holds NaN, and -1 where the lengths differ. */
function cosineOf(left: Float32Array, right: Float32Array): number {
  if (left.length !== right.length) return -1;
  let dot = 0;
  for (let at = 0; at < left.length; at++) dot += left[at]! * right[at]!;
  return dot / (Math.hypot(...left) * Math.hypot(...right));
}
