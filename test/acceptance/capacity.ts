/**
 * What a service can do, measured by clients in a closed loop: the yardstick of every test of load, taken in the same
 * run as what is told against it.
 */
import { closedLoop, type LoadSummary, type Shot, summarise } from './load.js';

/** A rung of the ladder. */
export type Rung = LoadSummary & { readonly clients: number };

/** Longest p99 at which a rung still counts as capacity, in milliseconds. */
export const CAPACITY_P99_MS = 500;
const WARM_SECONDS = 2;

/**
 * Climbs the ladder of clients; `best` is the rung with most answers a second of those without a refusal or fault and
 * with p99 in bounds, `undefined` of none.
 */
export async function capacityOf(load: {
  readonly url: string;
  readonly clients: readonly number[];
  readonly seconds: number;
  readonly shot: (number: number) => Shot;
}): Promise<{ readonly rungs: readonly Rung[]; readonly best: Rung | undefined }> {
  const { url, seconds, shot } = load;
  await closedLoop({ url, clients: 4, seconds: WARM_SECONDS, shot });
  const rungs: Rung[] = [];
  for (const clients of load.clients) {
    rungs.push({ clients, ...summarise(await closedLoop({ url, clients, seconds, shot }), seconds) });
    const { acceptedPerSecond, p50, p99, refused, others, resets } = rungs.at(-1)!;
    const faults = refused + others + resets;
    console.log(
      `${clients} clients: ${acceptedPerSecond.toFixed(1)}/s, p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, ${faults} refused or failed`,
    );
  }
  const sound = rungs.filter(
    ({ p99, refused, others, resets }) => p99 < CAPACITY_P99_MS && refused + others + resets === 0,
  );
  const best = sound.reduce<Rung | undefined>(
    (most, rung) => (rung.acceptedPerSecond > (most?.acceptedPerSecond ?? 0) ? rung : most),
    undefined,
  );
  return { rungs, best };
}

/**
 * Seconds of a measurement: as the criterion says, or ACCEPTANCE_SECONDS where somebody has less time; the record
 * tells which.
 */
export function secondsOf(stated: number): number {
  return Number(process.env.ACCEPTANCE_SECONDS ?? stated);
}

/** A figure of GET /metrics; NaN where it is not there. */
export async function metricOf(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}
