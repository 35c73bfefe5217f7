/** Bytes to embedding: wait, decode, wait, encode. The main thread only awaits; the time of each stage is kept and counted. */
import type { Embedding, Encoder } from '../encoder/encoder.js';
import { SearchError } from '../errors.js';
import type { DecodedImage, ImageDecoder } from '../images/image-decoder.js';
import type { Region } from '../images/region.js';
import type { Budget } from './admission.js';
import type { Monitoring } from './monitoring.js';
import type { RequestLife } from './request-ledger.js';

/** An image ready to be stored or searched for, with milliseconds per stage; `queueMs` is the wait for decoder and encoder together. */
export type EncodedImage = {
  readonly image: DecodedImage;
  readonly embedding: Embedding;
  readonly queueMs: number;
  readonly decodeMs: number;
  readonly encodeMs: number;
};

/**
 * Makes an image's embedding. Throws OVERLOADED at once where `maxImagesInFlight` images are on their way already: images are counted, not
 * requests, so that many files in one request are many. Otherwise as {@link ImageDecoder} and {@link Encoder} reject.
 */
export type EncodeImage = (
  bytes: Uint8Array,
  options: { readonly life: RequestLife; readonly thumbnail: boolean; readonly crop?: Region | undefined },
) => Promise<EncodedImage>;

/** Puts decoder and encoder in a row, under one bound on the images between them. */
export function createPipeline(parts: {
  readonly decoder: ImageDecoder;
  readonly encoder: Encoder;
  readonly inFlight: Budget;
  readonly monitoring: Monitoring;
}): EncodeImage {
  const { decoder, encoder, inFlight, monitoring } = parts;
  return async (bytes, { life, thumbnail, crop }) => {
    const { deadline, signal } = life;
    inFlight.take(1);
    const work = run();
    // The place is free when the work has really ended, which may be after the request was given up.
    work.then(
      () => inFlight.give(1),
      () => inFlight.give(1),
    );
    return life.bound(work);

    async function run(): Promise<EncodedImage> {
      signal.throwIfAborted();
      const { image, times } = await decoder.decode(bytes, { thumbnail, crop, deadline, signal });
      const { embedding, queueMs: encodeQueueMs, encodeMs } = await encoder.encode(image.pixels, { deadline, signal });
      if (embedding.length !== encoder.description.dimensions) {
        throw new SearchError('ENCODER_FAILED', `The encoder gave ${embedding.length} dimensions, not ${encoder.description.dimensions}.`);
      }
      const queueMs = times.queueMs + encodeQueueMs;
      monitoring.observeStage('queue', queueMs);
      monitoring.observeStage('decode', times.decodeMs);
      monitoring.observeStage('encode', encodeMs);
      return { image, embedding, queueMs, decodeMs: times.decodeMs, encodeMs };
    }
  };
}
