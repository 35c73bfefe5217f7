/**
 * The power fails and unflushed pages are lost (A15), at 200 moments of 5 recorded runs: in half of them all that was
 * not flushed, in half of them some of its pages. Every start succeeds and every acknowledged write is there.
 */
import { join } from 'node:path';
import { it } from 'node:test';
import { compileShim, cutPower, recordRun } from '../../catalogue/records/failing-disk.js';
import { withTemporaryFolder } from '../../catalogue/temporary-folder.js';
import { atLeast, atMost, inRounds, record, seedOf } from '../record.js';

const RUNS = 5;
const CUTS = 40;

it(`${RUNS * CUTS} moments of power failure`, (test) =>
  withTemporaryFolder(async (folder) => {
    const shim = compileShim(folder);
    if (shim.path === undefined) return test.skip(shim.reason);
    const seed = seedOf(20261122);
    let operations = 0;
    await inRounds(RUNS, seed, async (_, roundSeed) => {
      const run = await recordRun(join(folder, 'run'), shim.path);
      await cutPower(run, { cuts: CUTS, seed: roundSeed });
      operations += run.records.length;
    });
    record({
      criterion: 'A15',
      given: `${RUNS} recorded runs of four writers, ${operations} writes, flushes and renames in all; power cut at ${CUTS} moments of each, half of them right after an answer; all that was not flushed lost, or some of its pages`,
      seed,
      measures: [
        atLeast('cut points', RUNS * CUTS, 200),
        atMost('acknowledged writes lost, records half there, starts that failed', 0, 0),
      ],
    });
  }));
