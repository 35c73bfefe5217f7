/** Bytes to embedding: wait, decode, wait, encode. The main thread only awaits; the time of each stage is kept and counted. */
import { performance } from 'node:perf_hooks';
import type { Embedding, Encoder, FeatureMap } from '../encoder/encoder.js';
import { SearchError } from '../errors.js';
import type { DecodedImage, ImageDecoder } from '../images/image-decoder.js';
import type { DihedralVariant } from '../images/perceptual-hash.js';
import type { Region } from '../images/region.js';
import type { FairTurns } from './fair-turns.js';
import type { Monitoring } from './monitoring.js';
import type { RequestLife } from './request-ledger.js';

/** An image ready to be stored or searched for, with milliseconds per stage; `queueMs` is the wait for its turn, decoder and encoder together. */
export type EncodedImage = {
  readonly image: DecodedImage;
  readonly embedding: Embedding;
  /** Where it was asked for and the encoder has one. */
  readonly features: FeatureMap | undefined;
  /** The views asked for. */
  readonly views: readonly EncodedView[];
  readonly queueMs: number;
  readonly decodeMs: number;
  readonly encodeMs: number;
};

/** A turned or mirrored picture with its own embedding. */
export type EncodedView = { readonly view: DihedralVariant; readonly embedding: Embedding; readonly perceptualHash: Uint8Array };

/**
 * Makes an image's embedding when it is its caller's turn. Throws OVERLOADED at once where there is no room: images are counted, not requests, so that many
 * files in one request are many, and each view is one more. Otherwise as {@link ImageDecoder} and {@link Encoder} reject.
 */
export type EncodeImage = (
  bytes: Uint8Array,
  options: {
    readonly life: RequestLife;
    readonly thumbnail: boolean;
    readonly crop?: Region | undefined;
    readonly views?: readonly DihedralVariant[];
    /** The image is to have its CopyTraits. */
    readonly traits?: boolean;
    /** The image is to have its feature map. */
    readonly features?: boolean;
  },
) => Promise<EncodedImage>;

/** Puts decoder and encoder in a row, behind one turnstile for both. */
export function createPipeline(parts: {
  readonly decoder: ImageDecoder;
  readonly encoder: Encoder;
  readonly turns: FairTurns;
  readonly monitoring: Monitoring;
}): EncodeImage {
  const { decoder, encoder, turns, monitoring } = parts;
  return async (bytes, { life, thumbnail, crop, views = [], traits = false, features: wantsFeatures = false }) => {
    const { caller, deadline, signal } = life;
    const askedAt = performance.now();
    const giveBack = await turns.take({ caller, places: 1 + views.length, signal });
    const turnMs = performance.now() - askedAt;
    const work = run();
    // The places are free when the work has really ended, which may be after the request was given up.
    work.then(giveBack, giveBack);
    return life.bound(work);

    async function run(): Promise<EncodedImage> {
      signal.throwIfAborted();
      const { image, times } = await decoder.decode(bytes, { thumbnail, crop, views, traits, deadline, signal });
      const turned = image.views ?? [];
      const [first, ...others] = await Promise.all(
        [image, ...turned].map(({ pixels }, at) => encoder.encode(pixels, { deadline, signal, features: wantsFeatures && at === 0 })),
      );
      const { embedding, features, queueMs: encodeQueueMs, encodeMs } = first!; // the image's own, of a list that begins with it
      if (embedding.length !== encoder.description.dimensions) {
        throw new SearchError('ENCODER_FAILED', `The encoder gave ${embedding.length} dimensions, not ${encoder.description.dimensions}.`);
      }
      const queueMs = turnMs + times.queueMs + encodeQueueMs;
      monitoring.observeStage('queue', queueMs);
      monitoring.observeStage('decode', times.decodeMs);
      monitoring.observeStage('encode', encodeMs);
      const encodedViews = turned.map(({ view, perceptualHash }, at) => ({ view, perceptualHash, embedding: others[at]!.embedding }));
      return { image, embedding, features, views: encodedViews, queueMs, decodeMs: times.decodeMs, encodeMs };
    }
  };
}
