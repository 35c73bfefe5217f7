import { performance } from 'node:perf_hooks';
import type { Static } from '@fastify/type-provider-typebox';
import type { ImageId, Neighbour } from '../catalogue/catalogue.js';
import { HASH_BYTES } from '../catalogue/hash-scan.js';
import {
  type DihedralVariant,
  hammingDistance,
  PERCEPTUAL_HASH_QUALITY_MIN,
  PERCEPTUAL_HASH_THRESHOLD,
} from '../images/perceptual-hash.js';
import { foldCopies } from '../matching/fold-copies.js';
import { grouped, type MatchKind, matchKind } from '../matching/match-kind.js';
import { type Band, bandOf, UNFITTED_SCORES } from '../matching/score-model.js';
import type { Query, QueryView } from './query-examples.js';
import type { RequestLife } from './request-ledger.js';
import { cursorAfter, type ParsedSearch } from './search-request.js';
import { MAX_K, type SearchAnswer } from './search-schemas.js';
import type { ServerContext } from './server-context.js';
import type { OpenCollection } from './tenancy.js';

type Answer = Static<typeof SearchAnswer>;

/** One page of results, and how long the catalogue took. */
export type FoundPage = Pick<Answer, 'results' | 'nextCursor'> & { readonly searchMs: number };

/** Asks the catalogue and shapes its answer, for all searches alike. `without` are left out: the images that ask for their like. */
export type NeighbourSearch = (
  life: RequestLife,
  search: ParsedSearch,
  asked: { readonly collection: OpenCollection; readonly query: Query; readonly without: readonly ImageId[] },
) => Promise<FoundPage>;

type Match = Neighbour & { readonly match: MatchKind; readonly band: Band; readonly view: DihedralVariant };

/** Stored images of a near hash that one query is answered at most, besides the nearest by embedding. */
const HASH_MATCHES_MAX = 100;
const LIMITS = { hashThreshold: PERCEPTUAL_HASH_THRESHOLD, qualityMin: PERCEPTUAL_HASH_QUALITY_MIN };

/** Counts its time as stage `search`. A page is a part of one longer list, so a page asks for all that come before it too. */
export function createNeighbourSearch({ catalogue, monitoring }: Pick<ServerContext, 'catalogue' | 'monitoring'>): NeighbourSearch {
  return async (life, search, { collection, query: asked, without }) => {
    const startedAt = performance.now();
    const { query, offset } = search;
    const end = Math.min(MAX_K, offset + query.k);
    // As many more as are left out, and one to know whether there is a next page.
    const k = Math.min(MAX_K, end + without.length + 1);
    const breadth = query.ef === undefined ? {} : { ef: Math.max(query.ef, k) };
    const speaks = asked.hashQuality === null || asked.hashQuality >= LIMITS.qualityMin;
    const found = await life.bound(
      Promise.all(
        asked.views.map(async (view) => {
          const hashes = search.groups && speaks && view.perceptualHash !== undefined ? [view.perceptualHash] : [];
          const nearHash = hashes.length === 0 ? {} : { nearHash: { hashes, maxDistance: LIMITS.hashThreshold, limit: HASH_MATCHES_MAX } };
          const neighbours = await catalogue.neighbours({ collection, ...query, ...breadth, ...nearHash, k, embedding: view.embedding });
          return neighbours.map((neighbour) => toMatch(neighbour, asked, view));
        }),
      ),
    );
    const searchMs = performance.now() - startedAt;
    monitoring.observeStage('search', searchMs);
    const sorted = bestOfEach(found.flat()).filter(({ id }) => !without.includes(id));
    const matches = search.groups ? grouped(sorted) : sorted;
    const results = toResults(search, collection, matches.slice(offset, end));
    const nextCursor = matches.length > end ? cursorAfter(end) : undefined;
    return { results, ...(nextCursor !== undefined && { nextCursor }), searchMs };
  };
}

function toMatch(neighbour: Neighbour, { sha256, hashQuality }: Query, { view, perceptualHash }: QueryView): Match {
  const { similarity, perceptualHashQuality } = neighbour;
  const hasSameBytes = sha256 !== undefined && Buffer.compare(sha256, neighbour.sha256) === 0;
  const distance = perceptualHash === undefined ? undefined : distanceOf(perceptualHash, neighbour.perceptualHash);
  const qualities = [hashQuality, perceptualHashQuality];
  const match = matchKind({ hasSameBytes, distance, qualities, similarity }, LIMITS);
  const speaks = qualities.every((quality) => quality === null || quality >= LIMITS.qualityMin);
  return { ...neighbour, view, match, band: bandOf({ match, similarity, distance: speaks ? distance : undefined }, UNFITTED_SCORES) };
}

/** Every image once, as it matches best over the views: the nearer kind, then the larger similarity. Best score first. */
function bestOfEach(matches: readonly Match[]): Match[] {
  const best = new Map<ImageId, Match>();
  for (const match of grouped(matches.toSorted((a, b) => b.similarity - a.similarity))) if (!best.has(match.id)) best.set(match.id, match);
  return [...best.values()].sort((a, b) => b.similarity - a.similarity || a.sequence - b.sequence);
}

function toResults({ fold, includesVector }: ParsedSearch, collection: OpenCollection, matches: readonly Match[]): Answer['results'] {
  const entries = fold ? foldCopies(matches, isCopy) : matches.map((kept) => ({ kept, folded: [] as Match[] }));
  return entries.map(({ kept, folded }) => {
    const { id, similarity: score, metadata, match, view, band, embedding } = kept;
    return {
      ...{ id, score, metadata, thumbnailUrl: thumbnailUrl(collection, id, kept.sha256), match },
      band: { ...band, probability: Math.round(band.probability * 10_000) / 10_000 },
      ...(view !== 'original' && { view }),
      ...(fold && { folded: folded.map((copy) => copy.id) }),
      ...(includesVector && embedding !== undefined && { vector: Array.from(embedding) }),
    };
  });
}

/** Results are copies of each other by the rule that makes one a copy of the query. */
function isCopy(a: Match, b: Match): boolean {
  const distance = distanceOf(a.perceptualHash, b.perceptualHash);
  if (distance === undefined || distance > LIMITS.hashThreshold || a.embedding === undefined || b.embedding === undefined) return false;
  const similarity = a.embedding.reduce((sum, value, at) => sum + value * b.embedding![at]!, 0);
  const qualities = [a.perceptualHashQuality, b.perceptualHashQuality];
  return matchKind({ hasSameBytes: false, distance, qualities, similarity }, LIMITS) !== 'similar';
}

/** Undefined where one of them is none: a record may hold any bytes. */
function distanceOf(a: Uint8Array, b: Uint8Array): number | undefined {
  return a.length === HASH_BYTES && b.length === HASH_BYTES ? hammingDistance(a, b) : undefined;
}

/** Bytes of a picture's digest that tell it from others of the same id: 8 characters. */
const VERSION_BYTES = 6;

/** Path of an image's thumbnail. With the picture's digest it changes when the picture does, so that a browser may keep what it names for ever. */
export function thumbnailUrl(collection: string, id: ImageId, sha256?: Uint8Array): string {
  const parameters = new URLSearchParams();
  if (collection !== 'default') parameters.set('collection', collection);
  if (sha256 !== undefined) parameters.set('v', Buffer.from(sha256.subarray(0, VERSION_BYTES)).toString('base64url'));
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
