import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCatalogue } from '../../../src/catalogue/open-catalogue.js';
import { checkCatalogue } from '../../../src/catalogue/snapshots/check.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { Expected, KILL_DIMENSIONS, KILL_OPTIONS } from '../kill-rounds.js';
import { DiskModel, type DiskRecord, readDiskRecords } from './disk-model.js';

const SOURCE = fileURLToPath(new URL('./faulty-io.c', import.meta.url));
const ANSWERS_TO_FAULTS = ['DISK_FULL', 'CATALOGUE_DAMAGED'];

export type Fault = { readonly nth: number; readonly error: 'ENOSPC' | 'EIO' };

/** Compiles the shim into `folder`; undefined, and why, where no compiler or no LD_PRELOAD is. */
export function compileShim(
  folder: string,
): { readonly path: string } | { readonly path: undefined; readonly reason: string } {
  if (process.platform !== 'linux') return { path: undefined, reason: 'LD_PRELOAD and /proc are of Linux' };
  const path = join(folder, 'faulty-io.so');
  const { status, stderr, error } = spawnSync(
    'cc',
    ['-shared', '-fPIC', '-O1', '-o', path, SOURCE, '-ldl', '-lpthread'],
    {
      encoding: 'utf8',
    },
  );
  return status === 0 ? { path } : { path: undefined, reason: `the shim cannot be compiled: ${stderr || error}` };
}

/** What a run left: its folder, and everything it wrote and was told, in order. */
export type RecordedRun = {
  readonly folder: string;
  readonly records: readonly DiskRecord[];
  readonly lines: readonly string[];
};

/**
 * Runs the writers once on a new folder, with one fault where asked. Asserts that they end by themselves and that every
 * call was answered.
 */
export async function recordRun(folder: string, shim: string, fault?: Fault): Promise<RecordedRun> {
  const place = fault === undefined ? 'no fault' : `operation ${fault.nth} fails with ${fault.error}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const [data, log] = [join(folder, 'data'), `${folder}.log`];
  rmSync(log, { force: true });
  const environment = {
    ...{ PATH: '/usr/bin:/bin', LD_PRELOAD: shim, SHIM_LOG: log, SHIM_PREFIX: folder, SHIM_FAULT_PREFIX: data },
    ...(fault && { SHIM_FAIL: `${fault.nth}:${constants.errno[fault.error]}` }),
  };
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('./io-child.js', import.meta.url)), data, join(folder, 'said')],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: environment,
      timeout: 60_000,
      killSignal: 'SIGKILL',
    },
  );
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const end = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  assert.deepEqual(end, { code: 0, signal: null }, `${place}: ${stderr}`);
  const records = readDiskRecords(log);
  rmSync(log);
  const lines = linesOf(records);
  const asked = lines.filter((line) => line.startsWith('adding'));
  const answered = lines.filter((line) => /^(added|refused)/.test(line));
  assert.ok(answered.length >= asked.length, `${place}: ${asked.length - answered.length} adds have no answer`);
  for (const line of lines) {
    const [word, , code = ''] = line.split(' ');
    if (word === 'refused' || word === 'unopened') assert.ok(ANSWERS_TO_FAULTS.includes(code), `${place}: ${line}`);
  }
  return { folder, records, lines };
}

/**
 * Everything acknowledged is in the folder, whole, and found; nothing is there that was never sent; the records
 * are whole.
 */
export async function verifyFolder(data: string, lines: readonly string[], place: string): Promise<void> {
  const expected = new Expected();
  expected.learn(lines);
  const catalogue = await openCatalogue({ folder: data, dimensions: KILL_DIMENSIONS, ...KILL_OPTIONS });
  try {
    await expected.verify(catalogue, { place, round: 0, isLast: true, random: Math.random });
  } finally {
    await catalogue.close();
  }
  assert.deepEqual(checkCatalogue(data, { deep: true, m: KILL_OPTIONS.m }).storeProblems, [], place);
}

/**
 * One run with one fault (A14), then a start, and a start after the power failed as well. Returns how many adds
 * were refused.
 */
export async function failOnce(folder: string, shim: string, fault: Fault): Promise<number> {
  const { records, lines } = await recordRun(folder, shim, fault);
  const place = `operation ${fault.nth} fails with ${fault.error}`;
  await verifyFolder(join(folder, 'data'), lines, place);
  // What a failed flush should have written is lost for good, whatever later flushes say; so this shows one that was
  // taken for retried.
  const model = new DiskModel();
  for (const record of records) model.follow(record);
  const after = `${folder}-after`;
  model.writeTo(after, folder);
  await verifyFolder(join(after, 'data'), lines, `${place}, then the power`);
  for (const each of [folder, after]) rmSync(each, { recursive: true, force: true });
  return lines.filter((line) => /^(refused|unopened)/.test(line)).length;
}

/**
 * Cuts the power at `cuts` moments of a recorded run (A15), half of them right after an answer; everything answered
 * before must be there.
 */
export async function cutPower(
  run: RecordedRun,
  options: { readonly cuts: number; readonly seed: number },
): Promise<void> {
  const { cuts, seed } = options;
  const random = seededRandom(seed);
  const { folder, records } = run;
  const said = join(folder, 'said');
  const answers = records.flatMap(({ path, op }, place) => (path === said && op === 'write' ? [place + 1] : []));
  for (let cut = 0; cut < cuts; cut++) {
    const at =
      cut % 2 === 0 ? answers[Math.floor(random() * answers.length)]! : Math.floor(random() * (records.length + 1));
    const model = new DiskModel();
    for (const record of records.slice(0, at)) model.follow(record);
    const after = `${folder}-cut`;
    // By turns: all that was not flushed is lost; some pages of it made it to the disk.
    model.writeTo(after, folder, cut % 4 < 2 ? undefined : random);
    const place = `seed ${seed}, cut ${cut} after ${at} of ${records.length} operations`;
    await verifyFolder(join(after, 'data'), linesOf(records.slice(0, at)), place);
    rmSync(after, { recursive: true, force: true });
  }
}

function linesOf(records: readonly DiskRecord[]): string[] {
  const said = records.filter(({ op, path }) => op === 'write' && path.endsWith('/said'));
  return said.flatMap(({ data }) => data.toString('utf8').split('\n').filter(Boolean));
}
