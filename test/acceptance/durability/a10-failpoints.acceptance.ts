/**
 * kill -9 at named points (A10): 20 times at each moment of src/catalogue/failpoint.ts, the first start, a migration,
 * snapshots and restores among them, with litter laid beside what each kill left. Nothing acknowledged may be missing,
 * nothing half there, every start succeeds.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { FAILPOINTS } from '../../../src/catalogue/failpoint.js';
import { KILLED_POINTS, killAt, prepare } from '../../catalogue/failpoint-kills.js';
import { withTemporaryFolder } from '../../catalogue/temporary-folder.js';
import { mountedRestores } from '../mounted-restores.js';
import { atLeast, atMost, below, inRounds, record, seedOf } from '../record.js';

const KILLS = 20;

it(`${KILLS} kills at each of ${FAILPOINTS.length} named points`, () =>
  withTemporaryFolder(async (folder) => {
    const seed = seedOf(20261122);
    const prepared = await prepare(folder);
    let slowestStartMs = 0;
    let kills = 0;
    // A round is a point, so that a failing one can be replayed alone.
    await inRounds(KILLED_POINTS.length, seed, async (round, roundSeed) => {
      const point = KILLED_POINTS[round]!;
      const report = await killAt(point, { folder, prepared, kills: KILLS, seed: roundSeed });
      slowestStartMs = Math.max(slowestStartMs, report.slowestStartMs);
      kills += KILLS;
      console.log(`${point}: ${KILLS} kills, nothing lost`);
    });
    const mounted = await mountedRestores({ snapshot: prepared.snapshot, kills: KILLS });
    if (mounted.skipped !== undefined) console.log(`restore into a mount: skipped, ${mounted.skipped}`);
    assert.ok(process.env.ACCEPTANCE_ROUND !== undefined || kills === KILLED_POINTS.length * KILLS);
    record({
      criterion: 'A10',
      given: `SIGKILL at named points of the catalogue, its migrations, snapshots and restores; before each start temporary files of all kinds laid by hand`,
      seed,
      measures: [
        atLeast(
          'points',
          KILLED_POINTS.length + Number(mounted.skipped === undefined),
          FAILPOINTS.length,
          '',
          mounted.skipped,
        ),
        atLeast('kills at each', KILLS, 20),
        atMost('acknowledged images lost, half there or not found; failed starts', 0, 0),
        below('slowest start after a kill', slowestStartMs / 1000, 10, 's'),
      ],
    });
  }));
