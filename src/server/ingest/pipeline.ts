/**
 * Bytes to embedding: wait for a slot, decode, encode. The main thread only awaits. Each stage is timed and counted.
 */
import { performance } from 'node:perf_hooks';
import type { Embedding, Encoder, FeatureMap } from '../../encoder/encoder.js';
import { SearchError } from '../../errors.js';
import type { DecodedImage, ImageDecoder } from '../../images/image-decoder.js';
import type { DihedralVariant } from '../../images/perceptual-hash.js';
import type { Region } from '../../images/region.js';
import type { FairQueue } from '../limits/fair-queue.js';
import type { RequestScope } from '../limits/request-tracker.js';
import type { Monitoring } from '../monitoring.js';

/**
 * An image ready to be stored or searched for, with milliseconds per stage; `queueMs` sums the waits for slot, decoder
 * and encoder.
 */
export type EncodedImage = {
  readonly image: DecodedImage;
  readonly embedding: Embedding;
  /** Where requested and the encoder has one. */
  readonly features: FeatureMap | undefined;
  /** The requested views. */
  readonly views: readonly EncodedView[];
  readonly queueMs: number;
  readonly decodeMs: number;
  readonly encodeMs: number;
};

/** A turned or mirrored picture with its own embedding. */
type EncodedView = {
  readonly view: DihedralVariant;
  readonly embedding: Embedding;
  readonly perceptualHash: Uint8Array;
};

/**
 * Decodes and encodes an image when it is its caller's turn. Throws OVERLOADED where there is no room; each view takes
 * a slot of its own. Otherwise rejects as {@link ImageDecoder} and {@link Encoder} do.
 */
export type EncodeImage = (
  bytes: Uint8Array,
  options: {
    readonly scope: RequestScope;
    readonly thumbnail: boolean;
    readonly crop?: Region | undefined;
    readonly views?: readonly DihedralVariant[];
    readonly copyFeatures?: boolean;
    readonly sha256?: Uint8Array;
    /** Whether to return the feature map. */
    readonly features?: boolean;
  },
) => Promise<EncodedImage>;

/** Decoder and encoder behind one fair queue. Their own queues are bounded by it, so an overflow there is a bug. */
export function createPipeline(parts: {
  readonly decoder: ImageDecoder;
  readonly encoder: Encoder;
  readonly queue: FairQueue;
  readonly monitoring: Monitoring;
}): EncodeImage {
  const { decoder, encoder, queue, monitoring } = parts;
  return async (
    bytes,
    { scope, thumbnail, crop, views = [], copyFeatures = false, sha256, features: wantsFeatures = false },
  ) => {
    const { caller, deadline, signal } = scope;
    const startedAt = performance.now();
    const release = await queue.acquire({ caller, slots: 1 + views.length, signal });
    const slotMs = performance.now() - startedAt;
    scope.debug('admitted', { slots: 1 + views.length, ms: slotMs });
    const work = run();
    // The work may end after the request has: the slots are released with the work.
    work.then(release, release);
    return scope.race(work);

    async function run(): Promise<EncodedImage> {
      signal.throwIfAborted();
      const wanted = { thumbnail, crop, views, copyFeatures, sha256 };
      const { image, times } = await decoder.decode(bytes, { ...wanted, deadline, signal });
      scope.debug('decoded', { format: image.format, width: image.width, height: image.height, ms: times.decodeMs });
      const turned = image.views ?? [];
      const [first, ...others] = await Promise.all(
        [image, ...turned].map(({ pixels }, at) =>
          encoder.encode(pixels, { deadline, signal, features: wantsFeatures && at === 0 }),
        ),
      );
      const { embedding, features, queueMs: encodeQueueMs, encodeMs } = first!; // the list begins with the image itself
      if (embedding.length !== encoder.description.dimensions) {
        throw new SearchError(
          'ENCODER_FAILED',
          `The encoder gave ${embedding.length} dimensions, not ${encoder.description.dimensions}.`,
        );
      }
      scope.debug('encoded', { dimensions: embedding.length, ms: encodeMs });
      const queueMs = slotMs + times.queueMs + encodeQueueMs;
      monitoring.observeStage('queue', queueMs);
      monitoring.observeStage('decode', times.decodeMs);
      monitoring.observeStage('encode', encodeMs);
      const encodedViews = turned.map(({ view, perceptualHash }, at) => ({
        view,
        perceptualHash,
        embedding: others[at]!.embedding,
      }));
      return { image, embedding, features, views: encodedViews, queueMs, decodeMs: times.decodeMs, encodeMs };
    }
  };
}
