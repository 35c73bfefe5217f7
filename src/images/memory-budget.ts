/** Memory that several decodes share: what is acquired and not yet released never exceeds the total. First come, first served. */
export class MemoryBudget {
  readonly totalBytes: number;
  #usedBytes = 0;
  readonly #waiting: { readonly bytes: number; readonly resolve: (admitted: boolean) => void; isGivenUp: boolean }[] = [];

  constructor(totalBytes: number) {
    this.totalBytes = totalBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * Resolves true once `bytes` are reserved (call {@link release} with the same number afterwards), or false when `signal` aborts first.
   * Throws where `bytes` exceed the total, which nothing could ever satisfy.
   */
  acquire(bytes: number, signal: AbortSignal): Promise<boolean> {
    if (bytes > this.totalBytes) throw new Error(`${bytes} bytes of a budget of ${this.totalBytes}. This is a bug.`);
    if (signal.aborted) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiter = { bytes, resolve, isGivenUp: false };
      this.#waiting.push(waiter);
      signal.addEventListener(
        'abort',
        () => {
          waiter.isGivenUp = true;
          resolve(false); // has no effect where it was admitted before
          this.#admitWaiting();
        },
        { once: true },
      );
      this.#admitWaiting();
    });
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
    this.#admitWaiting();
  }

  #admitWaiting(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (!first.isGivenUp && this.#usedBytes + first.bytes > this.totalBytes) return;
      this.#waiting.shift();
      if (first.isGivenUp) continue;
      this.#usedBytes += first.bytes;
      first.resolve(true);
    }
  }
}
