/** kill -9 while snapshots are made and restored (A10, A12), 20 times each: former snapshots, the catalogue and the wanted folder stay whole. */
import { it } from 'node:test';
import { snapshotKills } from '../catalogue/snapshot-kills.js';
import { withTemporaryFolder } from '../catalogue/temporary-folder.js';

const ROUNDS = 20;
const SEED = 20261122;

it(`${ROUNDS} kills while snapshots are made, ${ROUNDS} while one is restored`, (test) =>
  withTemporaryFolder(async (folder) => {
    const report = await snapshotKills(folder, { rounds: ROUNDS, seed: SEED });
    test.diagnostic(`seed ${SEED}: ${JSON.stringify(report)}`);
  }));
