import { COLLAPSED, COLLAPSED_LOOKS, type CodeHealth, codeHealth } from './collapse-watch.js';

/** What one step says of itself, in nats: the weighted whole and its terms, as infoMaxObjective gives them. */
export type Losses = {
  readonly loss: number;
  readonly global: number;
  readonly local: number;
  readonly prior: number;
  /** Only where there is a decoder. */
  readonly reconstruction?: number;
};

/** Codes are looked at, and metrics written, so often. */
export const LOOK_EVERY_STEPS = 50;
const LOSS_NAMES = ['loss', 'global', 'local', 'prior', 'reconstruction'] as const;

/** Looks at every step's losses, and now and then at its codes; sums up what the metrics say since the last line. */
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

  /** Why training must stop, if it must. means: the codes of the batch. */
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
