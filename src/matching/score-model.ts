/**
 * What a score means: the probability that a pair is a copy, by logistic curves fitted on copies and on what searches
 * find besides.
 */
import { dot, logistic } from './logistic-regression.js';

/** What the curves read of a pair. */
export type ScoreEvidence = {
  /** Cosine of the embeddings. */
  readonly similarity: number;
  /** Bits between the perceptual hashes; undefined where one of them is missing or says little. */
  readonly distance: number | undefined;
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
 * For an encoder that nothing is known of yet: only near hashes and all but equal embeddings count as copies. Set
 * by hand.
 */
export const UNFITTED_SCORES: ScoreModel = {
  byCosine: [-24, 8],
  byCosineAndHash: [-10, 2, 12],
  nearProbability: 0.8,
  relatedSimilarity: 0.5,
};

/** Curves whose `near` was measured to be wrong, without it: likeness is still told by the collection's own cosines. */
export function withdrawnScores({ relatedSimilarity }: Pick<ScoreModel, 'relatedSimilarity'>): ScoreModel {
  return { ...UNFITTED_SCORES, relatedSimilarity };
}

/** Probability that a pair is one of copies. */
export function copyProbability({ similarity, distance }: ScoreEvidence, model: ScoreModel): number {
  return logistic(
    distance === undefined
      ? dot(model.byCosine, cosineFeatures(similarity))
      : dot(model.byCosineAndHash, hashFeatures(similarity, distance)),
  );
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
