/**
 * How the learning rate goes over a run. constant: the article's. warm-up-cosine: linear from 0 over the first `warmUp` (a share of all
 * steps), then half a cosine down to `end` (a share of the rate).
 */
export type Schedule = { readonly kind: 'constant' } | { readonly kind: 'warm-up-cosine'; readonly warmUp: number; readonly end: number };

/** The learning rate of step `step` (0 is the first) of `steps`. A function of its arguments alone, so that a resumed run goes on as it was. */
export function learningRateAt(options: {
  readonly schedule: Schedule;
  readonly learningRate: number;
  readonly step: number;
  readonly steps: number;
}): number {
  const { schedule, learningRate, step, steps } = options;
  if (schedule.kind === 'constant') return learningRate;
  const warmUpSteps = Math.round(schedule.warmUp * steps);
  if (step < warmUpSteps) return (learningRate * (step + 1)) / warmUpSteps;
  const progress = (step - warmUpSteps) / Math.max(1, steps - warmUpSteps);
  const half = (1 + Math.cos(Math.PI * progress)) / 2;
  return learningRate * (schedule.end + (1 - schedule.end) * half);
}
