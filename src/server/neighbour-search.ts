import { performance } from 'node:perf_hooks';
import type { Static } from '@fastify/type-provider-typebox';
import type { ImageId, Neighbour, NeighbourQuery } from '../catalogue/catalogue.js';
import { type Filter, parseFilter } from '../catalogue/filter.js';
import type { Embedding } from '../encoder/encoder.js';
import { SearchError } from '../errors.js';
import type { RequestLife } from './request-ledger.js';
import { MAX_K, type SearchAnswer, type SearchOptions } from './schemas.js';
import type { ServerContext } from './server-context.js';

type Answer = Static<typeof SearchAnswer>;

/** A search as the caller asked for it, checked; the embedding is still to come. */
export type ParsedSearch = Omit<NeighbourQuery, 'embedding'>;

/** Asks the catalogue and shapes its answer, for POST /search and GET /images/:id/similar alike. */
export type NeighbourSearch = {
  /** Throws INVALID_FILTER and INVALID_REQUEST; to be called before any work is done for the request. */
  parse(options: SearchOptions): ParsedSearch;
  run(
    life: RequestLife,
    embedding: Embedding,
    search: ParsedSearch,
    without?: ImageId,
  ): Promise<{ readonly results: Answer['results']; readonly searchMs: number }>;
};

const DEFAULT_K = 10;

/** Counts its time as stage `search`. `without` leaves one image out, the one that asks for its like. */
export function createNeighbourSearch({ catalogue, monitoring }: Pick<ServerContext, 'catalogue' | 'monitoring'>): NeighbourSearch {
  return {
    parse({ collection = 'default', k, limit, minScore, filter, ef, exact }) {
      if (k !== undefined && limit !== undefined && k !== limit) {
        throw new SearchError('INVALID_REQUEST', '"k" and "limit" mean the same; send one of them.');
      }
      const size = k ?? limit ?? DEFAULT_K;
      return {
        collection,
        k: size,
        ...(minScore !== undefined && { minSimilarity: minScore }),
        ...(filter !== undefined && { filter: parseFilterText(filter) }),
        ...(ef !== undefined && { ef: Math.max(ef, size) }),
        ...(exact !== undefined && { exact }),
      };
    },
    async run(life, embedding, search, without) {
      const startedAt = performance.now();
      // One more than asked for, since the image itself is among its neighbours.
      const k = without === undefined ? search.k : Math.min(MAX_K, search.k + 1);
      const neighbours = await life.bound(catalogue.neighbours({ ...search, k, embedding }));
      const searchMs = performance.now() - startedAt;
      monitoring.observeStage('search', searchMs);
      const others = without === undefined ? neighbours : neighbours.filter(({ id }) => id !== without);
      return { results: others.slice(0, search.k).map((neighbour) => toResult(search.collection, neighbour)), searchMs };
    },
  };
}

/** A filter from the JSON text of a query parameter. Throws INVALID_FILTER. */
export function parseFilterText(text: string): Filter {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SearchError('INVALID_FILTER', 'The filter is not JSON.', { cause });
  }
  return parseFilter(value);
}

/** Path of an image's thumbnail. `version` changes when the picture does, so that a browser may keep what it names for ever. */
export function thumbnailUrl(collection: string, id: ImageId, version?: number | string): string {
  const parameters = new URLSearchParams();
  if (collection !== 'default') parameters.set('collection', collection);
  if (version !== undefined) parameters.set('v', String(version));
  const query = parameters.toString();
  return `/images/${encodeURIComponent(id)}/thumbnail${query === '' ? '' : `?${query}`}`;
}

/** Stage times as they are answered: milliseconds, to the hundredth. */
export function tookMs(times: {
  readonly queueMs: number;
  readonly decodeMs: number;
  readonly encodeMs: number;
  readonly searchMs: number;
  readonly totalMs: number;
}): Answer['tookMs'] {
  const { queueMs, decodeMs, encodeMs, searchMs, totalMs } = times;
  return { queue: round(queueMs), decode: round(decodeMs), encode: round(encodeMs), search: round(searchMs), total: round(totalMs) };
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}

function toResult(collection: string, { id, similarity, metadata, sequence }: Neighbour): Answer['results'][number] {
  return { id, score: similarity, metadata, thumbnailUrl: thumbnailUrl(collection, id, sequence) };
}
