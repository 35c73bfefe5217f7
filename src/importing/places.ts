/** A bound on work at once; whoever finds no place waits in line. */
export type Places = {
  /** Resolves with what gives the place back. Rejects with the signal's reason where it fires first. */
  take(signal: AbortSignal): Promise<() => void>;
  readonly held: number;
};

/** So many places. */
export function createPlaces(count: number): Places {
  const line: (() => void)[] = [];
  let held = 0;
  const freed = (): void => {
    held -= 1;
    line.shift()?.();
  };
  return {
    async take(signal) {
      signal.throwIfAborted();
      if (held >= count) {
        await new Promise<void>((resolve, reject) => {
          const leave = (): void => {
            line.splice(line.indexOf(enter), 1);
            reject(signal.reason);
          };
          const enter = (): void => {
            signal.removeEventListener('abort', leave);
            held += 1;
            resolve();
          };
          signal.addEventListener('abort', leave, { once: true });
          line.push(enter);
        });
      } else held += 1;
      let isFree = false;
      return () => {
        if (isFree) throw new Error('A place was given back twice. This is a bug.');
        isFree = true;
        freed();
      };
    },
    get held() {
      return held;
    },
  };
}
