/** Cost of requests that read the catalogue, in slots of the read queue. A plain search costs 1. */
import type { ParsedSearch } from '../search/search-request.js';

/** Dearest read. It runs alone, and its caller then waits until all others have read as much. */
const COST_MAX = 32;
/** Records that cost as much as a plain search. */
const RECORDS_PER_SLOT = 50;
/** An exact search compares every vector; a vector in the response is many numbers to write. */
const EXACT_FACTOR = 4;
const VECTOR_FACTOR = 2;
/** Reads of cost 1 that take as much of the quota as an image does. */
export const READS_PER_IMAGE = 10;

/** Cost of a search: the records it ranks and returns, once for each view and for the expanded query. */
export function searchCost(search: ParsedSearch): number {
  const { options, offset, views, expand, includesVector } = search;
  const records = Math.ceil((offset + options.k) / RECORDS_PER_SLOT);
  const factor = (options.exact === true ? EXACT_FACTOR : 1) * (includesVector ? VECTOR_FACTOR : 1);
  return Math.min(COST_MAX, (1 + views.length + (expand > 0 ? 1 : 0)) * records * factor);
}

/**
 * Images that a search without pictures decodes: the stored one where it is cropped, turned or mirrored, and each
 * result where regions are compared.
 */
export function imagesOf({ url, crop, views, includesRegions, options }: ParsedSearch): number {
  const isDecoded = url !== undefined || crop !== undefined || views.length > 0;
  return (isDecoded ? 1 : 0) + (includesRegions ? options.k : 0);
}

/** What a search takes of the quota, in images: the ones it decodes, or its read where that costs more. */
export function quotaOf(search: ParsedSearch): number {
  return Math.max(imagesOf(search), searchCost(search) / READS_PER_IMAGE);
}

/** Cost of a page of records; a filter examines more records than it returns. */
export function listCost({ limit, hasFilter }: { readonly limit: number; readonly hasFilter: boolean }): number {
  return Math.min(COST_MAX, Math.ceil(limit / RECORDS_PER_SLOT) * (hasFilter ? EXACT_FACTOR : 1));
}
