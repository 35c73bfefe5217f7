/** Which of three answers a result is: the same picture, an edited copy of it, or one that is merely like it. */

/** Nearest kinship first. */
export type MatchKind = 'same' | 'edited' | 'similar';

/** What is compared. `distance`: bits in which the perceptual hashes differ, 0..256; undefined where the query has none. */
export type MatchEvidence = {
  readonly hasSameBytes: boolean;
  readonly distance: number | undefined;
  /** Of query and result, 0..100; null where unknown. */
  readonly qualities: readonly (number | null)[];
  /** Cosine of the embeddings; undefined where the hash is of a turned or mirrored query that was not encoded. */
  readonly similarity: number | undefined;
  /** Of an alignment of the two pictures, 0..1; undefined where none was tried. */
  readonly agreement?: number | undefined;
};

/** When hashes count as near. */
export type MatchLimits = {
  /** Most bits between hashes of copies. */
  readonly hashThreshold: number;
  /** Hashes of less detail say nothing. */
  readonly qualityMin: number;
};

/**
 * Below this cosine the embedding contradicts a near hash, as it does for a blank picture that hashes alike. Fitted on 1,850 photographs: of copies
 * with a near hash, 99 % lie above it with either encoder shipped (colour taken away costs most); docs/scores.md.
 */
export const EDITED_SIMILARITY_MIN = 0.2;
/** Equal hashes are the same pixels, but for coding, only where the embeddings are this near. */
export const SAME_SIMILARITY_MIN = 0.98;
/** Pictures that agree so far in detail when they are laid on each other are copies. Fitted: docs/scores.md. */
export const EDITED_AGREEMENT_MIN = 0.7;

/**
 * `same`: equal bytes, or equal hashes and embeddings as good as equal. `edited`: pictures that agree when laid on each other, or hashes within the
 * threshold, both of pictures with detail, and embeddings that do not contradict. `similar`: all else.
 */
export function matchKind(evidence: MatchEvidence, limits: MatchLimits): MatchKind {
  const { hasSameBytes, distance, qualities, similarity = 1, agreement = 0 } = evidence;
  if (hasSameBytes) return 'same';
  const speaks = qualities.every((quality) => quality === null || quality >= limits.qualityMin);
  if (speaks && distance === 0 && evidence.similarity !== undefined && similarity >= SAME_SIMILARITY_MIN) return 'same';
  if (agreement >= EDITED_AGREEMENT_MIN) return 'edited';
  if (distance === undefined || distance > limits.hashThreshold || !speaks) return 'similar';
  return similarity >= EDITED_SIMILARITY_MIN ? 'edited' : 'similar';
}

const RANK: Readonly<Record<MatchKind, number>> = { same: 0, edited: 1, similar: 2 };

/** The results in three groups, same first, each in the order it came in (best first). */
export function grouped<Result extends { readonly match: MatchKind }>(results: readonly Result[]): Result[] {
  return results.toSorted((a, b) => RANK[a.match] - RANK[b.match]);
}
