/** The embedding to search for: from pictures, stored images and vectors, to be like and not to be like. */
import type { ImageId } from '../catalogue/catalogue.js';
import type { Embedding } from '../encoder/encoder.js';
import { SearchError } from '../errors.js';
import type { Region } from '../images/region.js';
import { combineExamples } from '../matching/combine-examples.js';
import type { EncodedImage } from './pipeline.js';
import type { RequestLife } from './request-ledger.js';
import type { ServerContext } from './server-context.js';
import { noImage } from './upload.js';

/** Everything a query may be made of. */
export type Examples = {
  readonly collection: string;
  readonly pictures: readonly Uint8Array[];
  readonly negativePictures: readonly Uint8Array[];
  readonly positiveIds: readonly ImageId[];
  readonly negativeIds: readonly ImageId[];
  readonly embedding: Embedding | undefined;
  /** Part of the one positive picture, sent or stored. */
  readonly crop: Region | undefined;
};

export type QueryTimes = { readonly queueMs: number; readonly decodeMs: number; readonly encodeMs: number };

/** Throws INVALID_REQUEST, NO_IMAGE, NOT_FOUND, INVALID_EMBEDDING, and as pipeline and catalogue reject. Pictures count as images in flight. */
export type ReadExamples = (
  life: RequestLife,
  examples: Examples,
) => Promise<{ readonly embedding: Embedding; readonly times: QueryTimes }>;

/** Pictures are encoded side by side; times are the longest of each stage. */
export function createExampleReader(context: Pick<ServerContext, 'catalogue' | 'encodeImage' | 'encoder'>): ReadExamples {
  const { catalogue, encodeImage, encoder } = context;

  return async (life, examples) => {
    const { collection, pictures, negativePictures, positiveIds, negativeIds, embedding, crop } = examples;
    const positives = pictures.length + positiveIds.length + (embedding === undefined ? 0 : 1);
    if (positives === 0) throw negativePictures.length + negativeIds.length === 0 ? noImage() : needsPositive();
    const stored = (id: ImageId): Promise<Embedding> => life.bound(catalogue.embedding(collection, id)).then((found) => foundAs(found, id));
    const encode = (bytes: Uint8Array, part?: Region): Promise<EncodedImage> => encodeImage(bytes, { life, thumbnail: false, crop: part });
    if (crop !== undefined) {
      if (positives !== 1 || embedding !== undefined) {
        throw new SearchError('INVALID_REQUEST', 'A crop needs exactly one positive picture, sent or stored.');
      }
    }
    const cropped = crop === undefined ? [] : positiveIds;
    const [encoded, encodedNegatives, fromIds, fromNegativeIds] = await Promise.all([
      Promise.all([
        ...pictures.map((bytes) => encode(bytes, crop)),
        ...cropped.map(async (id) => encode(await storedPicture(life, collection, id), crop)),
      ]),
      Promise.all(negativePictures.map((bytes) => encode(bytes))),
      Promise.all(crop === undefined ? positiveIds.map(stored) : []),
      Promise.all(negativeIds.map(stored)),
    ]);
    const combined = combineExamples({
      positives: [...encoded.map((image) => image.embedding), ...fromIds, ...(embedding === undefined ? [] : [checkedVector(embedding)])],
      negatives: [...encodedNegatives.map((image) => image.embedding), ...fromNegativeIds],
    });
    return { embedding: combined, times: longest([...encoded, ...encodedNegatives]) };
  };

  /** The original where it is kept, else the thumbnail. */
  async function storedPicture(life: RequestLife, collection: string, id: ImageId): Promise<Uint8Array> {
    const original = await life.bound(catalogue.original(collection, id));
    return original ?? foundAs(await life.bound(catalogue.thumbnail(collection, id)), id);
  }

  function checkedVector(vector: Embedding): Embedding {
    const { dimensions } = encoder.description;
    const length = Math.hypot(...vector);
    if (vector.length !== dimensions || !Number.isFinite(length) || length === 0) {
      const message = `The embedding must have ${dimensions} finite numbers, not all zero; it has ${vector.length}.`;
      throw new SearchError('INVALID_EMBEDDING', message);
    }
    return vector.map((value) => value / length);
  }
}

function longest(images: readonly EncodedImage[]): QueryTimes {
  const most = (stage: keyof QueryTimes): number => images.reduce((sum, image) => Math.max(sum, image[stage]), 0);
  return { queueMs: most('queueMs'), decodeMs: most('decodeMs'), encodeMs: most('encodeMs') };
}

function foundAs<T>(value: T | undefined, id: ImageId): T {
  if (value === undefined) throw new SearchError('NOT_FOUND', `There is no image "${id}" in this collection.`);
  return value;
}

function needsPositive(): SearchError {
  return new SearchError('INVALID_REQUEST', 'A search needs something to be like: at least one positive example.');
}
