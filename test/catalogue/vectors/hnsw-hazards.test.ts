import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runChild } from '../run-child.js';
import { hazardNames } from './hnsw-hazards-child.js';

describe('what kills or silently spoils hnswlib-node', () => {
  for (const name of hazardNames) {
    it(name, async () => {
      const { code, signal, stderr } = await runChild(new URL('./hnsw-hazards-child.js', import.meta.url), [name]);
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, stderr);
    });
  }
});
