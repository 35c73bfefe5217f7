/** Bytes of a picture to a stored image: the one way in, for uploads, URLs and imports alike. */
import { createHash, webcrypto } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { AddResult, ImageId, Metadata } from '../../catalogue/catalogue.js';
import type { ImportItemRef } from '../../catalogue/imports/import-records.js';
import { SearchError } from '../../errors.js';
import { stripMetadata } from '../../images/metadata/strip-metadata.js';
import type { RequestScope } from '../limits/request-tracker.js';
import type { ServerContext } from '../server-context.js';
import type { OpenCollection } from '../tenancy.js';
import type { EncodedImage } from './pipeline.js';

/** A picture before its id and metadata are known: its bytes are stored already, or it is encoded. */
export type PreparedPicture =
  | { readonly kind: 'known'; readonly sha256: Uint8Array }
  | {
      readonly kind: 'encoded';
      readonly encoded: EncodedImage;
      readonly bytes: number;
      readonly original: Uint8Array | undefined;
    };

/** Where a picture goes and what is kept with it. */
export type PictureTarget = {
  readonly collection: OpenCollection;
  readonly id: ImageId | undefined;
  readonly fileName: string | null;
  /** Undefined: none for a new image; those of a stored one stay. */
  readonly metadata: Metadata | undefined;
  readonly replace: boolean;
  /** The picture of an import job that it is. */
  readonly importItem?: ImportItemRef;
};

/** Both steps throw as pipeline and catalogue reject. */
export type PictureStore = {
  /** The same bytes are not decoded twice: the catalogue is asked for their digest first. */
  prepare(scope: RequestScope, collection: OpenCollection, bytes: Buffer): Promise<PreparedPicture>;
  /** Resolves when the picture is flushed and found by the very next search. */
  store(scope: RequestScope, picture: PreparedPicture, target: PictureTarget): Promise<AddResult>;
};

/** Up to here a digest on the main thread is cheaper than handing it to the thread pool (about 1 ms a megabyte). */
const DIGEST_INLINE_BYTES = 256 * 1024;

/** The way in to a catalogue. */
export function createPictureStore(
  context: Pick<ServerContext, 'settings' | 'catalogue' | 'encodeImage' | 'monitoring'>,
): PictureStore {
  const { settings, catalogue, encodeImage, monitoring } = context;
  return {
    async prepare(scope, collection, bytes) {
      const digest = await sha256(bytes);
      const id = await scope.race(catalogue.findBySha256(collection, digest));
      if (id !== undefined) return { kind: 'known', sha256: digest };
      const encoded = await encodeImage(bytes, { scope, thumbnail: true, sha256: digest });
      const original = settings.keepOriginals ? stripMetadata(bytes, encoded.image) : undefined;
      return { kind: 'encoded', encoded, bytes: bytes.length, original };
    },
    async store(scope, picture, { collection, ...target }) {
      if (picture.kind === 'known') {
        const result = await scope.race(catalogue.addKnown(collection, { ...target, sha256: picture.sha256 }));
        if (result !== undefined) return result;
        throw new SearchError(
          'OVERLOADED',
          'The stored image of the same bytes was removed meanwhile. Send the file again.',
          {
            retryAfterSeconds: 1,
          },
        );
      }
      const { image, embedding } = picture.encoded;
      const { sha256: digest, perceptualHash, perceptualHashQuality, format, width, height, thumbnail } = image;
      if (thumbnail === undefined) throw new Error('The decoder made no thumbnail. This is a bug.');
      const startedAt = performance.now();
      const result = await scope.race(
        catalogue.add(collection, {
          ...{ sha256: digest, perceptualHash, perceptualHashQuality, format, width, height, thumbnail, embedding },
          ...{ bytes: picture.bytes, original: picture.original, ...target },
        }),
      );
      monitoring.observeStage('commit', performance.now() - startedAt);
      return result;
    },
  };
}

async function sha256(bytes: Buffer): Promise<Uint8Array> {
  if (bytes.length <= DIGEST_INLINE_BYTES) return createHash('sha256').update(bytes).digest();
  return new Uint8Array(await webcrypto.subtle.digest('SHA-256', bytes));
}
