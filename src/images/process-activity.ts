/** What another process does, as the system tells: Linux only, elsewhere unknown. */
import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts processor time in ticks of this length, in milliseconds. */
export const CPU_TICK_MS = 10;

/** Processor milliseconds that a process has used so far; NaN where the system does not tell (no /proc, or the process has gone). */
export function processorMs(pid: number | undefined): number {
  try {
    // utime and stime are the 14th and 15th field; the name in the 2nd may hold spaces and ends in ')'.
    const fields = statFields(`/proc/${pid}/stat`);
    return (Number(fields[11]) + Number(fields[12])) * CPU_TICK_MS;
  } catch {
    return Number.NaN;
  }
}

/** True while one of its threads runs or waits for a processor: then it is kept from its work by others, and does not hang. False where the system does not tell. */
export function isRunnable(pid: number | undefined): boolean {
  const isThreadRunnable = (thread: string): boolean => {
    try {
      return statFields(`/proc/${pid}/task/${thread}/stat`)[0] === 'R';
    } catch {
      return false; // It has just ended.
    }
  };
  try {
    return readdirSync(`/proc/${pid}/task`).some(isThreadRunnable);
  } catch {
    return false; // No /proc, or the process has gone.
  }
}

function statFields(path: string): readonly string[] {
  return readFileSync(path, 'utf8').split(') ')[1]?.split(' ') ?? [];
}
