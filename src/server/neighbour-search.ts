import { performance } from 'node:perf_hooks';
import type { Static } from '@fastify/type-provider-typebox';
import type { ImageId } from '../catalogue/catalogue.js';
import { DIHEDRAL_VARIANTS } from '../images/perceptual-hash.js';
import { foldCopies } from '../matching/fold-copies.js';
import { grouped, matchKind } from '../matching/match-kind.js';
import { createRegionFinder } from './compared-regions.js';
import { distanceOf, HASH_LIMITS } from './hash-evidence.js';
import { originalUrl, thumbnailUrl } from './image-paths.js';
import type { Query, QueryView } from './query-examples.js';
import { bestOfEach, type Match, matchesOf, VERIFIED_MAX, verified } from './query-matches.js';
import type { RequestLife } from './request-ledger.js';
import { cursorAfter, type ParsedSearch } from './search-request.js';
import { MAX_K, type RegionsAnswer, type SearchAnswer } from './search-schemas.js';
import type { ServerContext } from './server-context.js';
import type { OpenCollection } from './tenancy.js';

type Answer = Static<typeof SearchAnswer>;
type Regions = Static<typeof RegionsAnswer>;

const NO_REGIONS: Regions = { available: false, reason: 'The image was removed meanwhile.' };

/** One page of results, and how long the catalogue took. */
export type FoundPage = Pick<Answer, 'results' | 'nextCursor'> & { readonly searchMs: number };

/** Asks the catalogue and shapes its answer, for all searches alike. `without` are left out: the images that ask for their like. */
export type NeighbourSearch = (
  life: RequestLife,
  search: ParsedSearch,
  asked: { readonly collection: OpenCollection; readonly query: Query; readonly without: readonly ImageId[] },
) => Promise<FoundPage>;

/** Stored images of a near hash that one query is answered at most, besides the nearest by embedding. */
const HASH_MATCHES_MAX = 100;

/** Counts its time as stage `search`. A page is a part of one longer list, so a page asks for all that come before it too. */
export function createNeighbourSearch(
  context: Pick<ServerContext, 'catalogue' | 'monitoring' | 'verifier' | 'encoder' | 'encodeImage' | 'scores'>,
): NeighbourSearch {
  const { catalogue, monitoring, verifier } = context;
  const regionsOf = createRegionFinder(context);
  return async (life, search, { collection, query: asked, without }) => {
    const startedAt = performance.now();
    const { query, offset } = search;
    const scores = context.scores.modelOf(collection);
    const end = Math.min(MAX_K, offset + query.k);
    // As many more as are left out, and one to know whether there is a next page; where copies are looked for, all that are to be looked at closely.
    const k = Math.min(MAX_K, Math.max(end, search.groups ? VERIFIED_MAX : 0) + without.length + 1);
    const breadth = query.ef === undefined ? {} : { ef: Math.max(query.ef, k) };
    const found = await life.bound(
      Promise.all(
        asked.views.map(async (view) => {
          const hashes = search.groups ? hashesOf(asked, view) : [];
          const nearHash =
            hashes.length === 0 ? {} : { nearHash: { hashes, maxDistance: HASH_LIMITS.hashThreshold, limit: HASH_MATCHES_MAX } };
          const sameBytes = asked.sha256 === undefined || view.view !== 'original' ? {} : { sha256: asked.sha256 };
          const embedding = view.embedding;
          const neighbours = await catalogue.neighbours({ collection, ...query, ...breadth, ...sameBytes, ...nearHash, k, embedding });
          return matchesOf(neighbours, { query: asked, view, scores });
        }),
      ),
    );
    const sorted = bestOfEach(found.flat()).filter(({ id }) => !without.includes(id));
    const matches = search.groups
      ? grouped(await verified(sorted, { query: asked, scores, collection, life, catalogue, verifier }))
      : sorted;
    const searchMs = performance.now() - startedAt;
    monitoring.observeStage('search', searchMs);
    const page = matches.slice(offset, end);
    const regions = search.includesRegions ? await regionsOf(life, { query: asked, collection, page }) : undefined;
    const results = toResults(search, collection, page, regions);
    const nextCursor = matches.length > end ? cursorAfter(end) : undefined;
    return { results, ...(nextCursor !== undefined && { nextCursor }), searchMs };
  };
}

/** What a view of the query is looked for by hash with: the original also turned and mirrored, where that is known. */
function hashesOf({ hashQuality, traits }: Query, { view, perceptualHash }: QueryView): readonly Uint8Array[] {
  if (perceptualHash === undefined || (hashQuality !== null && hashQuality < HASH_LIMITS.qualityMin)) return [];
  if (view !== 'original' || traits === undefined) return [perceptualHash];
  return [perceptualHash, ...DIHEDRAL_VARIANTS.filter((variant) => variant !== 'original').map((variant) => traits.hashes[variant])];
}

function toResults(
  { fold, includesVector }: ParsedSearch,
  collection: OpenCollection,
  matches: readonly Match[],
  regions: ReadonlyMap<ImageId, Regions> | undefined,
): Answer['results'] {
  const entries = fold ? foldCopies(matches, isCopy) : matches.map((kept) => ({ kept, folded: [] as Match[] }));
  return entries.map(({ kept, folded }) => {
    const { id, similarity: score, metadata, match, view, band, embedding } = kept;
    return {
      ...{
        id,
        score,
        metadata,
        thumbnailUrl: thumbnailUrl(collection, id, kept.sha256),
        originalUrl: originalUrl(collection, kept),
        match,
      },
      band: { ...band, probability: Math.round(band.probability * 10_000) / 10_000 },
      ...(view !== 'original' && { view }),
      ...(fold && { folded: folded.map((copy) => copy.id) }),
      ...(regions !== undefined && { regions: regions.get(id) ?? NO_REGIONS }),
      ...(includesVector && embedding !== undefined && { vector: Array.from(embedding) }),
    };
  });
}

/** Results are copies of each other by the rule that makes one a copy of the query. */
function isCopy(a: Match, b: Match): boolean {
  const distance = distanceOf(a.perceptualHash, b.perceptualHash);
  if (distance === undefined || distance > HASH_LIMITS.hashThreshold || a.embedding === undefined || b.embedding === undefined)
    return false;
  const similarity = a.embedding.reduce((sum, value, at) => sum + value * b.embedding![at]!, 0);
  const qualities = [a.perceptualHashQuality, b.perceptualHashQuality];
  return matchKind({ hasSameBytes: false, distance, qualities, similarity }, HASH_LIMITS) !== 'similar';
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
