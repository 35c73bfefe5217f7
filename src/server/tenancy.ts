/** Which collections a request may touch. The one door: routes get a catalogue whose collections only this file can name. */
import type { FastifyRequest } from 'fastify';
import type { Catalogue, CatalogueStatistics, NeighbourQuery } from '../catalogue/catalogue.js';
import { SearchError } from '../errors.js';
import type { Visitor } from './auth.js';

/** A collection that the request at hand may use: {@link Tenancy.collectionFor} was asked, and nothing else makes one. */
export type OpenCollection = string & { readonly __brand: 'OpenCollection' };

/** The collections that a visitor may use; undefined: all, those to come too. */
export type Collections = readonly string[] | undefined;

/** A query as a route may ask it. */
export type OpenQuery = Omit<NeighbourQuery, 'collection'> & { readonly collection: OpenCollection };

/**
 * The catalogue as routes see it. Its methods take no collection that was not opened for the request, so that a route that forgets to ask does not
 * compile; `statistics`, which tells of all collections, is {@link Tenancy.statistics} here.
 */
export type RouteCatalogue = {
  readonly [Method in Exclude<keyof Catalogue, 'neighbours' | 'statistics' | 'saveIndexes' | 'close'>]: WithOpenCollection<
    Catalogue[Method]
  >;
} & { neighbours(query: OpenQuery): ReturnType<Catalogue['neighbours']> };

type WithOpenCollection<Method> = Method extends (collection: string, ...rest: infer Rest) => infer Result
  ? (collection: OpenCollection, ...rest: Rest) => Result
  : never;

/** What stands between requests and collections. Whoever sent the request is known from its key before its body is read. */
export type Tenancy = {
  /**
   * The collection that a request means, opened for it; call it before anything is looked up. Where none is named it is `default`, or the one
   * collection of a key that has just one. Throws NOT_FOUND, in the same words and after the same work whether another's collection exists or not,
   * and INVALID_REQUEST where none is named and the key has several without `default`.
   */
  collectionFor(request: FastifyRequest, name: string | undefined): OpenCollection;
  /** Whether a request may know of a collection: to filter lists of jobs and the like, and to answer NOT_FOUND for the rest. */
  mayUse(request: FastifyRequest, collection: string): boolean;
  /** Whether a request may know of every collection, and so of totals over them. */
  seesAll(request: FastifyRequest): boolean;
  /** The catalogue's numbers of the collections that the request may know of. */
  statistics(request: FastifyRequest): Promise<CatalogueStatistics['collections']>;
};

const DEFAULT_COLLECTION = 'default';

/** `visitorOf` answers whom the gate let in. */
export function createTenancy(parts: {
  readonly catalogue: Pick<Catalogue, 'statistics'>;
  readonly visitorOf: (request: FastifyRequest) => Visitor;
}): Tenancy {
  const { catalogue, visitorOf } = parts;
  const mayUse = (request: FastifyRequest, collection: string): boolean => visitorOf(request).collections?.includes(collection) ?? true;
  return {
    mayUse,
    seesAll: (request) => visitorOf(request).collections === undefined,
    collectionFor(request, name) {
      const collection = name ?? defaultOf(visitorOf(request).collections);
      if (!mayUse(request, collection)) {
        throw new SearchError('NOT_FOUND', `This key has no collection "${collection}"; GET /collections lists those it has.`);
      }
      return collection as OpenCollection; // the one place where a name becomes an opened collection
    },
    async statistics(request) {
      const { collections } = await catalogue.statistics();
      return collections.filter(({ name }) => mayUse(request, name));
    },
  };
}

function defaultOf(collections: Collections): string {
  if (collections === undefined || collections.includes(DEFAULT_COLLECTION)) return DEFAULT_COLLECTION;
  const [only, another] = collections;
  if (only !== undefined && another === undefined) return only;
  throw new SearchError('INVALID_REQUEST', `Name a collection (?collection=); this key has ${collections.join(', ')}.`);
}
