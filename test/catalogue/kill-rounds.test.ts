import assert from 'node:assert/strict';
import { it } from 'node:test';
import { killRounds } from './kill-rounds.js';
import { withTemporaryFolder } from './temporary-folder.js';

it('loses nothing acknowledged, keeps nothing half, and starts again through 8 kills', (test) =>
  withTemporaryFolder(async (folder) => {
    const seed = Number(process.hrtime.bigint() % 1_000_000n);
    const report = await killRounds(folder, { rounds: 8, seed });
    test.diagnostic(`seed ${seed}: ${JSON.stringify(report)}`);
    assert.ok(report.acknowledged > 50, `only ${report.acknowledged} acknowledged`);
  }));
