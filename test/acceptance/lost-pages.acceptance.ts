/**
 * The power fails and unflushed pages are lost (A15), at 200 moments of 5 recorded runs: in half of them all that was not flushed, in half of them
 * some of its pages. Every start succeeds and every acknowledged write is there.
 */
import { join } from 'node:path';
import { it } from 'node:test';
import { compileShim, cutPower, recordRun } from '../catalogue/failing-disk.js';
import { withTemporaryFolder } from '../catalogue/temporary-folder.js';

const RUNS = 5;
const CUTS = 40;
const SEED = 20261122;

it(`${RUNS * CUTS} moments of power failure`, (test) =>
  withTemporaryFolder(async (folder) => {
    const shim = compileShim(folder);
    if (shim.path === undefined) return test.skip(shim.reason);
    for (let round = 0; round < RUNS; round++) {
      const run = await recordRun(join(folder, 'run'), shim.path);
      await cutPower(run, { cuts: CUTS, seed: SEED + round });
      test.diagnostic(`seed ${SEED + round}: ${CUTS} moments of ${run.records.length} operations; nothing acknowledged lost`);
    }
  }));
