/** Memory and processor time of a service and its decoders, from /proc: Linux only. */
import { readdirSync, readFileSync } from 'node:fs';

/** Process ids of a process and its children. */
export function familyOf(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) => {
    try {
      return readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(/\s+/);
    } catch {
      return []; // The thread has just ended.
    }
  });
  return [pid, ...children.filter((child) => child !== '').map(Number)];
}

/** Resident bytes of a process and its children together, now; those that have just ended count nothing. */
export function familyBytes(pid: number): number {
  return familyOf(pid).reduce((sum, member) => sum + residentBytes(member), 0);
}

/** Looks every 20 ms until `stop`, which returns the largest sum of resident bytes that was seen. */
export function watchPeak(pid: number): { stop(): number } {
  let peak = familyBytes(pid);
  const timer = setInterval(() => {
    peak = Math.max(peak, familyBytes(pid));
  }, 20);
  return {
    stop() {
      clearInterval(timer);
      return Math.max(peak, familyBytes(pid));
    },
  };
}

/** Open file descriptors of a process. */
export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function residentBytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Processor time in milliseconds that a process and its living children have used so far. */
export function familyProcessorMs(pid: number): number {
  return familyOf(pid).reduce((sum, member) => sum + processorMs(member), 0);
}

/** Fields 14 and 15 of /proc/PID/stat, in hundredths of a second; the name in field 2 may hold spaces. */
function processorMs(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return 10 * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return 0;
  }
}
