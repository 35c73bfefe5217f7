/** A bound on concurrency, shared fairly between callers. */
export type Permits = {
  /**
   * Resolves with the function that releases the permit, at once or when one is free. Rejects with the signal's reason.
   */
  acquire(signal: AbortSignal, caller: string): Promise<() => void>;
  readonly held: number;
};

/** `count` permits. A free one goes to the waiting caller that holds the fewest, among equals to the first. */
export function createPermits(count: number): Permits {
  const queue: { readonly caller: string; readonly enter: () => void }[] = [];
  const heldBy = new Map<string, number>();
  let held = 0;
  const heldByCaller = (caller: string): number => heldBy.get(caller) ?? 0;
  const change = (caller: string, difference: 1 | -1): void => {
    held += difference;
    const left = heldByCaller(caller) + difference;
    if (left === 0) heldBy.delete(caller);
    else heldBy.set(caller, left);
  };
  const grantNext = (): void => {
    const [first, ...others] = queue;
    if (first === undefined) return;
    const next = others.reduce((a, b) => (heldByCaller(b.caller) < heldByCaller(a.caller) ? b : a), first);
    queue.splice(queue.indexOf(next), 1);
    next.enter();
  };
  return {
    async acquire(signal, caller) {
      signal.throwIfAborted();
      if (held < count) change(caller, 1);
      else {
        await new Promise<void>((resolve, reject) => {
          const leave = (): void => {
            queue.splice(queue.indexOf(entry), 1);
            reject(signal.reason);
          };
          const enter = (): void => {
            signal.removeEventListener('abort', leave);
            change(caller, 1); // before a later request can take the released permit
            resolve();
          };
          const entry = { caller, enter };
          signal.addEventListener('abort', leave, { once: true });
          queue.push(entry);
        });
      }
      let isReleased = false;
      return () => {
        if (isReleased) throw new Error('A permit was released twice. This is a bug.');
        isReleased = true;
        change(caller, -1);
        grantNext();
      };
    },
    get held() {
      return held;
    },
  };
}

/**
 * How many of `count` places one caller may hold while `callers` callers, itself included, hold some: an equal share
 * with one more caller, and at least one place, so that no caller takes all.
 */
export function fairShare(count: number, callers: number): number {
  return Math.max(1, Math.floor(count / (callers + 1)));
}
