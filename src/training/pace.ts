/** Time of training: pauses for measuring count neither for the pace nor for the seconds. */
export class Pace {
  readonly #run: { readonly firstStep: number; readonly steps: number; readonly batchSize: number; readonly formerSeconds: number };
  readonly #startedAt = performance.now();
  #pausedMs = 0;

  constructor(run: { readonly firstStep: number; readonly steps: number; readonly batchSize: number; readonly formerSeconds: number }) {
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
    return { imagesPerSecond: this.#run.batchSize / secondsPerStep, secondsLeft: secondsPerStep * (this.#run.steps - step) };
  }

  async pausedFor(work: () => Promise<void>): Promise<void> {
    const before = performance.now();
    await work();
    this.#pausedMs += performance.now() - before;
  }
}
