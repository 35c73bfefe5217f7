/**
 * Which collections a request may touch. The one door: routes get a catalogue whose collections only this file
 * can name.
 */
import type { FastifyRequest } from 'fastify';
import type { Catalogue, CatalogueStatistics, ImageId, NeighbourQuery } from '../catalogue/catalogue.js';
import { SearchError } from '../errors.js';
import type { Principal } from './auth.js';

/**
 * A collection that the request at hand may use: {@link Tenancy.collectionFor} was asked, and nothing else makes one.
 */
export type OpenCollection = string & { readonly __brand: 'OpenCollection' };

/** The collections that a principal may use; undefined: all, those to come too. */
type Collections = readonly string[] | undefined;

/** A query as a route may ask it. */
type OpenQuery = Omit<NeighbourQuery, 'collection'> & { readonly collection: OpenCollection };

/**
 * The catalogue as routes see it. Its methods take no collection that was not opened for the request, so that a route
 * that forgets to ask does not compile; `statistics`, which tells of all collections, is {@link Tenancy.statistics}
 * here.
 */
export type RouteCatalogue = {
  readonly [Method in Exclude<
    keyof Catalogue,
    'neighbours' | 'statistics' | 'saveIndexes' | 'close'
  >]: WithOpenCollection<Catalogue[Method]>;
} & { neighbours(query: OpenQuery): ReturnType<Catalogue['neighbours']> };

type WithOpenCollection<Method> = Method extends (collection: string, ...rest: infer Rest) => infer Result
  ? (collection: OpenCollection, ...rest: Rest) => Result
  : never;

/**
 * What stands between requests and collections. Whoever sent the request is known from its key before its body is read.
 */
export type Tenancy = {
  /**
   * The collection that a request means, opened for it; call it before anything is looked up. Where none is named it is
   * `default`, or the one collection of a key that has just one. Throws NOT_FOUND, in the same words and after the same
   * work whether another's collection exists or not, and INVALID_REQUEST where none is named and the key has several
   * without `default`.
   */
  collectionFor(request: FastifyRequest, name: string | undefined): OpenCollection;
  /**
   * Whether a request may know of a collection: to filter lists of jobs and the like, and to answer NOT_FOUND for
   * the rest.
   */
  mayUse(request: FastifyRequest, collection: string): boolean;
  /** Whether keys are set and the request has none: it learns of no version, no encoder and no number. */
  isAnonymous(request: FastifyRequest): boolean;
  /** Whether a request may know of every collection, and so of totals over them. */
  seesAll(request: FastifyRequest): boolean;
  /**
   * Throws COLLECTION_NOT_FOUND where the catalogue has no such collection; called where a result is empty. The default
   * collection and those that a key is limited to exist from the start.
   */
  requireExisting(request: FastifyRequest, collection: OpenCollection): Promise<void>;
  /** Throws the error of a request; COLLECTION_NOT_FOUND instead where that is why an image was NOT_FOUND. */
  rethrow(request: FastifyRequest, collection: OpenCollection, error: unknown): Promise<never>;
  /** The catalogue's numbers of the collections that the request may know of. */
  statistics(request: FastifyRequest): Promise<CatalogueStatistics['collections']>;
};

const DEFAULT_COLLECTION = 'default';

/** `principalOf` answers whom the gate let in. */
export function createTenancy(parts: {
  readonly catalogue: Pick<Catalogue, 'statistics'>;
  readonly principalOf: (request: FastifyRequest) => Principal;
}): Tenancy {
  const { catalogue, principalOf } = parts;
  const mayUse = (request: FastifyRequest, collection: string): boolean =>
    principalOf(request).collections?.includes(collection) ?? true;
  const requireExisting: Tenancy['requireExisting'] = async (request, collection) => {
    if (collection === DEFAULT_COLLECTION || principalOf(request).collections?.includes(collection)) return;
    const { collections } = await catalogue.statistics();
    if (!collections.some(({ name }) => name === collection)) throw collectionNotFound(collection);
  };
  return {
    mayUse,
    isAnonymous: (request) => principalOf(request).isAnonymous,
    seesAll: (request) => principalOf(request).collections === undefined,
    collectionFor(request, name) {
      const collection = name ?? defaultOf(principalOf(request).collections);
      if (!mayUse(request, collection)) {
        throw new SearchError(
          'NOT_FOUND',
          `This key has no collection "${collection}"; GET /collections lists those it has.`,
        );
      }
      return collection as OpenCollection; // the one place where a name becomes an opened collection
    },
    requireExisting,
    async rethrow(request, collection, error) {
      if (error instanceof SearchError && error.code === 'NOT_FOUND') await requireExisting(request, collection);
      throw error;
    },
    async statistics(request) {
      const { collections } = await catalogue.statistics();
      return collections.filter(({ name }) => mayUse(request, name));
    },
  };
}

export function imageNotFound(id: ImageId): SearchError {
  return new SearchError('NOT_FOUND', `There is no image "${id}" in this collection.`);
}

export function collectionNotFound(collection: string): SearchError {
  return new SearchError(
    'COLLECTION_NOT_FOUND',
    `There is no collection "${collection}"; GET /collections lists those there are.`,
  );
}

function defaultOf(collections: Collections): string {
  if (collections === undefined || collections.includes(DEFAULT_COLLECTION)) return DEFAULT_COLLECTION;
  const [only, another] = collections;
  if (only !== undefined && another === undefined) return only;
  throw new SearchError('INVALID_REQUEST', `Name a collection (?collection=); this key has ${collections.join(', ')}.`);
}
