import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { HEAP_GROWTH_FLAG } from '../../src/server/heap-growth.js';

test('this V8 knows the flag by which its heap is let grow', () => {
  const { stdout } = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  assert.match(stdout, new RegExp(`--${HEAP_GROWTH_FLAG} `));
});
