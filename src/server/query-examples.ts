/** The embedding to search for: from pictures, stored images and vectors, to be like and not to be like. */
import type { ImageId } from '../catalogue/catalogue.js';
import type { Embedding } from '../encoder/encoder.js';
import { SearchError } from '../errors.js';
import type { CopyTraits } from '../images/image-decoder.js';
import type { DihedralVariant } from '../images/perceptual-hash.js';
import type { Region } from '../images/region.js';
import { combineExamples } from '../matching/combine-examples.js';
import { type MappedPicture, mappedPicture } from './mapped-picture.js';
import type { EncodedImage } from './pipeline.js';
import type { RequestLife } from './request-ledger.js';
import type { ServerContext } from './server-context.js';
import type { OpenCollection } from './tenancy.js';
import { noImage } from './upload.js';

/** Everything a query may be made of. */
export type Examples = {
  readonly collection: OpenCollection;
  readonly pictures: readonly Uint8Array[];
  readonly negativePictures: readonly Uint8Array[];
  readonly positiveIds: readonly ImageId[];
  readonly negativeIds: readonly ImageId[];
  readonly embedding: Embedding | undefined;
  /** Part of the one positive picture, sent or stored. */
  readonly crop: Region | undefined;
  /** Turns and mirrors of the one picture. */
  readonly views: readonly DihedralVariant[];
  /** Edited copies are to be found: {@link Query.traits} are wanted where the query is one picture. */
  readonly traits: boolean;
  /** Regions are to be compared: {@link Query.mapped} is wanted where the query is one picture. */
  readonly features: boolean;
};

export type QueryTimes = { readonly queueMs: number; readonly decodeMs: number; readonly encodeMs: number };

/** One way to look at the query: as it is, turned or mirrored. */
export type QueryView = { readonly view: DihedralVariant; readonly embedding: Embedding; readonly perceptualHash: Uint8Array | undefined };

/** What is to be searched for. Hash and bytes are known of queries that are one picture. */
export type Query = {
  /** The query as it is, then the views asked for. */
  readonly views: readonly QueryView[];
  readonly hashQuality: number | null;
  readonly sha256: Uint8Array | undefined;
  /** Of a query that is one picture, where they were asked for. */
  readonly traits: CopyTraits | undefined;
  /** Likewise. */
  readonly mapped: MappedPicture | undefined;
  readonly times: QueryTimes;
};

/** Throws INVALID_REQUEST, NO_IMAGE, NOT_FOUND, INVALID_EMBEDDING, and as pipeline and catalogue reject. Pictures count as images in flight. */
export type ReadExamples = (life: RequestLife, examples: Examples) => Promise<Query>;

/** Pictures are encoded side by side; times are the longest of each stage. */
export function createExampleReader(context: Pick<ServerContext, 'catalogue' | 'encodeImage' | 'encoder'>): ReadExamples {
  const { catalogue, encodeImage, encoder } = context;

  return async (life, examples) => {
    const { pictures, negativePictures, positiveIds, negativeIds, embedding, crop, views } = examples;
    const positives = pictures.length + positiveIds.length + (embedding === undefined ? 0 : 1);
    const negatives = negativePictures.length + negativeIds.length;
    if (positives === 0) throw negatives === 0 ? noImage() : needsPositive();
    const isOne = positives === 1 && negatives === 0 && embedding === undefined;
    if (views.length > 0 && !isOne)
      throw new SearchError('INVALID_REQUEST', 'Views need exactly one picture, sent or stored, and no other examples.');
    if (crop !== undefined && (positives !== 1 || embedding !== undefined)) {
      throw new SearchError('INVALID_REQUEST', 'A crop needs exactly one positive picture, sent or stored.');
    }
    const [id] = positiveIds;
    if (isOne && id !== undefined && crop === undefined && views.length === 0) return storedQuery(life, examples, id);
    return encodedQuery(life, examples, isOne);
  };

  /** A stored picture as it is: it is decoded only where edited copies or regions are looked for. */
  async function storedQuery(life: RequestLife, { collection, traits, features }: Examples, id: ImageId): Promise<Query> {
    const [record, embedding] = await Promise.all([life.bound(catalogue.get(collection, id)), storedEmbedding(life, collection, id)]);
    const { perceptualHash, perceptualHashQuality = null, sha256 } = foundAs(record, id);
    const decoded =
      traits || features
        ? await encodeImage(await storedPicture(life, collection, id), { life, thumbnail: false, traits, features })
        : undefined;
    const { queueMs, decodeMs, encodeMs } = decoded ?? { queueMs: 0, decodeMs: 0, encodeMs: 0 };
    return {
      views: [{ view: 'original' as const, embedding, perceptualHash }],
      hashQuality: perceptualHashQuality,
      sha256,
      traits: decoded?.image.traits,
      mapped: features && decoded !== undefined ? mappedPicture(decoded) : undefined,
      times: { queueMs, decodeMs, encodeMs },
    };
  }

  async function encodedQuery(life: RequestLife, examples: Examples, isOne: boolean): Promise<Query> {
    const { collection, pictures, negativePictures, positiveIds, negativeIds, embedding, crop, views } = examples;
    const traits = examples.traits && isOne;
    const features = examples.features && isOne;
    const encode = (bytes: Uint8Array): Promise<EncodedImage> => encodeImage(bytes, { life, thumbnail: false });
    const encodePositive = (bytes: Uint8Array): Promise<EncodedImage> =>
      encodeImage(bytes, { life, thumbnail: false, crop, views, traits, features });
    const stored = (id: ImageId): Promise<Embedding> => storedEmbedding(life, collection, id);
    const isDecoded = crop !== undefined || views.length > 0;
    const [encoded, encodedNegatives, fromIds, fromNegativeIds] = await Promise.all([
      Promise.all([
        ...pictures.map(encodePositive),
        ...(isDecoded ? positiveIds : []).map(async (id) => encodePositive(await storedPicture(life, collection, id))),
      ]),
      Promise.all(negativePictures.map(encode)),
      Promise.all(isDecoded ? [] : positiveIds.map(stored)),
      Promise.all(negativeIds.map(stored)),
    ]);
    const combined = combineExamples({
      positives: [...encoded.map((image) => image.embedding), ...fromIds, ...(embedding === undefined ? [] : [checkedVector(embedding)])],
      negatives: [...encodedNegatives.map((image) => image.embedding), ...fromNegativeIds],
    });
    const times = longest([...encoded, ...encodedNegatives]);
    const [only] = encoded;
    if (!isOne || only === undefined) {
      const view = { view: 'original' as const, embedding: combined, perceptualHash: undefined };
      return { views: [view], hashQuality: null, sha256: undefined, traits: undefined, mapped: undefined, times };
    }
    const { perceptualHash, perceptualHashQuality, sha256 } = only.image;
    return {
      views: [{ view: 'original', embedding: combined, perceptualHash }, ...only.views],
      hashQuality: perceptualHashQuality,
      // The bytes are the whole picture's, and of a stored one's thumbnail they are not the file's.
      sha256: crop === undefined && pictures.length === 1 ? sha256 : undefined,
      traits: only.image.traits,
      mapped: features ? { ...mappedPicture(only), crop } : undefined,
      times,
    };
  }

  async function storedEmbedding(life: RequestLife, collection: OpenCollection, id: ImageId): Promise<Embedding> {
    return foundAs(await life.bound(catalogue.embedding(collection, id)), id);
  }

  /** The original where it is kept, else the thumbnail. */
  async function storedPicture(life: RequestLife, collection: OpenCollection, id: ImageId): Promise<Uint8Array> {
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
