/**
 * The n-th write, flush or rename fails (A14), for every n up to 200, with ENOSPC and with EIO: every acknowledged
 * write survives the fault, a new start, and a power failure after it; every call is answered; a flush that failed is
 * never taken for retried.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { compileShim, failOnce } from '../../catalogue/records/failing-disk.js';
import { withTemporaryFolder } from '../../catalogue/temporary-folder.js';
import { atLeast, atMost, inRounds, record } from '../record.js';

const OPERATIONS = 200;

for (const error of ['ENOSPC', 'EIO'] as const) {
  it(`operations 1 to ${OPERATIONS}, each failing once with ${error}`, (test) =>
    withTemporaryFolder(async (folder) => {
      const shim = compileShim(folder);
      if (shim.path === undefined) return test.skip(shim.reason);
      let refused = 0;
      let withRefusals = 0;
      // A round is an operation, so that a failing one can be replayed alone: ACCEPTANCE_ROUND is its number less one.
      await inRounds(OPERATIONS, 0, async (round) => {
        const count = await failOnce(join(folder, 'run'), shim.path, { nth: round + 1, error });
        refused += count;
        withRefusals += Number(count > 0);
      });
      assert.ok(process.env.ACCEPTANCE_ROUND !== undefined || withRefusals > 0, 'no fault was noticed');
      record({
        criterion: 'A14',
        part: error.toLowerCase(),
        given: `operation n = 1 to ${OPERATIONS} on the data folder (write, flush, rename and the like) fails once with ${error} while four writers add and remove; then a start, and a start after a power failure; ${withRefusals} of the runs had refusals, ${refused} calls in all`,
        measures: [
          atLeast('operations failed', OPERATIONS, 200),
          atMost(
            'acknowledged writes lost, calls without an answer, starts that failed, failed flushes taken for retried',
            0,
            0,
          ),
        ],
      });
    }));
}
