/** Thirty kills of a service that imports archives, at random moments. */
import { test } from 'node:test';
import { importUnderKills } from '../../server/import-kills.js';

test('an import survives thirty kills', async () => {
  const seed = Number(process.env.SEED ?? 7);
  console.log(`seed ${seed}; settled when killed: ${await importUnderKills({ kills: 30, seed })}`);
});
