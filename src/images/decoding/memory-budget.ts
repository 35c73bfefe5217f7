/** A semaphore of bytes, first come, first served: what is acquired and not yet released never exceeds the total. */
export class MemoryBudget {
  readonly totalBytes: number;
  #usedBytes = 0;
  readonly #waiting = new Set<{ readonly bytes: number; readonly admit: () => void }>();

  constructor(totalBytes: number) {
    this.totalBytes = totalBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * Resolves when `bytes` are reserved; call {@link release} with the same number afterwards. Rejects with the signal's
   * reason where it aborts first. Throws where `bytes` exceed the total, which nothing could ever satisfy.
   */
  async acquire(bytes: number, signal: AbortSignal): Promise<void> {
    if (bytes > this.totalBytes) throw new Error(`${bytes} bytes of a budget of ${this.totalBytes}. This is a bug.`);
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(waiter);
        reject(signal.reason);
        this.#admitWaiting();
      };
      const waiter = {
        bytes,
        admit: () => {
          signal.removeEventListener('abort', leave);
          resolve();
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.add(waiter);
      this.#admitWaiting();
    });
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
    this.#admitWaiting();
  }

  #admitWaiting(): void {
    for (const waiter of this.#waiting) {
      if (this.#usedBytes + waiter.bytes > this.totalBytes) return;
      this.#waiting.delete(waiter);
      this.#usedBytes += waiter.bytes;
      waiter.admit();
    }
  }
}
