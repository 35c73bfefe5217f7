/** Bytes of a picture to a stored image: the one way in, for uploads, URLs and imports alike. */
import { createHash, webcrypto } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { AddResult, ImageId, Metadata } from '../catalogue/catalogue.js';
import type { ImportItemRef } from '../catalogue/import-records.js';
import { stripMetadata } from '../images/metadata/strip-metadata.js';
import type { EncodedImage } from './pipeline.js';
import type { RequestLife } from './request-ledger.js';
import type { ServerContext } from './server-context.js';
import type { OpenCollection } from './tenancy.js';

/** A picture as far as it can be brought before it is known where to: found to be there already, or encoded. */
export type PreparedPicture =
  | { readonly kind: 'exists'; readonly id: ImageId }
  | { readonly kind: 'encoded'; readonly encoded: EncodedImage; readonly bytes: number; readonly original: Uint8Array | undefined };

/** Where a picture goes and what is kept with it. */
export type PictureTarget = {
  readonly collection: OpenCollection;
  readonly id: ImageId | undefined;
  readonly fileName: string | null;
  readonly metadata: Metadata;
  readonly replace: boolean;
  /** The picture of an import job that it is. */
  readonly importItem?: ImportItemRef;
};

/** Both steps throw as pipeline and catalogue reject. */
export type PictureStore = {
  /** The same bytes are not decoded twice: the catalogue is asked for their digest first. */
  prepare(life: RequestLife, collection: OpenCollection, bytes: Buffer): Promise<PreparedPicture>;
  /** Resolves when the picture is flushed and found by the very next search. */
  store(life: RequestLife, picture: PreparedPicture, target: PictureTarget): Promise<AddResult>;
};

/** Up to here a digest on the main thread is cheaper than handing it to the thread pool (about 1 ms a megabyte). */
const DIGEST_INLINE_BYTES = 256 * 1024;

/** The way in to a catalogue. */
export function createPictureStore(context: Pick<ServerContext, 'settings' | 'catalogue' | 'encodeImage' | 'monitoring'>): PictureStore {
  const { settings, catalogue, encodeImage, monitoring } = context;
  return {
    async prepare(life, collection, bytes) {
      const id = await life.bound(catalogue.findBySha256(collection, await sha256(bytes)));
      if (id !== undefined) return { kind: 'exists', id };
      const encoded = await encodeImage(bytes, { life, thumbnail: true });
      const original = settings.keepOriginals ? stripMetadata(bytes, encoded.image) : undefined;
      return { kind: 'encoded', encoded, bytes: bytes.length, original };
    },
    async store(life, picture, { collection, ...target }) {
      if (picture.kind === 'exists') return { id: picture.id, status: 'exists' };
      const { image, embedding } = picture.encoded;
      const { sha256: digest, perceptualHash, perceptualHashQuality, format, width, height, thumbnail } = image;
      if (thumbnail === undefined) throw new Error('The decoder made no thumbnail. This is a bug.');
      const startedAt = performance.now();
      const result = await life.bound(
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
