import assert from 'node:assert/strict';
import { it } from 'node:test';
import { withTemporaryFolder } from '../temporary-folder.js';
import { snapshotKills } from './snapshot-kills.js';

it('keeps former snapshots, the catalogue and the wanted folder whole through kills of 6 snapshots and 6 restores', (test) =>
  withTemporaryFolder(async (folder) => {
    const seed = Number(process.hrtime.bigint() % 1_000_000n);
    const report = await snapshotKills(folder, { rounds: 6, seed });
    test.diagnostic(`seed ${seed}: ${JSON.stringify(report)}`);
    assert.ok(report.made > 0);
  }));
