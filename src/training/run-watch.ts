/** Losses of a step in nats: the weighted sum and its terms, as infoMaxObjective returns them. */
export type Losses = {
  readonly loss: number;
  readonly global: number;
  readonly local: number;
  readonly prior: number;
  /** Only where there is a decoder. */
  readonly reconstruction?: number;
};

/** Steps between checks of the codes, and between lines of metrics. */
export const LOOK_EVERY_STEPS = 50;
const LOSS_NAMES = ['loss', 'global', 'local', 'prior', 'reconstruction'] as const;

/**
 * Checks the losses of every step and, every {@link LOOK_EVERY_STEPS}, the codes; averages the metrics since the last
 * line.
 */
export class RunWatch {
  readonly #dimensions: number;
  #sums: Partial<Record<keyof Losses, number>> = {};
  #count = 0;
  #looks = 0;
  #unhealthyLooks = 0;
  #health: CodeHealth | undefined;

  constructor(dimensions: number) {
    this.#dimensions = dimensions;
  }

  /** The reason why training must stop, or undefined. means: codes of the batch. */
  look(losses: Losses, means: Float32Array): string | undefined {
    const names = LOSS_NAMES.filter((name) => losses[name] !== undefined);
    const bad = names.find((name) => !Number.isFinite(losses[name]));
    if (bad !== undefined)
      return `the ${bad} is ${losses[bad]}, no finite number. Lower optimiser.learningRate, or go on from an earlier state.`;
    for (const name of names) this.#sums[name] = (this.#sums[name] ?? 0) + (losses[name] ?? 0);
    this.#count++;
    if (this.#looks++ % LOOK_EVERY_STEPS !== LOOK_EVERY_STEPS - 1) return undefined;
    this.#health = codeHealth(means, this.#dimensions);
    const { spread, effectiveRank } = this.#health;
    const isUnhealthy = spread < COLLAPSED.spread || effectiveRank < COLLAPSED.effectiveRank;
    this.#unhealthyLooks = isUnhealthy ? this.#unhealthyLooks + 1 : 0;
    if (this.#unhealthyLooks < COLLAPSED_LOOKS) return undefined;
    return `the codes have collapsed (spread ${spread.toPrecision(2)}, effective rank ${effectiveRank.toPrecision(3)}): images can no longer be told apart. Lower optimiser.learningRate or priorWeight.`;
  }

  /** Means of the losses since the last call, and the latest health of the codes. */
  means(): Record<string, number> {
    const means = Object.fromEntries(Object.entries(this.#sums).map(([name, sum]) => [name, sum / this.#count]));
    this.#sums = {};
    this.#count = 0;
    return { ...means, ...this.#health };
  }
}

/** Training time. Pauses for measuring count neither as time nor in the rate. */
export class Pace {
  readonly #run: {
    readonly firstStep: number;
    readonly steps: number;
    readonly batchSize: number;
    readonly formerSeconds: number;
  };
  readonly #startedAt = performance.now();
  #pausedMs = 0;

  constructor(run: {
    readonly firstStep: number;
    readonly steps: number;
    readonly batchSize: number;
    readonly formerSeconds: number;
  }) {
    this.#run = run;
  }

  get seconds(): number {
    return this.#run.formerSeconds + this.#ownSeconds;
  }

  get #ownSeconds(): number {
    return (performance.now() - this.#startedAt - this.#pausedMs) / 1000;
  }

  at(step: number): { readonly imagesPerSecond: number; readonly secondsLeft: number } {
    const secondsPerStep = this.#ownSeconds / (step - this.#run.firstStep);
    return {
      imagesPerSecond: this.#run.batchSize / secondsPerStep,
      secondsLeft: secondsPerStep * (this.#run.steps - step),
    };
  }

  async pausedFor(work: () => Promise<void>): Promise<void> {
    const before = performance.now();
    await work();
    this.#pausedMs += performance.now() - before;
  }
}

/**
 * Whether codes of different images can still be told apart, by the codes of one batch: a loss can fall while all codes
 * collapse to one point or line. spread: median over dimensions of the standard deviation of the unit codes, times the
 * root of the number of dimensions; 1 is an even spread over the sphere, 0 a point. effectiveRank: of the centred unit
 * codes, (sum of variances)^2 / sum of squared variances over principal axes, 1..D.
 */
export type CodeHealth = { readonly spread: number; readonly effectiveRank: number };

/** Below either value a search cannot tell images apart. */
export const COLLAPSED: CodeHealth = { spread: 0.01, effectiveRank: 1.1 };
/** Consecutive checks below {@link COLLAPSED} that stop the training; a single batch may mislead. */
const COLLAPSED_LOOKS = 3;

/**
 * Health of codes [rows, dimensions], at least 2 rows, by the participation ratio, which needs no eigenvalues. Cost:
 * rows^2 D.
 */
export function codeHealth(codes: Float32Array, dimensions: number): CodeHealth {
  const rows = codes.length / dimensions;
  const unit = centredUnitRows(codes, dimensions);
  const deviations = new Float64Array(dimensions);
  for (let i = 0; i < unit.length; i++) deviations[i % dimensions] = deviations[i % dimensions]! + unit[i]! ** 2;
  for (let i = 0; i < dimensions; i++) deviations[i] = Math.sqrt((deviations[i]! * dimensions) / rows);
  let trace = 0;
  let squares = 0;
  for (let a = 0; a < rows; a++) {
    for (let b = a; b < rows; b++) {
      let product = 0;
      for (let i = 0; i < dimensions; i++) product += unit[a * dimensions + i]! * unit[b * dimensions + i]!;
      squares += (a === b ? 1 : 2) * product * product;
      if (a === b) trace += product;
    }
  }
  return { spread: deviations.sort()[dimensions >> 1]!, effectiveRank: squares > 0 ? (trace * trace) / squares : 0 };
}

function centredUnitRows(codes: Float32Array, dimensions: number): Float64Array {
  const rows = codes.length / dimensions;
  const unit = Float64Array.from(codes);
  const mean = new Float64Array(dimensions);
  for (let start = 0; start < unit.length; start += dimensions) {
    let norm = 0;
    for (let i = start; i < start + dimensions; i++) norm += unit[i]! ** 2;
    const scale = norm > 0 ? 1 / Math.sqrt(norm) : 0;
    for (let i = 0; i < dimensions; i++) {
      unit[start + i] = unit[start + i]! * scale;
      mean[i] = mean[i]! + unit[start + i]! / rows;
    }
  }
  for (let i = 0; i < unit.length; i++) unit[i] = unit[i]! - mean[i % dimensions]!;
  return unit;
}
