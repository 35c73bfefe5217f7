/**
 * Histogram of the best result of each query by score, in equal bins over low..high. right: of the query's class, or
 * its original; wrong: all others. right / (right + wrong) is the precision of a bin.
 */
export type ScoreHistogram = {
  readonly low: number;
  readonly high: number;
  readonly right: readonly number[];
  readonly wrong: readonly number[];
};

/** scores, isRight: one entry per query. The bins span the scores; a single score gets one bin of width 0. */
export function scoreHistogram(options: {
  readonly scores: ArrayLike<number>;
  readonly isRight: ArrayLike<boolean | number>;
  readonly bins: number;
}): ScoreHistogram {
  const { scores, isRight, bins } = options;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < scores.length; i++) {
    low = Math.min(low, scores[i]!);
    high = Math.max(high, scores[i]!);
  }
  if (scores.length === 0) [low, high] = [0, 1];
  const right = new Array<number>(bins).fill(0);
  const wrong = new Array<number>(bins).fill(0);
  for (let i = 0; i < scores.length; i++) {
    const place = high > low ? Math.min(bins - 1, Math.floor(((scores[i]! - low) / (high - low)) * bins)) : 0;
    const counts = isRight[i] ? right : wrong;
    counts[place] = counts[place]! + 1;
  }
  return { low, high, right, wrong };
}
