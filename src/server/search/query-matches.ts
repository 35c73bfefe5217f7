/**
 * What the catalogue's neighbours are to a query: compared by bytes, hash and embedding, the open cases by alignment.
 */
import type { ImageId, Neighbour } from '../../catalogue/catalogue.js';
import { DIHEDRAL_VARIANTS, type DihedralVariant } from '../../images/perceptual-hash.js';
import type { Alignment } from '../../matching/align-pictures.js';
import {
  type CopyEvidence,
  type CopyRules,
  type CopyVerdict,
  copiesFirst,
  judgeCopy,
} from '../../matching/copy-verdict.js';
import type { RequestScope } from '../limits/request-tracker.js';
import type { OpenCollection, RouteCatalogue } from '../tenancy.js';
import type { ComparisonThreads } from './comparison-threads.js';
import { hashDistance, hashOf, isFlat, NEAR_HASH_BITS } from './hash-evidence.js';
import type { Query, QueryView } from './query-examples.js';

/** A neighbour and what it is to the query. */
export type Match = Neighbour & {
  readonly evidence: CopyEvidence;
  readonly verdict: CopyVerdict;
  /** The view of the query whose search found it best. */
  readonly view: DihedralVariant;
  /** How the query is turned or mirrored where it is a copy: as hash or alignment show. */
  readonly copyView: DihedralVariant;
  /** False where an alignment was to settle the verdict and was not made. */
  readonly isVerified?: boolean;
};

/**
 * Nearest by embedding that are aligned. Measured: of crops to half the area, 99.5 % have their original among the
 * first 20.
 */
export const ALIGNED_MAX = 16;

/** Matches of one view of the query. */
export function matchesOf(
  neighbours: readonly Neighbour[],
  asked: { readonly query: Query; readonly view: QueryView; readonly rules: CopyRules },
): Match[] {
  const { query, view, rules } = asked;
  return neighbours.map((neighbour) => {
    const nearest = nearestHash(query, view, neighbour);
    const evidence: CopyEvidence = {
      hasSameBytes: query.sha256 !== undefined && Buffer.compare(query.sha256, neighbour.sha256) === 0,
      distance: nearest.distance,
      isTurned: nearest.view !== view.view,
      isView: nearest.view !== 'original',
      isFlat: isFlat(query.hashQuality) || isFlat(neighbour.perceptualHashQuality),
      similarity: neighbour.similarity,
      isOnePicture: query.isOnePicture,
    };
    const verdict = judgeCopy(evidence, rules);
    return { ...neighbour, evidence, verdict, view: view.view, copyView: nearest.view };
  });
}

/** The turn of the query whose hash is nearest, where the turns are known; the view's own unless another is near. */
function nearestHash(
  query: Query,
  view: QueryView,
  neighbour: Neighbour,
): { readonly view: DihedralVariant; readonly distance: number | undefined } {
  const distanceOf = (hash: Uint8Array | undefined): number | undefined =>
    hash && hashDistance({ hash, quality: query.hashQuality }, hashOf(neighbour));
  const own = distanceOf(view.perceptualHash);
  let best = { view: view.view, distance: own };
  if (query.copyFeatures === undefined || view.view !== 'original' || own === undefined || own <= NEAR_HASH_BITS)
    return best;
  for (const variant of DIHEDRAL_VARIANTS) {
    const distance = distanceOf(query.copyFeatures.hashes[variant]);
    if (distance !== undefined && distance <= NEAR_HASH_BITS && distance < best.distance!)
      best = { view: variant, distance };
  }
  return best;
}

/**
 * Every image once, as it matches best over the views: copies first, then the larger score. In order
 * of {@link byScore}.
 */
export function bestOfEach(matches: readonly Match[]): Match[] {
  const best = new Map<ImageId, Match>();
  for (const match of copiesFirst(matches.toSorted(byScore))) if (!best.has(match.id)) best.set(match.id, match);
  return [...best.values()].sort(byScore);
}

/**
 * The order of an expanded answer. Copies and the nearest other picture keep their places: what a picture is a copy of,
 * its neighbours cannot know better. All others follow in the order in which the expanded query found them (`found`),
 * and those that it did not find as they were.
 */
export function expandedOrder(matches: readonly Match[], found: readonly Match[]): readonly Match[] {
  const results = copiesFirst(matches);
  const isCopy = ({ verdict }: Match): boolean => verdict.copy !== 'none';
  const nearest = results.find((result) => !isCopy(result));
  const keepsPlace = (result: Match): boolean => isCopy(result) || result === nearest;
  const rankOf = new Map(found.map(({ id }, rank) => [id, rank]));
  const rank = ({ id }: Match): number => rankOf.get(id) ?? found.length;
  const others = results.filter((result) => !keepsPlace(result));
  return [...results.filter(keepsPlace), ...others.toSorted((a, b) => rank(a) - rank(b))];
}

/** Equal bytes first, then equal pictures, then by score; equal scores in the order of storing. */
function byScore(a: Match, b: Match): number {
  return (
    Number(b.evidence.hasSameBytes) - Number(a.evidence.hasSameBytes) ||
    Number(b.verdict.copy === 'exact') - Number(a.verdict.copy === 'exact') ||
    b.similarity - a.similarity ||
    a.sequence - b.sequence
  );
}

/**
 * Aligns the query with stored pictures and judges those again: with `groups` the {@link ALIGNED_MAX} nearest; without,
 * those of the nearest that hash or curves take for copies, so that a copy is never told by likeness alone. What was to
 * be aligned and was not, for want of time or room, has `isVerified` false.
 */
export async function verified(
  matches: readonly Match[],
  asked: {
    readonly groups: boolean;
    readonly query: Query;
    readonly rules: CopyRules;
    readonly collection: OpenCollection;
    readonly scope: RequestScope;
    readonly catalogue: Pick<RouteCatalogue, 'thumbnail'>;
    readonly comparisons: ComparisonThreads;
  },
): Promise<readonly Match[]> {
  const { groups, query, rules, collection, scope, catalogue, comparisons } = asked;
  const isSupposed = ({ evidence, verdict }: Match): boolean => !evidence.hasSameBytes && verdict.copy !== 'none';
  const open = matches.filter((match) => (groups ? !match.evidence.hasSameBytes : isSupposed(match)));
  const nearest = open.slice(0, ALIGNED_MAX);
  const sketch = nearest.length === 0 ? undefined : await query.readSketch();
  if (sketch === undefined) return matches;
  const thumbnails = await scope.race(Promise.all(nearest.map(({ id }) => catalogue.thumbnail(collection, id))));
  const there = nearest.filter((_, at) => thumbnails[at] !== undefined); // the others were removed meanwhile
  const found = thumbnails.filter((thumbnail) => thumbnail !== undefined);
  const alignments = await comparisons.align(
    scope,
    sketch,
    there.map(({ sequence, copyView: view }, at) => ({ sequence, view, thumbnail: found[at]! })),
  );
  const judged = new Map(there.map((match, at) => [match, realigned(match, alignments[at], rules)]));
  const suppositions = [...judged].filter(([match, { isVerified }]) => isSupposed(match) && isVerified !== false);
  const confirmed = suppositions.filter(([, { verdict }]) => verdict.copy !== 'none').length;
  const confidence = suppositions.length === 0 ? 1 : confirmed / suppositions.length;
  return matches.map((match) => {
    const again = judged.get(match) ?? match;
    if (again.evidence.hasSameBytes || again.evidence.agreement !== undefined) return again;
    const evidence = { ...again.evidence, confidence };
    return { ...again, evidence, verdict: judgeCopy(evidence, rules) };
  });
}

/** The match judged with its alignment. */
function realigned(match: Match, alignment: Alignment | null | undefined, rules: CopyRules): Match {
  if (alignment === undefined) return { ...match, isVerified: false };
  const evidence = { ...match.evidence, agreement: alignment?.agreement ?? null };
  const isMirrored = alignment?.mirrored === true && match.copyView === 'original';
  return { ...match, evidence, verdict: judgeCopy(evidence, rules), copyView: isMirrored ? 'flipY' : match.copyView };
}
