import { Matrix, solve } from 'ml-matrix';

/** `features`: the first is usually the constant 1. `weight`: how often it counts. */
export type Observation = {
  readonly features: readonly number[];
  readonly isPositive: boolean;
  readonly weight: number;
};

/** Ridge penalty on all weights but the constant's; keeps them finite where classes do not overlap. */
const RIDGE = 0.01;
const STEPS_MAX = 50;
const STEP_MIN = 1e-7;

/**
 * Weights w of P(positive) = 1 / (1 + exp(-w.x)) by maximum likelihood: Newton's method with halved steps. Targets
 * are Platt's, not 0 and 1, so that no finite sample claims certainty. Throws where there are no observations. Source:
 * Platt 1999, Probabilistic Outputs for Support Vector Machines; Lin, Lin and Weng 2007.
 */
export function fitLogistic(observations: readonly Observation[]): readonly number[] {
  const size = observations[0]?.features.length;
  if (size === undefined) throw new Error('A logistic regression needs observations. This is a bug.');
  const countOf = (isPositive: boolean): number =>
    observations.reduce((sum, one) => sum + (one.isPositive === isPositive ? one.weight : 0), 0);
  const [positiveTarget, negativeTarget] = [(countOf(true) + 1) / (countOf(true) + 2), 1 / (countOf(false) + 2)];
  const targetOf = ({ isPositive }: Observation): number => (isPositive ? positiveTarget : negativeTarget);

  const lossAt = (weights: readonly number[]): number => {
    const misfit = observations.reduce((sum, observation) => {
      const logit = dot(weights, observation.features);
      // -t log p - (1 - t) log(1 - p), written so that it does not overflow.
      return (
        sum +
        observation.weight *
          (Math.log1p(Math.exp(-Math.abs(logit))) + Math.max(logit, 0) - targetOf(observation) * logit)
      );
    }, 0);
    return misfit + (RIDGE / 2) * weights.reduce((sum, weight, at) => sum + (at === 0 ? 0 : weight * weight), 0);
  };

  let weights: number[] = new Array<number>(size).fill(0);
  let loss = lossAt(weights);
  for (let step = 0; step < STEPS_MAX; step++) {
    const gradient: number[] = weights.map((weight, at) => (at === 0 ? 0 : RIDGE * weight));
    const curvature: number[][] = weights.map((_, row) => weights.map((__, column) => (row === column ? RIDGE : 0)));
    for (const observation of observations) {
      const { features, weight } = observation;
      const probability = logistic(dot(weights, features));
      const slope = weight * probability * (1 - probability);
      for (let row = 0; row < size; row++) {
        gradient[row]! += weight * (probability - targetOf(observation)) * features[row]!;
        for (let column = 0; column < size; column++)
          curvature[row]![column]! += slope * features[row]! * features[column]!;
      }
    }
    const direction = solve(new Matrix(curvature), Matrix.columnVector(gradient)).to1DArray();
    let scale = 1;
    let moved = weights.map((weight, at) => weight - direction[at]!);
    while (lossAt(moved) > loss && scale > 1e-6) {
      scale /= 2;
      moved = weights.map((weight, at) => weight - scale * direction[at]!);
    }
    const gain = loss - lossAt(moved);
    if (!(gain > 0)) break;
    weights = moved;
    loss -= gain;
    if (gain < STEP_MIN) break;
  }
  return weights;
}

/** 1 / (1 + exp(-x)). */
export function logistic(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

/** Sum of products. */
export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, at) => sum + value * b[at]!, 0);
}
