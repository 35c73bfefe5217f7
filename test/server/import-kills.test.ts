import { test } from 'node:test';
import { importUnderKills } from './import-kills.js';

test('an import that is killed goes on where it was: no picture is lost, none is there twice, each is counted once', async () => {
  await importUnderKills({ kills: 2, seed: 20_261_122 });
});
