/**
 * The n-th write, flush or rename fails (A14), for every n up to 200, with ENOSPC and with EIO: every acknowledged write survives the fault, a new start, and a
 * power failure after it; every call is answered; a flush that failed is never taken for retried.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { compileShim, failOnce } from '../catalogue/failing-disk.js';
import { withTemporaryFolder } from '../catalogue/temporary-folder.js';

const OPERATIONS = 200;

for (const error of ['ENOSPC', 'EIO'] as const) {
  it(`operations 1 to ${OPERATIONS}, each failing once with ${error}`, (test) =>
    withTemporaryFolder(async (folder) => {
      const shim = compileShim(folder);
      if (shim.path === undefined) return test.skip(shim.reason);
      let refused = 0;
      let withRefusals = 0;
      for (let nth = 1; nth <= OPERATIONS; nth++) {
        const count = await failOnce(join(folder, 'run'), shim.path, { nth, error });
        refused += count;
        withRefusals += Number(count > 0);
      }
      test.diagnostic(`${error}: ${OPERATIONS} runs, ${withRefusals} with refusals, ${refused} calls refused; nothing acknowledged lost`);
      assert.ok(withRefusals > 0);
    }));
}
