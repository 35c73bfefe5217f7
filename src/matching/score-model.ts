/** What a score means: the probability that a pair is a copy, by logistic curves fitted on copies and on what searches find besides. */
import { dot, logistic } from './logistic-regression.js';
import type { MatchKind } from './match-kind.js';

/** In words: the same picture, a copy of it, alike beyond chance, neither. */
export type BandName = 'same' | 'near' | 'related' | 'unrelated';

/** `probability`, 0..1: that query and result are copies of one picture. */
export type Band = { readonly name: BandName; readonly probability: number };

/** What is known of a pair. */
export type ScoreEvidence = {
  /** Cosine of the embeddings. */
  readonly similarity: number;
  /** Bits between the perceptual hashes; undefined where one of them is missing or says little. */
  readonly distance: number | undefined;
  /** Of an alignment that was tried, 0 where it found nothing; undefined where none was tried. */
  readonly agreement?: number | undefined;
  readonly match: MatchKind;
};

/** Fitted curves of one encoder and one kind of pictures. */
export type ScoreModel = {
  /** Weights of 1 and the stretched cosine. */
  readonly byCosine: readonly number[];
  /** Weights of 1, the stretched cosine and the nearness of hashes. */
  readonly byCosineAndHash: readonly number[];
  /** From this probability on a result is called near: at least {@link NEAR_PRECISION} of those are copies. */
  readonly nearProbability: number;
  /** From this cosine on a result is called related: of random pairs, 1 of 100 is as alike. */
  readonly relatedSimilarity: number;
};

/** Share of true copies among those called near that every fit must reach on pictures it was not fitted on. */
export const NEAR_PRECISION = 0.95;

/**
 * For an encoder that nothing is known of yet: only near hashes and all but equal embeddings count as copies. Set by hand.
 */
export const UNFITTED_SCORES: ScoreModel = {
  byCosine: [-24, 8],
  byCosineAndHash: [-10, 2, 12],
  nearProbability: 0.8,
  relatedSimilarity: 0.5,
};

/** Weights of 1 and of the agreement of aligned pictures. Encoders have no part in it. Set by hand, not fitted: 0.73
 * at the limit of match-kind.ts, 0.96 at 0.85, below which 2 of 100 copies lay (docs/scores.md). */
export const AGREEMENT_WEIGHTS: readonly [number, number] = [-9.5, 15];

/** The band of a pair by a model. */
export function bandOf(evidence: ScoreEvidence, model: ScoreModel): Band {
  if (evidence.match === 'same') return { name: 'same', probability: 1 };
  const probability = copyProbability(evidence, model);
  if (probability >= model.nearProbability) return { name: 'near', probability };
  return { name: evidence.similarity >= model.relatedSimilarity ? 'related' : 'unrelated', probability };
}

/** Probability that a pair is one of copies. An alignment that was tried decides: it looks closer than embedding and hash. */
export function copyProbability(
  { similarity, distance, agreement, match }: Omit<ScoreEvidence, 'match'> & { readonly match?: MatchKind },
  model: ScoreModel,
): number {
  const bySums =
    distance === undefined
      ? dot(model.byCosine, cosineFeatures(similarity))
      : dot(model.byCosineAndHash, hashFeatures(similarity, distance));
  if (agreement === undefined) return logistic(bySums);
  const byAlignment = dot(AGREEMENT_WEIGHTS, [1, agreement]);
  return logistic(match === 'edited' ? Math.max(bySums, byAlignment) : byAlignment);
}

/** 1 and Fisher's z of the cosine, which stretches what lies near 1, where copies differ. */
export function cosineFeatures(similarity: number): readonly number[] {
  return [1, Math.atanh(COSINE_SHRINKAGE * Math.max(-1, Math.min(1, similarity)))];
}

/** Beyond it hashes are as far apart as those of any two pictures. */
const HASH_DISTANCE_FAR = 100;
/** Keeps z finite. */
const COSINE_SHRINKAGE = 0.999;

/** The same with the nearness of the hashes, 0..1. */
export function hashFeatures(similarity: number, distance: number): readonly number[] {
  return [...cosineFeatures(similarity), Math.max(0, 1 - distance / HASH_DISTANCE_FAR)];
}
