import assert from 'node:assert/strict';
import { it } from 'node:test';
import { mountedRestores } from '../../acceptance/mounted-restores.js';
import { prepare } from '../failpoint-kills.js';
import { withTemporaryFolder } from '../temporary-folder.js';

it('a restore into an empty mount that was killed at any point can be tried again, or is done', (test) =>
  withTemporaryFolder(async (folder) => {
    const { snapshot } = await prepare(folder);
    const { skipped } = await mountedRestores({ snapshot, kills: 1 });
    if (skipped !== undefined) return test.skip(skipped);
    assert.equal(skipped, undefined);
  }));
