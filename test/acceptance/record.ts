/**
 * What an acceptance test found: a few measures against their thresholds, kept as JSON in docs/reliability/ and printed
 * as one table by the suite.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { REPOSITORY } from '../service-process.js';
import type { CriterionId } from './criteria.js';

/** Where the records lie, one file each. */
export const RECORDS = join(REPOSITORY, 'docs', 'reliability');

/**
 * One figure against its threshold, both as they shall stand in the table. `reason` says why it is missed where that is
 * known and accepted.
 */
export type Measure = {
  readonly name: string;
  readonly measured: string;
  readonly threshold: string;
  readonly isMet: boolean;
  readonly reason?: string;
};

/**
 * What a test hands in. `given` is its situation in a sentence; `part` tells several records of one criterion apart (a
 * word, fit for a file name).
 */
export type Finding = {
  readonly criterion: CriterionId;
  readonly part?: string;
  readonly given: string;
  readonly seed?: number;
  readonly measures: readonly Measure[];
};

/**
 * When, of what state and on what a test ran. `load`: the machine's mean load of the last minute when it was recorded,
 * the test's own included.
 */
export type Run = {
  readonly startedAt: string;
  readonly commit: string;
  readonly machine: string;
  readonly load: number;
};

/** A record as it is stored. `outcome`: what became of a test that never came to record anything. */
export type StoredRecord = Finding & {
  readonly run: Run;
  readonly outcome?: { readonly kind: 'failed' | 'skipped'; readonly reason: string };
};

/**
 * Stores what a test found, prints it, then fails where a measure is missed without a reason. Call it once, at the end
 * of a test, with every measure, so that a failing one is in the table with the others; what must hold for the measures
 * to mean anything is a plain assertion before.
 *
 *     const measures = [atMost('acknowledged images lost', lost, 0)];
 *     record({ criterion: 'A9', given: '100 rounds, 8 writers', seed, measures });
 */
export function record(finding: Finding): void {
  store({ ...finding, run: currentRun() });
  const { criterion, seed, measures } = finding;
  if (seed !== undefined) console.log(`${criterion}: seed ${seed}`);
  for (const { name, measured, threshold, isMet, reason } of measures)
    console.log(
      `${criterion}: ${name}: ${measured} (${threshold}) ${isMet ? 'met' : `SHORT${reason === undefined ? '' : `: ${reason}`}`}`,
    );
  const missed = measures.filter(({ isMet, reason }) => !isMet && reason === undefined);
  assert.deepEqual(missed, [], `${criterion} misses ${missed.map(({ name }) => name).join(', ')}`);
}

/** Writes a record over the one of the same criterion and part. */
export function store(stored: StoredRecord): void {
  mkdirSync(RECORDS, { recursive: true });
  writeFileSync(join(RECORDS, recordName(stored)), `${JSON.stringify(stored, null, 2)}\n`);
}

/** A09.json, A14-eio.json: sorts as the criteria do. */
export function recordName({ criterion, part }: Pick<Finding, 'criterion' | 'part'>): string {
  const number = criterion.slice(1).padStart(2, '0');
  return `A${number}${part === undefined ? '' : `-${part}`}.json`;
}

/** A measure that is met up to and including `limit`. */
export function atMost(name: string, value: number, limit: number, unit = '', reason?: string): Measure {
  return measure({ name, value, limit, unit, sign: '<=', isMet: value <= limit, reason });
}

/** A measure that is met from `limit` on. */
export function atLeast(name: string, value: number, limit: number, unit = '', reason?: string): Measure {
  return measure({ name, value, limit, unit, sign: '>=', isMet: value >= limit, reason });
}

/** A measure that is met below `limit`. */
export function below(name: string, value: number, limit: number, unit = '', reason?: string): Measure {
  return measure({ name, value, limit, unit, sign: '<', isMet: value < limit, reason });
}

/** A figure that has no threshold of its own: others are told against it. */
export function figure(name: string, value: number, unit = ''): Measure {
  return { name, measured: withUnit(value, unit), threshold: 'recorded', isMet: true };
}

/**
 * The seed of a run: ACCEPTANCE_SEED where it is set, to replay a failure, or the test's own. Printed, so that any
 * failure says how to be replayed.
 */
export function seedOf(own: number): number {
  const seed = Number(process.env.ACCEPTANCE_SEED ?? own);
  console.log(`seed ${seed} (ACCEPTANCE_SEED=${seed} replays it)`);
  return seed;
}

/**
 * Rounds 0 to count-1, or only ACCEPTANCE_ROUND where it is set: for tests whose rounds are independent, each seeded
 * with {@link roundSeed}. A round that throws is reported with its number.
 */
export async function inRounds(
  count: number,
  seed: number,
  round: (number: number, seed: number) => Promise<void>,
): Promise<void> {
  const only = process.env.ACCEPTANCE_ROUND;
  for (
    let number = only === undefined ? 0 : Number(only);
    number < (only === undefined ? count : Number(only) + 1);
    number++
  ) {
    try {
      await round(number, roundSeed(seed, number));
    } catch (error) {
      console.error(`round ${number} failed; ACCEPTANCE_SEED=${seed} ACCEPTANCE_ROUND=${number} replays it alone`);
      throw error;
    }
  }
}

/** The seed of one round of a run. */
export function roundSeed(seed: number, round: number): number {
  return (Math.imul(seed ^ (round + 1), 0x9e3779b1) ^ (round << 7)) >>> 0;
}

/** This run as the table tells it. All tests of one suite share its start. */
export function currentRun(): Run {
  const startedAt = process.env.ACCEPTANCE_RUN ?? runName(new Date());
  const [cpu] = cpus();
  const machine = `${cpus().length} x ${cpu?.model.trim() ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release().split('-')[0]}, Node ${process.versions.node}`;
  return { startedAt, commit: commitOf(), machine, load: Math.round((loadavg()[0] ?? 0) * 10) / 10 };
}

/** A run's name: its start to the second. */
export function runName(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

function commitOf(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: REPOSITORY,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown'; // Not a clone: an unpacked release, say.
  }
}

function measure(told: {
  readonly name: string;
  readonly value: number;
  readonly limit: number;
  readonly unit: string;
  readonly sign: string;
  readonly isMet: boolean;
  readonly reason: string | undefined;
}): Measure {
  const { name, value, limit, unit, sign, isMet, reason } = told;
  const threshold = `${sign} ${withUnit(limit, unit)}`;
  return { name, measured: withUnit(value, unit), threshold, isMet, ...(reason !== undefined && { reason }) };
}

function withUnit(value: number, unit: string): string {
  const rounded =
    Math.abs(value) >= 100 || Number.isInteger(value)
      ? String(Math.round(value))
      : String(Number(value.toPrecision(3)));
  return unit === '' ? rounded : `${rounded} ${unit}`;
}
