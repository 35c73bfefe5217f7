/**
 * Restores into an empty mount, whose mount point cannot be renamed over, killed in the middle and tried again; run in
 * a namespace of its own, where a user may mount.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Failpoint } from '../../src/catalogue/failpoint.js';
import { checkCatalogue } from '../../src/catalogue/snapshots/check.js';
import { restoreSnapshot } from '../../src/catalogue/snapshots/restore.js';
import { readManifest } from '../../src/catalogue/snapshots/snapshot-file.js';
import { run } from '../catalogue/failpoint-kills.js';
import { KILL_OPTIONS } from '../catalogue/kill-rounds.js';
import { runChild } from '../catalogue/run-child.js';

const MOUNT = 'mount -t tmpfs -o size=64m tmpfs "$0" && exec "$@"';
const POINTS: readonly Failpoint[] = [
  'restore staged',
  'restore before its rename',
  'restore half moved in',
  'restore renamed',
];

/** `kills` kills at each point of a restore into a mount; `skipped` says why nothing can be mounted here. */
export async function mountedRestores(options: {
  readonly snapshot: string;
  readonly kills: number;
}): Promise<{ readonly skipped?: string }> {
  const { snapshot, kills } = options;
  const mount = mkdtempSync(join(tmpdir(), 'likeness-mount-'));
  try {
    const prefix = ['unshare', '--map-root-user', '--mount', 'sh', '-c', MOUNT, mount];
    const probe = spawnSync(prefix[0]!, [...prefix.slice(1), 'true'], { encoding: 'utf8' });
    if (probe.status !== 0)
      return { skipped: `nothing can be mounted here (unshare, mount of a tmpfs): ${probe.stderr?.trim()}` };
    const { code, signal, stdout, stderr } = await runChild(
      new URL(import.meta.url),
      ['run', mount, snapshot, `${kills}`],
      {
        prefix,
        timeoutMs: 1_200_000,
      },
    );
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${stdout}\n${stderr}`);
    return {};
  } finally {
    rmSync(mount, { recursive: true, force: true });
  }
}

async function killAndTryAgain(mount: string, snapshot: string, kills: number): Promise<void> {
  const { images } = await readManifest(snapshot);
  const log = join(tmpdir(), `likeness-mounted-${process.pid}.log`);
  for (const point of POINTS) {
    for (let kill = 0; kill < kills; kill++) {
      const place = `"${point}" in a mount, kill ${kill}`;
      await run({ program: 'snapshot-kill-child', args: ['restore', mount, snapshot], log, failpoint: `${point}|1|0` });
      if (point === 'restore renamed') assert.ok(existsSync(join(mount, 'catalogue.db')), place);
      else {
        assert.ok(!existsSync(join(mount, 'catalogue.db')), `${place}: half a catalogue`);
        await restoreSnapshot({ file: snapshot, folder: mount, maxBytes: 2 ** 40 });
      }
      const { ok, collections } = checkCatalogue(mount, { deep: true, m: KILL_OPTIONS.m });
      assert.ok(
        ok && collections[0]?.images === images && collections[0].index === 'good',
        `${place}: ${JSON.stringify(collections)}`,
      );
      assert.deepEqual(
        readdirSync(mount).filter((name) => name.startsWith('.restoring')),
        [],
        place,
      );
      for (const name of readdirSync(mount)) rmSync(join(mount, name), { recursive: true });
    }
    process.stdout.write(`${point}: ${kills} kills\n`);
  }
  // What is not ours stays, and is a reason to refuse.
  for (const name of ['.restoring-ABC123', 'indexes', 'letters']) mkdirSync(join(mount, name));
  await assert.rejects(restoreSnapshot({ file: snapshot, folder: mount, maxBytes: 2 ** 40 }), {
    code: 'FOLDER_NOT_EMPTY',
  });
  assert.equal(readdirSync(mount).length, 3);
  rmSync(log, { force: true });
}

const [, , word, mount, snapshot, kills] = process.argv;
if (word === 'run' && mount !== undefined && snapshot !== undefined)
  await killAndTryAgain(mount, snapshot, Number(kills));
