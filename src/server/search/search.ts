/** A search: the query is read, the catalogue asked, the verdicts made, one page answered. */
import { performance } from 'node:perf_hooks';
import type { Static } from '@fastify/type-provider-typebox';
import type { ImageId } from '../../catalogue/catalogue.js';
import { DIHEDRAL_VARIANTS } from '../../images/perceptual-hash.js';
import { expandedEmbedding } from '../../matching/combine-examples.js';
import { type CopyRules, copiesFirst, verdictAliases } from '../../matching/copy-verdict.js';
import { cosineOf } from '../../matching/nearest-rows.js';
import { originalUrl, thumbnailUrl } from '../image-paths.js';
import { searchCost } from '../limits/read-cost.js';
import type { RequestScope } from '../limits/request-tracker.js';
import { MAX_K, type RegionsAnswer, type SearchResponse } from '../schemas/search-schemas.js';
import type { ServerContext } from '../server-context.js';
import type { OpenCollection } from '../tenancy.js';
import { createRegionFinder } from './compared-regions.js';
import { type FoldedMatch, foldCopies } from './fold-copies.js';
import { hasDetail, NEAR_HASH_BITS } from './hash-evidence.js';
import { createQueryReader, type Query, type QueryView } from './query-examples.js';
import { ALIGNED_MAX, bestOfEach, expandedOrder, type Match, matchesOf, verified } from './query-matches.js';
import { cursorAfter, type ParsedSearch, type SearchInput } from './search-request.js';

type Answer = Static<typeof SearchResponse>;
type Regions = Static<typeof RegionsAnswer>;

const NO_REGIONS: Regions = { available: false, reason: 'The image was removed meanwhile.' };

/** The one search behind all routes. Rejects as {@link QueryReader} and the catalogue do. */
export type Search = (scope: RequestScope, search: ParsedSearch, input: SearchInput) => Promise<Answer>;

/** Results of a near hash, besides the nearest by embedding. */
const HASH_MATCHES_MAX = 100;

/** A page is a part of one longer list, so it asks the catalogue for everything before it too. */
export function createSearch(
  context: Pick<ServerContext, 'catalogue' | 'monitoring' | 'comparisons' | 'encoder' | 'encodeImage' | 'scores'>,
): Search {
  const { catalogue, monitoring, comparisons, encoder } = context;
  const readQuery = createQueryReader(context);
  const regionFinder = createRegionFinder(context);

  return async (scope, search, input) => {
    const receivedAt = performance.now();
    const query = await readQuery(scope, search, input);
    const startedAt = performance.now();
    const matches = await findMatches(scope, search, { query, collection: input.collection });
    const searchMs = performance.now() - startedAt;
    monitoring.observeStage('search', searchMs);
    scope.debug('found', { matches: matches.length, ms: searchMs });
    const end = Math.min(MAX_K, search.offset + search.options.k);
    const page = matches.slice(search.offset, end);
    const entries = search.fold
      ? await foldCopies(page, { ...input, rules: rulesOf(input.collection), scope, catalogue, comparisons })
      : page.map((kept) => ({ kept, folded: [] }));
    const regions = search.includesRegions ? await regionFinder.ofPage(scope, { query, ...input, page }) : undefined;
    const nextCursor = matches.length > end ? cursorAfter(end) : undefined;
    const { name, id } = encoder.description;
    const { queueMs, decodeMs, encodeMs } = query.times;
    return {
      encoder: { name, id },
      tookMs: {
        queue: hundredths(queueMs),
        decode: hundredths(decodeMs),
        encode: hundredths(encodeMs),
        search: hundredths(searchMs),
        total: hundredths(performance.now() - receivedAt),
      },
      complete: page.every(({ isVerified }) => isVerified !== false),
      results: toResults(search, input.collection, entries, regions),
      ...(nextCursor !== undefined && { nextCursor }),
    };
  };

  function rulesOf(collection: OpenCollection): CopyRules {
    return { model: context.scores.modelOf(collection), hashThreshold: NEAR_HASH_BITS };
  }

  /** In order, up to the end of the page and one more where there is a next page. */
  async function findMatches(
    scope: RequestScope,
    search: ParsedSearch,
    { query, collection }: { readonly query: Query; readonly collection: OpenCollection },
  ): Promise<readonly Match[]> {
    const { options, offset, groups, expand, positiveIds, negativeIds } = search;
    const rules = rulesOf(collection);
    const excluded = new Set([...positiveIds, ...negativeIds]);
    // Over-fetch: excluded ids, all candidates of an alignment, and one result to detect a next page.
    const wanted = Math.max(offset + options.k, groups ? ALIGNED_MAX : 0) + excluded.size + 1;
    const k = Math.min(MAX_K, wanted);
    const nearest = { ...options, collection, k, ...(options.ef !== undefined && { ef: Math.max(options.ef, k) }) };
    const ofView = async (view: QueryView): Promise<Match[]> => {
      const hashes = groups ? hashesOf(query, view) : [];
      const neighbours = await catalogue.neighbours({
        ...nearest,
        embedding: view.embedding,
        ...(expand > 0 && { withEmbedding: true }),
        ...(query.sha256 !== undefined && view.view === 'original' && { sha256: query.sha256 }),
        ...(hashes.length > 0 && { nearHash: { hashes, maxDistance: NEAR_HASH_BITS, limit: HASH_MATCHES_MAX } }),
      });
      return matchesOf(neighbours, { query, view, rules });
    };
    /** What the query finds together with its nearest, scored against the query alone. */
    const ofExpanded = async (matches: readonly Match[]): Promise<Match[]> => {
      const [view] = query.views;
      if (expand === 0 || view === undefined) return [];
      const { minSimilarity = -1, ...unbounded } = nearest;
      const others = matches.filter(({ id, verdict }) => verdict.copy === 'none' && !excluded.has(id));
      const expanding = others.slice(0, expand).map((each) => ({ ...each, embedding: each.embedding! })); // asked for
      const neighbours = await catalogue.neighbours({
        ...unbounded,
        embedding: expandedEmbedding(view.embedding, expanding),
        withEmbedding: true,
      });
      const scored = neighbours.map((each) => ({ ...each, similarity: cosineOf(view.embedding, each.embedding!) }));
      const isNear = ({ similarity }: Match): boolean => similarity >= minSimilarity;
      return matchesOf(scored, { query, view, rules }).filter(isNear);
    };
    const [found, expanded] = await scope.read(async () => {
      const matches = bestOfEach((await Promise.all(query.views.map(ofView))).flat());
      return [matches, await ofExpanded(matches)] as const;
    }, searchCost(search));
    const sorted = bestOfEach([...found, ...expanded]).filter(({ id }) => !excluded.has(id));
    const judged = await verified(sorted, { groups, query, rules, collection, scope, catalogue, comparisons });
    if (expand > 0) return expandedOrder(judged, expanded);
    return groups ? copiesFirst(judged) : judged;
  }
}

/** Hashes to look for: of the view, and of the original also those of its turns and mirrors where they are known. */
function hashesOf({ hashQuality, copyFeatures }: Query, { view, perceptualHash }: QueryView): readonly Uint8Array[] {
  if (perceptualHash === undefined || !hasDetail(hashQuality)) return [];
  if (view !== 'original' || copyFeatures === undefined) return [perceptualHash];
  return [
    perceptualHash,
    ...DIHEDRAL_VARIANTS.filter((variant) => variant !== 'original').map((variant) => copyFeatures.hashes[variant]),
  ];
}

function toResults(
  { fold, includesVector }: ParsedSearch,
  collection: OpenCollection,
  entries: readonly FoldedMatch[],
  regions: ReadonlyMap<ImageId, Regions> | undefined,
): Answer['results'] {
  return entries.map(({ kept, folded }) => {
    const { id, similarity, verdict, metadata, fileName, isVerified, embedding } = kept;
    const view = verdict.copy === 'none' ? kept.view : kept.copyView;
    return {
      id,
      score: boundedCosine(similarity),
      ...verdict,
      metadata,
      fileName,
      thumbnailUrl: thumbnailUrl(collection, id, kept.sha256),
      originalUrl: originalUrl(collection, kept),
      ...verdictAliases(verdict),
      ...(view !== 'original' && { view }),
      ...(isVerified === false && { verified: false }),
      ...(fold && { folded: folded.map((copy) => copy.id) }),
      ...(regions !== undefined && { regions: regions.get(id) ?? NO_REGIONS }),
      ...(includesVector && embedding !== undefined && { vector: Array.from(embedding) }),
    };
  });
}

/** Within -1..1, which rounding of unit vectors may leave by some 1e-7. */
export function boundedCosine(similarity: number): number {
  return Math.max(-1, Math.min(1, similarity));
}

function hundredths(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}
