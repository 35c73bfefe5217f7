import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { FAILPOINTS, type Failpoint } from '../../src/catalogue/failpoint.js';
import { openCatalogue } from '../../src/catalogue/open-catalogue.js';
import { migrationsUpTo } from '../../src/catalogue/records/store-schema.js';
import { checkCatalogue } from '../../src/catalogue/snapshots/check.js';
import { restoreSnapshot } from '../../src/catalogue/snapshots/restore.js';
import { verifySnapshot } from '../../src/catalogue/snapshots/snapshot-file.js';
import { seededRandom } from '../../src/seeded-random.js';
import { Expected, KILL_DIMENSIONS, KILL_OPTIONS } from './kill-rounds.js';

/**
 * How a point is reached: by which program, on which folder, and how many times at most it is passed before the kill.
 */
type Way = {
  readonly program: 'kill-child' | 'failpoint-child' | 'snapshot-kill-child';
  readonly mode: 'write' | 'start' | 'shrink' | 'reclaim' | 'snapshot' | 'restore';
  /** What is there before: nothing, images, or images in the tables of the first version. */
  readonly folder: 'none' | 'prepared' | 'old';
  readonly passes: number;
  readonly delayMs?: number;
};

const PROGRAMS = {
  'failpoint-kill': new URL('./failpoint-kill.js', import.meta.url),
  'failpoint-child': new URL('./failpoint-child.js', import.meta.url),
  'kill-child': new URL('./kill-child.js', import.meta.url),
  'snapshot-kill-child': new URL('./snapshots/snapshot-kill-child.js', import.meta.url),
};
const start = (folder: Way['folder']): Way => ({ program: 'failpoint-child', mode: 'start', folder, passes: 1 });
const write = (passes: number): Way => ({ program: 'kill-child', mode: 'write', folder: 'none', passes });
const snapshot = (passes: number): Way => ({
  program: 'snapshot-kill-child',
  mode: 'snapshot',
  folder: 'prepared',
  passes,
});
const restore: Way = { program: 'snapshot-kill-child', mode: 'restore', folder: 'prepared', passes: 1 };

/** Every point but the one that needs a mount, and the ways to it; the kills are shared out among them. */
const WAYS: Readonly<Record<Exclude<Failpoint, 'restore half moved in'>, readonly Way[]>> = {
  'store opened': [start('none'), start('old'), start('prepared')],
  'migration in the middle': [start('none'), start('old')],
  'migration before its commit': [start('none'), start('old')],
  'store ready': [start('none'), start('old'), start('prepared')],
  'commit begun': [write(30)],
  'commit done': [write(30)],
  'index follows': [write(30)],
  'index file being written': [{ ...write(3), delayMs: 3 }],
  'index file written': [write(3)],
  'index file before its rename': [write(3)],
  'index file renamed': [write(3)],
  'index file remembered': [write(3)],
  'side-car before its rename': [write(3)],
  'side-car renamed': [write(3)],
  'graph exchanged': [{ program: 'failpoint-child', mode: 'shrink', folder: 'prepared', passes: 1 }],
  'space reclaimed': [{ program: 'failpoint-child', mode: 'reclaim', folder: 'prepared', passes: 40 }],
  'snapshot being copied': [snapshot(10)],
  'snapshot copied': [snapshot(2)],
  // Each is packed by a thread of its own, which counts from one.
  'snapshot before its rename': [snapshot(1)],
  'snapshot renamed': [snapshot(1)],
  'restore staged': [restore],
  'restore before its rename': [restore],
  'restore renamed': [restore],
};

/** Points that {@link killAt} knows. */
export const KILLED_POINTS = FAILPOINTS.filter((point): point is keyof typeof WAYS => point in WAYS);

/** Folders that kills start from; made once. */
export type Prepared = {
  readonly images: string;
  readonly old: string;
  readonly lines: readonly string[];
  readonly snapshot: string;
};

/**
 * Fills a folder with images, copies it into one with the tables of the first version, and makes a snapshot.
 * `folder` exists.
 */
export async function prepare(folder: string): Promise<Prepared> {
  const [images, old] = [join(folder, 'images'), join(folder, 'old')];
  await run({ program: 'failpoint-child', args: ['prepare', images, '0'], log: join(folder, 'log') });
  cpSync(images, old, { recursive: true });
  makeFirstVersion(join(old, 'catalogue.db'), join(images, 'catalogue.db'));
  const { snapshotFolder } = await import('../../src/catalogue/snapshots/pack-snapshot.js');
  const file = join(folder, 'prepared.tar');
  await snapshotFolder({ folder: images, out: file });
  const records = await openCatalogue({ folder: images, dimensions: KILL_DIMENSIONS, ...KILL_OPTIONS });
  const lines: string[] = [];
  for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
    const page = await records.list('default', { limit: 1000, ...(cursor !== undefined && { cursor }) });
    lines.push(...page.items.map(({ id, metadata }) => `added ${String(metadata.content)} ${id}`));
    cursor = page.nextCursor;
  }
  await records.close();
  return { images, old, lines, snapshot: file };
}

/** Replaces a record store by one of the first version with the same images, the columns that it had. */
function makeFirstVersion(path: string, source: string): void {
  rmSync(path);
  const database = new Database(path);
  for (const migration of migrationsUpTo(1)) database.exec(migration);
  const tables = database
    .prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    .pluck()
    .all();
  database.prepare('ATTACH ? AS source').run(source);
  for (const table of tables) {
    const columns = (database.pragma(`main.table_info(${table})`) as { name: string }[])
      .map(({ name }) => name)
      .join(', '); // documented columns
    database.exec(`INSERT INTO main.${table} (${columns}) SELECT ${columns} FROM source.${table}`);
  }
  database.pragma('user_version = 1');
  database.close();
}

/**
 * Kills (SIGKILL) a process at a point `kills` times, each time on a folder as the way to it wants; after each: litter
 * is laid beside what the kill left, the next start succeeds, everything acknowledged is there, whole and found,
 * nothing is half there, and `check --deep` finds nothing. Throws an AssertionError with seed and kill otherwise.
 * Returns the slowest start in milliseconds.
 */
export async function killAt(
  point: keyof typeof WAYS,
  options: { readonly folder: string; readonly prepared: Prepared; readonly kills: number; readonly seed: number },
): Promise<{ readonly slowestStartMs: number }> {
  const { folder, prepared, kills, seed } = options;
  const random = seededRandom(seed);
  let slowestStartMs = 0;
  for (let kill = 0; kill < kills; kill++) {
    const place = `seed ${seed}, "${point}", kill ${kill}`;
    const ways = WAYS[point];
    const way = ways[kill % ways.length]!;
    const data = join(folder, 'data');
    rmSync(data, { recursive: true, force: true });
    const isRestore = way.mode === 'restore';
    if (way.folder !== 'none' && !isRestore)
      cpSync(way.folder === 'old' ? prepared.old : prepared.images, data, { recursive: true });
    const nth = 1 + Math.floor(random() * way.passes);
    const delayMs = way.delayMs === undefined ? 0 : 1 + Math.floor(random() * way.delayMs);
    const args = {
      ...{ 'kill-child': [data, `${kill + 1}`], 'failpoint-child': [way.mode, data, `${kill + 1}`] },
      'snapshot-kill-child': isRestore ? ['restore', data, prepared.snapshot] : ['snapshot', data, `${kill + 1}`],
    }[way.program];
    const lines = await run({
      program: way.program,
      args,
      log: join(folder, 'log'),
      failpoint: `${point}|${nth}|${delayMs}`,
    }).catch((error: unknown) => assert.fail(`${place}: ${String(error)}`));
    if (isRestore) {
      assert.equal(existsSync(join(data, 'catalogue.db')), point === 'restore renamed', `${place}: half a folder`);
      if (!existsSync(data)) await restoreSnapshot({ file: prepared.snapshot, folder: data, maxBytes: 2 ** 40 });
    }
    layLitter(data);
    const expected = new Expected();
    if (way.folder !== 'none') expected.learn(prepared.lines);
    if (way.mode !== 'snapshot') expected.learn(lines);
    const begun = performance.now();
    const catalogue = await openCatalogue({ folder: data, dimensions: KILL_DIMENSIONS, ...KILL_OPTIONS });
    slowestStartMs = Math.max(slowestStartMs, performance.now() - begun);
    try {
      if (way.mode === 'snapshot') await verifySnapshots(data, prepared, catalogue, place);
      else await expected.verify(catalogue, { place, round: kill + 1, isLast: false, random });
    } finally {
      await catalogue.close();
    }
    const { storeProblems, collections } = checkCatalogue(data, { deep: true, m: KILL_OPTIONS.m });
    assert.deepEqual(storeProblems, [], place);
    assert.ok(
      collections.every(({ index }) => index !== 'refused'),
      `${place}: ${JSON.stringify(collections)}`,
    );
  }
  return { slowestStartMs };
}

/**
 * What adds while snapshots are made says nothing of them; what was prepared is all there, and every snapshot that has
 * its name is whole.
 */
async function verifySnapshots(
  data: string,
  prepared: Prepared,
  catalogue: Awaited<ReturnType<typeof openCatalogue>>,
  place: string,
): Promise<void> {
  const { collections } = await catalogue.statistics();
  assert.ok((collections[0]?.images ?? 0) >= prepared.lines.length, place);
  const folder = join(data, 'snapshots');
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.tar')))
    await verifySnapshot(join(folder, name), { maxBytes: 2 ** 40 });
}

/** Temporary files as kills at other moments, or people, leave them. */
function layLitter(data: string): void {
  mkdirSync(join(data, 'indexes'), { recursive: true });
  mkdirSync(join(data, 'snapshots', 'copy.tmp', 'indexes'), { recursive: true });
  const litter = [
    'reserve.tmp',
    'indexes/1.json.tmp',
    'indexes/9-stray.hnsw',
    'indexes/1-stray.hnsw.tmp',
    'snapshots/20260101T000000000Z.tar.tmp',
  ];
  for (const name of [...litter, 'snapshots/copy.tmp/catalogue.db'])
    writeFileSync(join(data, name), 'half of something');
}

/**
 * Runs a program of this folder to its end, or to its kill at a failpoint; returns what it said, line by line. Rejects
 * for any other end.
 */
export function run(options: {
  readonly program: Way['program'];
  readonly args: readonly string[];
  readonly log: string;
  readonly failpoint?: string;
}): Promise<readonly string[]> {
  const { program, args, log, failpoint } = options;
  const pathOf = (name: 'failpoint-kill' | Way['program']): string => fileURLToPath(PROGRAMS[name]);
  const descriptor = openSync(log, 'w');
  const preload = failpoint === undefined ? [] : ['--import', pathOf('failpoint-kill')];
  const child = spawn(process.execPath, [...preload, pathOf(program), ...args], {
    stdio: ['ignore', descriptor, 'pipe'],
    env: { ...process.env, ...(failpoint !== undefined && { TEST_FAILPOINT: failpoint }) },
    timeout: 120_000,
    killSignal: 'SIGABRT', // another than the one that is wanted
  });
  closeSync(descriptor);
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const output = readFileSync(log, 'utf8');
      const isAsWanted = failpoint === undefined ? code === 0 : signal === 'SIGKILL';
      if (!isAsWanted)
        reject(
          new Error(
            `it was to end at ${failpoint ?? 'its end'} and ended with code ${code}, signal ${signal}: ${stderr}`,
          ),
        );
      // A line cut by the kill says nothing yet.
      else
        resolve(
          output
            .slice(0, output.lastIndexOf('\n') + 1)
            .split('\n')
            .filter(Boolean),
        );
    });
  });
}
