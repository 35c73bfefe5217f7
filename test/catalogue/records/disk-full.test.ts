import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { it } from 'node:test';
import { runChild } from '../run-child.js';
import { withTemporaryFolder } from '../temporary-folder.js';

/**
 * A mount of its own for one command: it ends with the command, whatever happens, and needs no rights beyond a
 * user namespace.
 */
const MOUNT = 'mount -t tmpfs -o size=32m tmpfs "$0" && exec "$@"';

it('refuses writes on a full disk, still searches and removes, and heals by itself', async (test) => {
  await withTemporaryFolder(async (folder) => {
    const prefix = ['unshare', '--map-root-user', '--mount', 'sh', '-c', MOUNT, folder];
    const probe = spawnSync(prefix[0]!, [...prefix.slice(1), 'true'], { encoding: 'utf8' });
    if (probe.status !== 0) {
      test.skip(
        `no small disk can be mounted here (unshare and mount of a tmpfs): ${probe.stderr?.trim() ?? probe.error}`,
      );
      return;
    }
    const { code, signal, stdout, stderr } = await runChild(
      new URL('./disk-full-child.js', import.meta.url),
      [folder],
      {
        prefix,
        timeoutMs: 90_000,
      },
    );
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${stdout}\n${stderr}`);
    assert.match(stdout, /round 4/);
  });
});
