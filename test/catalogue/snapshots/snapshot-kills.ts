import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkCatalogue } from '../../../src/catalogue/snapshots/check.js';
import { restoreSnapshot } from '../../../src/catalogue/snapshots/restore.js';
import { verifySnapshot } from '../../../src/catalogue/snapshots/snapshot-file.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { KILL_OPTIONS } from '../kill-rounds.js';

const MAX_BYTES = 2 ** 40;
const KEPT = 4;

/**
 * Kills (SIGKILL) a process that adds images and makes snapshots without end, `rounds` times, at random moments; then
 * as many that restore the last snapshot. After each: every snapshot that was ever said to be whole is so, the
 * catalogue is whole, and a folder that was restored into is a whole catalogue or none. Returns how many snapshots were
 * made and how many restores were cut short. Throws an AssertionError with seed and round otherwise.
 */
export async function snapshotKills(
  folder: string,
  { rounds, seed }: { readonly rounds: number; readonly seed: number },
): Promise<{ readonly made: number; readonly unfinished: number; readonly restoresCut: number }> {
  const random = seededRandom(seed);
  const data = join(folder, 'data');
  const tarOf = (name: string): string => join(data, 'snapshots', `${name}.tar`);
  let made = 0;
  let unfinished = 0;
  let kept: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const lines = await runAndKill(['snapshot', data, `${round}`], {
      log: join(folder, 'log'),
      since: round % 3 === 0 ? 'made' : 'open',
      afterMs: random() * 400,
    });
    made += lines.length;
    kept.push(...lines);
    const files = readdirSync(join(data, 'snapshots'));
    unfinished += Number(files.some((file) => file.endsWith('.tmp')));
    // One more may have been finished and not yet said.
    const whole = files.filter((file) => file.endsWith('.tar')).map((file) => file.slice(0, -4));
    for (const name of kept) assert.ok(whole.includes(name), `seed ${seed}, round ${round}: ${name} is gone`);
    for (const name of whole) await verifySnapshot(tarOf(name), { maxBytes: MAX_BYTES });
    const { storeProblems } = checkCatalogue(data, { deep: true, m: KILL_OPTIONS.m });
    assert.deepEqual(storeProblems, [], `seed ${seed}, round ${round}`);
    for (const name of whole.slice(0, -KEPT)) rmSync(tarOf(name));
    kept = kept.filter((name) => existsSync(tarOf(name)));
  }
  const last = tarOf(kept.at(-1)!);
  let restoresCut = 0;
  for (let round = 0; round < rounds; round++) {
    const wanted = join(folder, `back-${round}`);
    await runAndKill(['restore', wanted, last], {
      log: join(folder, 'log'),
      since: 'open',
      afterMs: random() * 300,
      mayEnd: true,
    });
    if (existsSync(wanted)) {
      assert.ok(statSync(join(wanted, 'catalogue.db')).isFile(), `seed ${seed}, round ${round}: half a folder`);
    } else {
      restoresCut++;
      await restoreSnapshot({ file: last, folder: wanted, maxBytes: MAX_BYTES });
    }
    const { ok } = checkCatalogue(wanted, { deep: true, m: KILL_OPTIONS.m });
    assert.ok(ok, `seed ${seed}, round ${round}`);
    rmSync(wanted, { recursive: true });
  }
  return { made, unfinished, restoresCut };
}

function runAndKill(
  args: readonly string[],
  {
    log,
    since,
    afterMs,
    mayEnd = false,
  }: { readonly log: string; readonly since: 'open' | 'made'; readonly afterMs: number; readonly mayEnd?: boolean },
): Promise<readonly string[]> {
  const descriptor = openSync(log, 'w');
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('./snapshot-kill-child.js', import.meta.url)), ...args],
    {
      stdio: ['ignore', descriptor, 'inherit', 'ipc'],
    },
  );
  closeSync(descriptor);
  child.on('message', (message) => {
    if (message === since) setTimeout(() => child.kill('SIGKILL'), afterMs);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (signal !== 'SIGKILL' && !(mayEnd && code === 0))
        reject(new Error(`It ended by itself: code ${code}, signal ${signal}.`));
      else resolve(readFileSync(log, 'utf8').split('\n').slice(0, -1));
    });
  });
}
