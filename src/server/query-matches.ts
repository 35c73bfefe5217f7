/** What the catalogue's neighbours are to a query: compared by bytes, hash and embedding, the doubtful ones laid on the query. */
import type { ImageId, Neighbour } from '../catalogue/catalogue.js';
import { DIHEDRAL_VARIANTS, type DihedralVariant } from '../images/perceptual-hash.js';
import { grouped, type MatchKind, matchKind } from '../matching/match-kind.js';
import { type Band, bandOf, type ScoreModel } from '../matching/score-model.js';
import type { CopyVerifier } from './copy-verifier.js';
import { distanceOf, HASH_LIMITS, speaks } from './hash-evidence.js';
import type { Query, QueryView } from './query-examples.js';
import type { RequestLife } from './request-ledger.js';
import type { OpenCollection, RouteCatalogue } from './tenancy.js';

/** A neighbour and what it is to the query. `view`: how the query was turned or mirrored for it. */
export type Match = Neighbour & { readonly match: MatchKind; readonly band: Band; readonly view: DihedralVariant };

/** Nearest by embedding that are laid on the query. Measured: of crops to half the area, 99.5 % have their original among the first 20. */
export const VERIFIED_MAX = 16;

/** Matches of one view of the query. */
export function matchesOf(
  neighbours: readonly Neighbour[],
  asked: { readonly query: Query; readonly view: QueryView; readonly scores: ScoreModel },
): Match[] {
  return neighbours.map((neighbour) => toMatch(neighbour, asked));
}

function toMatch(neighbour: Neighbour, { query, view, scores }: Parameters<typeof matchesOf>[1], agreement?: number): Match {
  const hasSameBytes = query.sha256 !== undefined && Buffer.compare(query.sha256, neighbour.sha256) === 0;
  const nearest = nearestHash(query, view, neighbour);
  const { distance } = nearest;
  const qualities = [query.hashQuality, neighbour.perceptualHashQuality];
  // The embedding is of the view; where another turn of it hashes nearest, the embedding says nothing about that one.
  const similarity = nearest.view === view.view ? neighbour.similarity : undefined;
  const match = matchKind({ hasSameBytes, distance, qualities, similarity, agreement }, HASH_LIMITS);
  const band = bandOf({ match, similarity: neighbour.similarity, distance: speaks(qualities) ? distance : undefined, agreement }, scores);
  return { ...neighbour, view: match === 'similar' ? view.view : nearest.view, match, band };
}

/** The turn of the query whose hash is nearest, where the query's turns are known; the view's own unless another is within the threshold. */
function nearestHash(
  query: Query,
  view: QueryView,
  neighbour: Neighbour,
): { readonly view: DihedralVariant; readonly distance: number | undefined } {
  const own = view.perceptualHash === undefined ? undefined : distanceOf(view.perceptualHash, neighbour.perceptualHash);
  let best = { view: view.view, distance: own };
  if (query.traits === undefined || view.view !== 'original' || own === undefined || own <= HASH_LIMITS.hashThreshold) return best;
  for (const variant of DIHEDRAL_VARIANTS) {
    const distance = distanceOf(query.traits.hashes[variant], neighbour.perceptualHash);
    if (distance !== undefined && distance <= HASH_LIMITS.hashThreshold && distance < best.distance!) best = { view: variant, distance };
  }
  return best;
}

/** Every image once, as it matches best over the views: the nearer kind, then the larger similarity. Best score first. */
export function bestOfEach(matches: readonly Match[]): Match[] {
  const best = new Map<ImageId, Match>();
  for (const match of grouped(matches.toSorted((a, b) => b.similarity - a.similarity))) if (!best.has(match.id)) best.set(match.id, match);
  return [...best.values()].sort((a, b) => b.similarity - a.similarity || a.sequence - b.sequence);
}

/** Lays the query on the {@link VERIFIED_MAX} nearest that nothing has yet shown to be copies; those that agree become `edited`. */
export async function verified(
  matches: readonly Match[],
  asked: {
    readonly query: Query;
    readonly scores: ScoreModel;
    readonly collection: OpenCollection;
    readonly life: RequestLife;
    readonly catalogue: Pick<RouteCatalogue, 'thumbnail'>;
    readonly verifier: CopyVerifier;
  },
): Promise<readonly Match[]> {
  const { query, scores, collection, life, catalogue, verifier } = asked;
  const [view] = query.views;
  if (query.traits === undefined || view === undefined) return matches;
  const doubtful = matches.filter(({ match }) => match === 'similar').slice(0, VERIFIED_MAX);
  const thumbnails = await life.bound(Promise.all(doubtful.map(({ id }) => catalogue.thumbnail(collection, id))));
  const candidates = doubtful.flatMap(({ sequence }, at) => {
    const thumbnail = thumbnails[at]; // undefined: removed meanwhile
    return thumbnail === undefined ? [] : [{ sequence, thumbnail }];
  });
  const alignments = await life.bound(verifier.verify(query.traits.sketch, candidates));
  const judged = new Map(alignments.map((alignment, at) => [candidates[at]!.sequence as number, alignment]));
  return matches.map((match) => {
    const alignment = judged.get(match.sequence);
    if (alignment === undefined || match.match !== 'similar') return match;
    const seen = toMatch(match, { query, view, scores }, alignment?.agreement ?? 0);
    return seen.match === 'edited' && alignment?.mirrored ? { ...seen, view: 'flipY' as const } : seen;
  });
}
