import { fitLogistic, type Observation } from './logistic-regression.js';
import { copyProbability, cosineFeatures, hashFeatures, NEAR_PRECISION, type ScoreModel } from './score-model.js';

/** One result of a search with an edited picture. */
export type ScoredPair = {
  /** Which picture was edited: pictures are kept whole when pairs are split. */
  readonly picture: number;
  readonly similarity: number;
  /** Bits between the hashes; undefined where they say little. */
  readonly distance: number | undefined;
  readonly isCopy: boolean;
  /**
   * How often it counts. A wrong result counts twice, as in a search whose picture is stored and in one whose is not.
   */
  readonly weight: number;
};

/** Pairs whose probability fell between two bounds, and how many of them were copies. */
export type ReliabilityBin = { readonly probability: number; readonly copies: number; readonly pairs: number };

/**
 * How a model reads pairs of pictures: of those called near, how many are copies; of all copies, how many are
 * called near.
 */
export type ScoreMeasure = {
  readonly precision: number;
  readonly recall: number;
  readonly reliability: readonly ReliabilityBin[];
};

/**
 * A model with how many edited pictures and pairs it was fitted on, and what it is worth on pictures held out of
 * its fit.
 */
export type ScoreFit = ScoreMeasure & { readonly model: ScoreModel; readonly images: number; readonly pairs: number };

/**
 * Fitted pictures are split into so many parts; the threshold is chosen on each as read by curves fitted on the others.
 */
const FOLDS = 5;
/** What the threshold aims at on the fitted pictures, so that {@link NEAR_PRECISION} holds on others. */
const AIM = NEAR_PRECISION + 0.02;
/** Never lower, however well classes are apart: below it a result is more likely no copy. */
const NEAR_PROBABILITY_MIN = 0.5;
const NEAR_PROBABILITY_MAX = 0.999;
/** Of random pairs, the share that is less alike than what is called related. */
const RELATED_QUANTILE = 0.99;
const BINS = 10;
/** Least of either kind; with fewer nothing can be fitted. */
const PAIRS_MIN = 50;

/**
 * Fits a model to the results of searches with edited pictures and to random pairs: curves to all of `fitted`, the
 * threshold by cross-validation over its pictures. Neither sees `heldOut`, which must share no picture with it and
 * which says what the model is worth. Undefined where there are too few pairs of either kind in either part, or where
 * no threshold reaches the precision aimed at. Source: Platt 1999.
 */
export function fitScoreModel(parts: {
  readonly fitted: readonly ScoredPair[];
  readonly heldOut: readonly ScoredPair[];
  readonly randomSimilarities: readonly number[];
}): ScoreFit | undefined {
  const { fitted, heldOut, randomSimilarities } = parts;
  if (!hasBothKinds(fitted) || !hasBothKinds(heldOut) || randomSimilarities.length < PAIRS_MIN) return undefined;
  const folds = Array.from({ length: FOLDS }, (_, fold) => {
    const curves = fitCurves(fitted.filter(({ picture }) => picture % FOLDS !== fold));
    return judgedBy(
      curves,
      fitted.filter(({ picture }) => picture % FOLDS === fold),
    );
  });
  const nearProbability = threshold(folds.flat());
  if (nearProbability === undefined) return undefined;
  const model = { ...fitCurves(fitted), nearProbability, relatedSimilarity: relatedFrom(randomSimilarities) };
  const images = new Set(fitted.map(({ picture }) => picture)).size;
  return { model, images, pairs: fitted.length, ...measureScores(model, heldOut) };
}

/** The cosine from which on pairs are called related, by cosines of random pairs; 1 where there are none. */
export function relatedFrom(randomSimilarities: readonly number[]): number {
  const sorted = randomSimilarities.toSorted((a, b) => a - b);
  return sorted[Math.floor(RELATED_QUANTILE * (sorted.length - 1))] ?? 1;
}

/** What a model is worth on pairs that it was not fitted on. NaN where nothing is called near, or nothing is a copy. */
export function measureScores(model: ScoreModel, pairs: readonly ScoredPair[]): ScoreMeasure {
  const judged = judgedBy(model, pairs);
  const near = judged.filter(({ probability }) => probability >= model.nearProbability);
  const right = near.filter(({ isCopy }) => isCopy);
  return {
    precision: weightOf(right) / weightOf(near),
    recall: right.length / pairs.filter(({ isCopy }) => isCopy).length,
    reliability: reliabilityOf(judged),
  };
}

function hasBothKinds(pairs: readonly ScoredPair[]): boolean {
  const copies = pairs.filter(({ isCopy }) => isCopy).length;
  return copies >= PAIRS_MIN && pairs.length - copies >= PAIRS_MIN;
}

type Curves = Pick<ScoreModel, 'byCosine' | 'byCosineAndHash'>;
type Judged = ScoredPair & { readonly probability: number };

function fitCurves(pairs: readonly ScoredPair[]): Curves {
  const observed = (features: (pair: ScoredPair) => readonly number[] | undefined): Observation[] =>
    pairs.flatMap((pair) => {
      const values = features(pair);
      return values === undefined ? [] : [{ features: values, isPositive: pair.isCopy, weight: pair.weight }];
    });
  const hashed = observed(({ similarity, distance }) =>
    distance === undefined ? undefined : hashFeatures(similarity, distance),
  );
  const byCosine = fitLogistic(observed(({ similarity }) => cosineFeatures(similarity)));
  // Pictures without detail have no hash to speak of; a collection of nothing else keeps to the cosine.
  return { byCosine, byCosineAndHash: hashed.length < PAIRS_MIN ? [...byCosine, 0] : fitLogistic(hashed) };
}

function judgedBy(curves: Curves, pairs: readonly ScoredPair[]): Judged[] {
  const model = { ...curves, nearProbability: 1, relatedSimilarity: 1 };
  return pairs.map((pair) => ({ ...pair, probability: copyProbability(pair, model) }));
}

/** The lowest probability at and above which the precision aimed at is held. */
function threshold(judged: readonly Judged[]): number | undefined {
  const sorted = judged.toSorted((a, b) => b.probability - a.probability);
  let lowest: number | undefined;
  let right = 0;
  let all = 0;
  for (const [at, { probability, isCopy, weight }] of sorted.entries()) {
    if (probability < NEAR_PROBABILITY_MIN) break;
    all += weight;
    if (isCopy) right += weight;
    const isLastOfEqual = sorted[at + 1]?.probability !== probability;
    if (isLastOfEqual && right / all >= AIM) lowest = probability;
  }
  return lowest === undefined ? undefined : Math.min(lowest, NEAR_PROBABILITY_MAX);
}

function reliabilityOf(judged: readonly Judged[]): ReliabilityBin[] {
  return Array.from({ length: BINS }, (_, bin) => {
    const inside = judged.filter(({ probability }) => Math.min(BINS - 1, Math.floor(probability * BINS)) === bin);
    const pairs = weightOf(inside);
    const mean = inside.reduce((sum, { probability, weight }) => sum + weight * probability, 0) / pairs;
    return {
      probability: pairs === 0 ? (bin + 0.5) / BINS : mean,
      copies: weightOf(inside.filter(({ isCopy }) => isCopy)),
      pairs,
    };
  });
}

function weightOf(pairs: readonly ScoredPair[]): number {
  return pairs.reduce((sum, { weight }) => sum + weight, 0);
}
