/**
 * What a result is to a query: a copy or none, how probable that is, and whether the two are alike. Decided here and
 * nowhere else.
 */
import { dot, logistic } from './logistic-regression.js';
import { copyProbability, type ScoreModel } from './score-model.js';

/** exact: the same picture; edited: a copy that was changed; none: another picture. */
export type Copy = 'exact' | 'edited' | 'none';

/**
 * The fields agree with each other: a copy's `probability` is at least the model's `nearProbability` and that
 * of another picture is below it; an exact copy's is 1; every copy is `similar`.
 */
export type CopyVerdict = {
  readonly copy: Copy;
  /** 0..1, to four decimals: query and result are copies of one picture. */
  readonly probability: number;
  /** A copy, or more alike than 99 of 100 random pairs. */
  readonly similar: boolean;
};

/** What is known of a pair of pictures. */
export type CopyEvidence = {
  readonly hasSameBytes: boolean;
  /** Bits in which the perceptual hashes differ, 0..256; undefined where one is missing or has too little detail. */
  readonly distance: number | undefined;
  /**
   * The distance is that of a turned or mirrored query, of which there is no embedding: the cosine says nothing
   * about it.
   */
  readonly isTurned?: boolean;
  /** The query is turned or mirrored for this result, which is then an edited copy at best, encoded or not. */
  readonly isView?: boolean;
  /**
   * One of the pictures has next to no detail: all such pictures have one embedding, and only bytes tell them apart.
   */
  readonly isFlat?: boolean;
  /** Cosine of the embeddings. */
  readonly similarity: number;
  /**
   * Share of their detail that agrees when they are aligned, 0..1; null where they cannot be aligned; undefined
   * where no alignment was tried.
   */
  readonly agreement?: number | null | undefined;
  /**
   * Of the results that hash or curves take for copies, the share that alignments of this query confirmed, 0..1. Among
   * documents of one layout hash and curves are wrong, and the first alignments show it.
   */
  readonly confidence?: number;
  /** The query is one picture. Of a query made of several, nothing is a copy. */
  readonly isOnePicture?: boolean;
};

/** By what evidence is judged. */
export type CopyRules = {
  /** Curves of the collection. */
  readonly model: ScoreModel;
  /** Most bits between the hashes of copies. */
  readonly hashThreshold: number;
};

/**
 * Below this cosine the embedding contradicts a near hash, as it does for a blank picture that hashes alike;
 * fitted, see docs/scores.md.
 */
const EDITED_SIMILARITY_MIN = 0.2;
/** Equal hashes are the same pixels, but for coding, only where the embeddings are this near. */
const EXACT_SIMILARITY_MIN = 0.98;
/** Aligned pictures that agree so far in detail are copies; fitted, see docs/scores.md. */
export const EDITED_AGREEMENT_MIN = 0.7;
/**
 * Weights of 1 and of the agreement, for the probability of a copy. Set by hand: 0.73 at the threshold, 0.96 at 0.85.
 */
const AGREEMENT_WEIGHTS: readonly [number, number] = [-9.5, 15];
/** Of pictures that cannot be aligned and have no near hashes, and of flat pictures. Set by hand. */
const UNALIGNED_PROBABILITY = 0.0001;
/** Of a near hash of a turned query, whose embedding is not known. Set by hand. */
const TURNED_HASH_PROBABILITY = 0.95;
/** Probabilities have four decimals. */
const STEPS = 10_000;

/**
 * Judges a pair: equal bytes first, then the alignment where the pictures can be aligned, else near hashes; the
 * curves only where no alignment was tried.
 */
export function judgeCopy(evidence: CopyEvidence, rules: CopyRules): CopyVerdict {
  const { similarity, agreement, isOnePicture = true } = evidence;
  const { nearProbability, relatedSimilarity } = rules.model;
  if (isOnePicture && isExact(evidence)) return { copy: 'exact', probability: 1, similar: true };
  const probability = probabilityOf(evidence, rules);
  const isCopy =
    typeof agreement === 'number'
      ? agreement >= EDITED_AGREEMENT_MIN
      : isTrustedHash(evidence, rules) || (agreement === undefined && probability >= nearProbability);
  // Rounded away from the threshold, so that rounding moves none over it.
  const nearSteps = Math.ceil(nearProbability * STEPS);
  const steps = Math.round(probability * STEPS);
  if (isCopy && isOnePicture) return { copy: 'edited', probability: Math.max(steps, nearSteps) / STEPS, similar: true };
  const similar = similarity >= relatedSimilarity;
  return { copy: 'none', probability: Math.max(0, Math.min(steps, nearSteps - 1)) / STEPS, similar };
}

/** Whether bytes, or hashes and embeddings as good as equal, show the same picture. */
function isExact({
  hasSameBytes,
  distance,
  isTurned = false,
  isView = isTurned,
  similarity,
  agreement,
  confidence = 1,
}: CopyEvidence): boolean {
  if (hasSameBytes) return true;
  const isContradicted = typeof agreement === 'number' ? agreement < EDITED_AGREEMENT_MIN : confidence < 1;
  return distance === 0 && !isView && similarity >= EXACT_SIMILARITY_MIN && !isContradicted;
}

/** Whether the hashes show a copy and the embeddings do not contradict. */
export function isNearHash(
  { distance, isTurned = false, similarity }: Pick<CopyEvidence, 'distance' | 'isTurned' | 'similarity'>,
  hashThreshold: number,
): boolean {
  return distance !== undefined && distance <= hashThreshold && (isTurned || similarity >= EDITED_SIMILARITY_MIN);
}

function isTrustedHash(evidence: CopyEvidence, { model, hashThreshold }: CopyRules): boolean {
  return isNearHash(evidence, hashThreshold) && (evidence.confidence ?? 1) >= model.nearProbability;
}

function probabilityOf(evidence: CopyEvidence, { model, hashThreshold }: CopyRules): number {
  const { agreement, isTurned = false, isFlat = false, confidence = 1 } = evidence;
  if (typeof agreement === 'number') return logistic(dot(AGREEMENT_WEIGHTS, [1, agreement]));
  const isNear = isNearHash(evidence, hashThreshold);
  if (isTurned && isNear) return TURNED_HASH_PROBABILITY * confidence;
  if (isFlat || (agreement === null && !isNear)) return UNALIGNED_PROBABILITY;
  return copyProbability(evidence, model) * confidence;
}

const RANK: Readonly<Record<Copy, number>> = { exact: 0, edited: 1, none: 2 };

/** Copies first: exact, edited, none, each in the order it came in (best first). */
export function copiesFirst<Result extends { readonly verdict: CopyVerdict }>(results: readonly Result[]): Result[] {
  return results.toSorted((a, b) => RANK[a.verdict.copy] - RANK[b.verdict.copy]);
}

/** The two fields that said the same before 0.2.0, kept for one minor version. */
export type VerdictAliases = {
  readonly match: 'same' | 'edited' | 'similar';
  readonly band: { readonly name: 'same' | 'near' | 'related' | 'unrelated'; readonly probability: number };
};

/** The deprecated fields of a verdict. */
export function verdictAliases({ copy, probability, similar }: CopyVerdict): VerdictAliases {
  const name = copy === 'exact' ? 'same' : copy === 'edited' ? 'near' : similar ? 'related' : 'unrelated';
  return { match: copy === 'exact' ? 'same' : copy === 'edited' ? 'edited' : 'similar', band: { name, probability } };
}
