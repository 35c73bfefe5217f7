import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinearHashIndex } from '../../../src/catalogue/hashes/linear-hash-index.js';
import { seededRandom } from '../../../src/seeded-random.js';

const SEED = 20261122;

test('finds just what a loop over bits finds, while hashes come and go across blocks', (context) => {
  context.diagnostic(`seed ${SEED}`);
  const next = seededRandom(SEED);
  const random = (): Uint8Array => Uint8Array.from({ length: 32 }, () => Math.floor(next() * 256));
  const near = (hash: Uint8Array, bits: number): Uint8Array => {
    const changed = hash.slice();
    for (let change = 0; change < bits; change++) {
      const bit = Math.floor(next() * 256);
      changed[bit >> 3]! ^= 1 << (bit & 7);
    }
    return changed;
  };
  const queries = [random(), random()];
  const scan = new LinearHashIndex();
  const held = new Map<number, Uint8Array>();
  const check = (): void => {
    const expected = [...held]
      .map(([label, hash]) => ({ label, distance: Math.min(...queries.map((query) => apart(query, hash))) }))
      .filter(({ distance }) => distance <= 31)
      .sort((a, b) => a.distance - b.distance || a.label - b.label);
    assert.ok(expected.length > 10);
    assert.deepEqual(scan.near(queries, { maxDistance: 31, limit: 1000 }), expected);
    assert.deepEqual(scan.near(queries, { maxDistance: 31, limit: 7 }), expected.slice(0, 7));
    assert.equal(scan.size, held.size);
  };
  for (let label = 1; label <= 9000; label++) {
    const hash = label % 50 === 0 ? near(queries[label % 100 === 0 ? 0 : 1]!, Math.floor(next() * 45)) : random();
    scan.add(label, hash);
    held.set(label, hash);
    if (label % 3 === 0) {
      const gone = 1 + Math.floor(next() * label);
      scan.remove(gone);
      held.delete(gone);
    }
  }
  check();
  for (const label of [...held.keys()].filter((held) => held % 50 !== 0 || held > 8000)) {
    scan.remove(label);
    held.delete(label);
  }
  check();
});

test('passes over what is no hash, and forgets all that was removed', () => {
  const scan = new LinearHashIndex();
  scan.add(1, new Uint8Array(31));
  scan.add(2, new Uint8Array(32));
  scan.remove(1);
  scan.remove(3);
  assert.deepEqual(scan.near([new Uint8Array(32)], { maxDistance: 0, limit: 10 }), [{ label: 2, distance: 0 }]);
  scan.remove(2);
  assert.deepEqual(scan.near([new Uint8Array(32)], { maxDistance: 256, limit: 10 }), []);
});

function apart(a: Uint8Array, b: Uint8Array): number {
  let bits = 0;
  for (let bit = 0; bit < 256; bit++) bits += ((a[bit >> 3]! ^ b[bit >> 3]!) >> (bit & 7)) & 1;
  return bits;
}
