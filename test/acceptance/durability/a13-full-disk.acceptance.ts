/**
 * A full disk (A13), a tmpfs of 32 MiB under a real service, 20 rounds: writes are refused with 507, the service lives,
 * searches are right and removing works; when space is freed writes succeed without a restart; at the end the catalogue
 * is whole.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { it } from 'node:test';
import { runChild } from '../../catalogue/run-child.js';
import { withTemporaryFolder } from '../../catalogue/temporary-folder.js';
import { atLeast, atMost, record } from '../record.js';

const ROUNDS = 20;
const MOUNT = 'mount -t tmpfs -o size=32m tmpfs "$0" && exec "$@"';

it(`${ROUNDS} rounds on a disk of 32 MiB`, (test) =>
  withTemporaryFolder(async (folder) => {
    const prefix = ['unshare', '--map-root-user', '--mount', 'sh', '-c', MOUNT, folder];
    const probe = spawnSync(prefix[0]!, [...prefix.slice(1), 'true'], { encoding: 'utf8' });
    if (probe.status !== 0)
      return test.skip(`no small disk can be mounted here (unshare and mount of a tmpfs): ${probe.stderr?.trim()}`);
    const { code, signal, stdout, stderr } = await runChild(
      new URL('../full-disk-rounds.js', import.meta.url),
      [folder, `${ROUNDS}`],
      {
        prefix,
        timeoutMs: 3_600_000,
      },
    );
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${stdout}\n${stderr}`);
    const rounds = stdout.split('\n').filter((line) => line.startsWith('round '));
    const healed = rounds.map((line) => Number(/: (\d+) added/.exec(line)?.[1]));
    record({
      criterion: 'A13',
      given:
        'a service on a tmpfs of 32 MiB: filled until 507, searched, removed from, its space freed, filled again; no restart between the rounds',
      measures: [
        atLeast('rounds', rounds.length, ROUNDS),
        atLeast('fewest images added once space was freed', Math.min(...healed), 6),
        atMost('answers but 201 and 507 to an add, wrong counts or nearest, refused removals, dead services', 0, 0),
        atMost('problems that check --deep finds at the end', 0, 0),
      ],
    });
  }));
