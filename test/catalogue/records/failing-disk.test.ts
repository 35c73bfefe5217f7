import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { seededRandom } from '../../../src/seeded-random.js';
import { withTemporaryFolder } from '../temporary-folder.js';
import { compileShim, cutPower, failOnce, recordRun } from './failing-disk.js';

const FAULTS = 12;
const CUTS = 20;

it(`loses nothing acknowledged where one write, flush or rename fails: ${FAULTS} of them`, (test) =>
  withTemporaryFolder(async (folder) => {
    const shim = compileShim(folder);
    if (shim.path === undefined) return test.skip(shim.reason);
    const seed = Number(process.hrtime.bigint() % 1_000_000n);
    const random = seededRandom(seed);
    test.diagnostic(`seed ${seed}`);
    let refused = 0;
    for (let round = 0; round < FAULTS; round++) {
      const nth = 1 + Math.floor(random() * 200);
      refused += await failOnce(join(folder, 'run'), shim.path, { nth, error: round % 2 === 0 ? 'ENOSPC' : 'EIO' });
    }
    test.diagnostic(`${refused} refusals`);
    assert.ok(refused > 0, 'no fault was noticed');
  }));

it(`loses nothing acknowledged where the power fails: ${CUTS} moments`, (test) =>
  withTemporaryFolder(async (folder) => {
    const shim = compileShim(folder);
    if (shim.path === undefined) return test.skip(shim.reason);
    const seed = Number(process.hrtime.bigint() % 1_000_000n);
    const run = await recordRun(join(folder, 'run'), shim.path);
    test.diagnostic(`seed ${seed}, ${run.records.length} operations`);
    assert.ok(run.records.filter(({ op }) => op === 'sync').length > 20, 'the flushes are not seen');
    await cutPower(run, { cuts: CUTS, seed });
  }));
