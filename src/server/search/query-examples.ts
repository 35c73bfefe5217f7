/** The query of a search: what its examples (pictures, stored images, a vector) say, to be like and not to be like. */
import type { ImageId } from '../../catalogue/catalogue.js';
import type { Embedding, FeatureMap } from '../../encoder/encoder.js';
import { SearchError } from '../../errors.js';
import type { CopyFeatures } from '../../images/image-decoder.js';
import type { DihedralVariant } from '../../images/perceptual-hash.js';
import type { Region } from '../../images/region.js';
import type { Sketch } from '../../images/sketch.js';
import { combineExamples } from '../../matching/combine-examples.js';
import type { EncodedImage } from '../ingest/pipeline.js';
import { noImage } from '../ingest/upload.js';
import type { RequestScope } from '../limits/request-tracker.js';
import type { ServerContext } from '../server-context.js';
import { imageNotFound, type OpenCollection } from '../tenancy.js';
import type { ParsedSearch, SearchInput } from './search-request.js';

type QueryTimes = { readonly queueMs: number; readonly decodeMs: number; readonly encodeMs: number };

/** One way to look at the query: as it is, turned or mirrored. */
export type QueryView = {
  readonly view: DihedralVariant;
  readonly embedding: Embedding;
  readonly perceptualHash: Uint8Array | undefined;
};

/** A picture, or the part `crop` of it, with the encoder's feature map where the encoder has one. */
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

/** What is searched for. Hash, bytes and copy features are known of queries that are one picture. */
export type Query = {
  /** The query as it is, then the views asked for. */
  readonly views: readonly QueryView[];
  /** Of a query made of several examples, nothing is a copy. */
  readonly isOnePicture: boolean;
  readonly hashQuality: number | null;
  readonly sha256: Uint8Array | undefined;
  /** Where the search looks for edited copies. */
  readonly copyFeatures: CopyFeatures | undefined;
  /**
   * What alignments compare: a sketch, or the thumbnail of a stored picture; undefined where the query is not one
   * picture. An uploaded picture is decoded again where the search did not look for copies from the start: few searches
   * need it.
   */
  readSketch(): Promise<Sketch | Uint8Array | undefined>;
  /** Where the search compares regions. */
  readonly mapped: MappedPicture | undefined;
  readonly times: QueryTimes;
};

/** Throws INVALID_REQUEST, NO_IMAGE, NOT_FOUND, INVALID_EMBEDDING, and as pipeline and catalogue reject. */
export type QueryReader = (scope: RequestScope, search: ParsedSearch, input: SearchInput) => Promise<Query>;

/** Pictures are encoded in parallel and count as images in flight; times are the longest of each stage. */
export function createQueryReader(context: Pick<ServerContext, 'catalogue' | 'encodeImage' | 'encoder'>): QueryReader {
  const { catalogue, encodeImage, encoder } = context;

  return async (scope, search, input) => {
    const { positiveIds, negativeIds, crop, views } = search;
    const { pictures = [], negativePictures = [], vector } = input;
    const positives = pictures.length + positiveIds.length + (vector === undefined ? 0 : 1);
    const negatives = negativePictures.length + negativeIds.length;
    if (positives === 0) throw negatives === 0 ? noImage() : needsPositive();
    const isOnePicture = positives === 1 && negatives === 0;
    if (views.length > 0 && (!isOnePicture || vector !== undefined)) {
      const message = 'Views need exactly one picture, sent or stored, and no other examples.';
      throw new SearchError('INVALID_REQUEST', message);
    }
    if (crop !== undefined && (positives !== 1 || vector !== undefined)) {
      throw new SearchError('INVALID_REQUEST', 'A crop needs exactly one positive picture, sent or stored.');
    }
    const [id] = positiveIds;
    return isOnePicture && id !== undefined && crop === undefined && views.length === 0
      ? storedQuery(scope, search, { collection: input.collection, id })
      : encodedQuery(scope, search, { ...input, isOnePicture });
  };

  /** A stored picture as it is: decoded only for copy features or regions. */
  async function storedQuery(
    scope: RequestScope,
    { groups: copyFeatures, includesRegions: features }: ParsedSearch,
    { collection, id }: { readonly collection: OpenCollection; readonly id: ImageId },
  ): Promise<Query> {
    const [record, embedding] = await Promise.all([
      scope.race(catalogue.get(collection, id)),
      storedEmbedding(scope, collection, id),
    ]);
    const { perceptualHash, perceptualHashQuality = null, sha256 } = foundAs(record, id);
    const decoded =
      copyFeatures || features
        ? await encodeImage(await storedPicture(scope, collection, id), {
            scope,
            thumbnail: false,
            copyFeatures,
            features,
          })
        : undefined;
    return {
      views: [{ view: 'original', embedding, perceptualHash }],
      isOnePicture: true,
      hashQuality: perceptualHashQuality,
      sha256,
      copyFeatures: decoded?.image.copyFeatures,
      readSketch: async () =>
        decoded?.image.copyFeatures?.sketch ?? (await scope.race(catalogue.thumbnail(collection, id))),
      mapped: features && decoded !== undefined ? mappedPicture(decoded) : undefined,
      times: longest(decoded === undefined ? [] : [decoded]),
    };
  }

  async function encodedQuery(
    scope: RequestScope,
    search: ParsedSearch,
    input: SearchInput & { readonly isOnePicture: boolean },
  ): Promise<Query> {
    const { positiveIds, negativeIds, crop, views } = search;
    const { collection, pictures = [], negativePictures = [], vector, isOnePicture } = input;
    const copyFeatures = search.groups && isOnePicture;
    const features = search.includesRegions && isOnePicture;
    const encode = (bytes: Uint8Array): Promise<EncodedImage> => encodeImage(bytes, { scope, thumbnail: false });
    const encodePositive = (bytes: Uint8Array): Promise<EncodedImage> =>
      encodeImage(bytes, { scope, thumbnail: false, crop, views, copyFeatures, features });
    const stored = (id: ImageId): Promise<Embedding> => storedEmbedding(scope, collection, id);
    const isDecoded = crop !== undefined || views.length > 0;
    const [encoded, encodedNegatives, fromIds, fromNegativeIds] = await Promise.all([
      Promise.all([
        ...pictures.map(encodePositive),
        ...(isDecoded ? positiveIds : []).map(async (id) => encodePositive(await storedPicture(scope, collection, id))),
      ]),
      Promise.all(negativePictures.map(encode)),
      Promise.all(isDecoded ? [] : positiveIds.map(stored)),
      Promise.all(negativeIds.map(stored)),
    ]);
    const embedding = combineExamples({
      positives: [
        ...encoded.map((image) => image.embedding),
        ...fromIds,
        ...(vector === undefined ? [] : [checkedVector(vector)]),
      ],
      negatives: [...encodedNegatives.map((image) => image.embedding), ...fromNegativeIds],
    });
    const [image] = isOnePicture ? encoded : [];
    return {
      views: [{ view: 'original', embedding, perceptualHash: image?.image.perceptualHash }, ...(image?.views ?? [])],
      isOnePicture,
      hashQuality: image?.image.perceptualHashQuality ?? null,
      // The digest is of the whole file; of a stored picture's thumbnail it is not the stored file's.
      sha256: crop === undefined && pictures.length === 1 ? image?.image.sha256 : undefined,
      copyFeatures: image?.image.copyFeatures,
      readSketch: async () => {
        if (image === undefined || image.image.copyFeatures !== undefined) return image?.image.copyFeatures?.sketch;
        const bytes = pictures[0] ?? (await storedPicture(scope, collection, positiveIds[0]!)); // one of both
        const options = { scope, thumbnail: false, crop, copyFeatures: true };
        return (await encodeImage(bytes, options)).image.copyFeatures?.sketch;
      },
      mapped: features && image !== undefined ? { ...mappedPicture(image), crop } : undefined,
      times: longest([...encoded, ...encodedNegatives]),
    };
  }

  async function storedEmbedding(scope: RequestScope, collection: OpenCollection, id: ImageId): Promise<Embedding> {
    return foundAs(await scope.race(catalogue.embedding(collection, id)), id);
  }

  /** The original where it is kept, else the thumbnail. */
  async function storedPicture(scope: RequestScope, collection: OpenCollection, id: ImageId): Promise<Uint8Array> {
    const original = await scope.race(catalogue.original(collection, id));
    return original ?? foundAs(await scope.race(catalogue.thumbnail(collection, id)), id);
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
  if (value === undefined) throw imageNotFound(id);
  return value;
}

function needsPositive(): SearchError {
  return new SearchError('INVALID_REQUEST', 'A search needs something to be like: at least one positive example.');
}
