import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hazardNames } from './hnsw-hazards-child.js';
import { runChild } from './run-child.js';

describe('what kills or silently spoils hnswlib-node', () => {
  for (const name of hazardNames) {
    it(name, async () => {
      const { code, signal, stderr } = await runChild('./hnsw-hazards-child.js', [name]);
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, stderr);
    });
  }
});
