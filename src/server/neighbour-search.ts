import { performance } from 'node:perf_hooks';
import type { Static } from '@fastify/type-provider-typebox';
import type { ImageId, Neighbour } from '../catalogue/catalogue.js';
import type { Embedding } from '../encoder/encoder.js';
import type { RequestLife } from './request-ledger.js';
import { cursorAfter, type ParsedSearch } from './search-request.js';
import { MAX_K, type SearchAnswer } from './search-schemas.js';
import type { ServerContext } from './server-context.js';

type Answer = Static<typeof SearchAnswer>;

/** One page of results, and how long the catalogue took. */
export type FoundPage = Pick<Answer, 'results' | 'nextCursor'> & { readonly searchMs: number };

/** Asks the catalogue and shapes its answer, for all searches alike. `without` are left out: the images that ask for their like. */
export type NeighbourSearch = (
  life: RequestLife,
  search: ParsedSearch,
  asked: { readonly embedding: Embedding; readonly without: readonly ImageId[] },
) => Promise<FoundPage>;

/** Counts its time as stage `search`. A page is a part of one longer list, so a page asks for all that come before it too. */
export function createNeighbourSearch({ catalogue, monitoring }: Pick<ServerContext, 'catalogue' | 'monitoring'>): NeighbourSearch {
  return async (life, { query, offset }, { embedding, without }) => {
    const startedAt = performance.now();
    const end = Math.min(MAX_K, offset + query.k);
    // As many more as are left out, and one to know whether there is a next page.
    const k = Math.min(MAX_K, end + without.length + 1);
    const breadth = query.ef === undefined ? {} : { ef: Math.max(query.ef, k) };
    const neighbours = await life.bound(catalogue.neighbours({ ...query, ...breadth, k, embedding }));
    const searchMs = performance.now() - startedAt;
    monitoring.observeStage('search', searchMs);
    const others = without.length === 0 ? neighbours : neighbours.filter(({ id }) => !without.includes(id));
    const results = others.slice(offset, end).map((neighbour) => toResult(query.collection, neighbour));
    const nextCursor = others.length > end ? cursorAfter(end) : undefined;
    return { results, ...(nextCursor !== undefined && { nextCursor }), searchMs };
  };
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

function toResult(collection: string, neighbour: Neighbour): Answer['results'][number] {
  const { id, similarity, metadata, sequence, embedding } = neighbour;
  const vector = embedding === undefined ? {} : { vector: Array.from(embedding) };
  return { id, score: similarity, metadata, thumbnailUrl: thumbnailUrl(collection, id, sequence), ...vector };
}
