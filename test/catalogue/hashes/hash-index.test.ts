import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HashIndex, MULTI_INDEX_MIN } from '../../../src/catalogue/hashes/hash-index.js';
import { HASH_BYTES, LinearHashIndex } from '../../../src/catalogue/hashes/linear-hash-index.js';
import { seededRandom } from '../../../src/seeded-random.js';

const SEED = 20261123;
const LIMIT = 100_000;
const DISTANCES = [0, 1, 14, 15, 16, 17, 30, 31, 32, 60, 256];

/** A scan and an index that meet the same changes, and a check that they answer the same. */
function pairOf(options: { readonly seed: number; readonly multiIndexMin: number }) {
  const next = seededRandom(options.seed);
  const below = (end: number): number => Math.floor(next() * end);
  const scan = new LinearHashIndex();
  const index = new HashIndex(options);
  const labels: number[] = [];
  let lastLabel = 0;
  const random = (): Uint8Array => Uint8Array.from({ length: HASH_BYTES }, () => below(256));
  const turned = (hash: Uint8Array, bits: number): Uint8Array => {
    const changed = hash.slice();
    const order = Array.from({ length: HASH_BYTES * 8 }, (_, bit) => bit);
    for (let place = 0; place < bits; place++) {
      const from = place + below(order.length - place);
      const bit = order[from]!;
      order[from] = order[place]!;
      changed[bit >> 3]! ^= 1 << (bit & 7);
    }
    return changed;
  };
  const add = (hash: Uint8Array): void => {
    lastLabel++;
    scan.add(lastLabel, hash);
    index.add(lastLabel, hash);
    labels.push(lastLabel);
  };
  const remove = (): void => {
    const [label] = labels.splice(below(labels.length), 1);
    if (label === undefined) return;
    scan.remove(label);
    index.remove(label);
  };
  const check = (queries: readonly Uint8Array[], maxDistance: number, limit = LIMIT): number => {
    const expected = scan.near(queries, { maxDistance, limit });
    assert.deepEqual(index.near(queries, { maxDistance, limit }), expected, `within ${maxDistance} bits`);
    assert.equal(index.size, labels.length);
    return expected.length;
  };
  return { below, random, turned, add, remove, check, index, labels };
}

for (const multiIndexMin of [1, 3000]) {
  test(`answers as the scan does while hashes come and go, lists kept from ${multiIndexMin} on`, (context) => {
    const seed = SEED + multiIndexMin;
    context.diagnostic(`seed ${seed}`);
    const { below, random, turned, add, remove, check, index, labels } = pairOf({ seed, multiIndexMin });
    // Clusters of several widths, among them hashes with whole chunks of zeros as PDQ gives to pictures with little
    // in them.
    const sparse = (): Uint8Array => random().map((byte, at) => (at % 8 < 5 ? 0 : byte));
    const centres = Array.from({ length: 40 }, (_, number) => (number % 4 === 0 ? sparse() : random()));
    const centre = (): Uint8Array => centres[below(centres.length)]!;
    let found = 0;
    const states = new Set<boolean>();
    // Grows past a block of 4096, shrinks to a fifth, and grows again.
    for (const [steps, shareRemoved] of [
      [7000, 0.15],
      [6000, 0.9],
      [4000, 0.3],
    ] as const) {
      for (let step = 1; step <= steps; step++) {
        if (below(1000) < shareRemoved * 1000) remove();
        else add(below(3) === 0 ? random() : turned(centre(), below(48)));
        if (step % 250 !== 0) continue;
        states.add(index.usesMultiIndex);
        const queries = Array.from({ length: 1 + below(8) }, () =>
          below(4) === 0 ? random() : turned(centre(), below(24)),
        );
        found += check(queries, 31);
        check(queries, 31, 5);
        check(queries, DISTANCES[below(DISTANCES.length)]!);
      }
    }
    assert.ok(found > 1000, `only ${found} found`);
    assert.deepEqual([...states].sort(), multiIndexMin === 1 ? [true] : [false, true]);
    while (labels.length > 0) remove();
    assert.equal(check([centre()], 256), 0);
    add(centres[0]!);
    assert.equal(check([centres[0]!], 0), 1);
  });
}

test('finds a hash at every distance up to the threshold, wherever its differing bits lie', (context) => {
  context.diagnostic(`seed ${SEED}`);
  const { random, turned, add, check, index } = pairOf({ seed: SEED, multiIndexMin: 1 });
  const query = random();
  // As many bits in each chunk as there can be: a chunk's radius too small by one would miss these.
  for (let distance = 0; distance <= 33; distance++) {
    for (const first of [0, 5, 15]) {
      const hash = query.slice();
      for (let bit = 0; bit < distance; bit++) hash[((first + bit) % 16) * 2 + (bit & 1)]! ^= 1 << (bit >> 4);
      add(hash);
    }
    for (let times = 0; times < 30; times++) add(turned(query, distance));
  }
  for (let others = 0; others < 10_000; others++) add(random());
  assert.equal(index.usesMultiIndex, true);
  for (let distance = 0; distance <= 33; distance++) assert.equal(check([query], distance), 33 * (distance + 1));
});

test('answers as the scan does where most hashes are one and the same', () => {
  const { random, turned, add, remove, check } = pairOf({ seed: SEED, multiIndexMin: 1 });
  const flat = new Uint8Array(HASH_BYTES);
  for (let step = 0; step < 6000; step++) add(step % 5 === 0 ? random() : flat);
  assert.ok(check([flat, turned(flat, 20), random()], 31) > 4000);
  for (let step = 0; step < 3000; step++) remove();
  assert.ok(check([random(), flat], 31, 10) === 10);
});

test('keeps lists from their least size on, and frees them below half of it', () => {
  const { random, add, remove, index } = pairOf({ seed: SEED, multiIndexMin: MULTI_INDEX_MIN });
  while (index.size < MULTI_INDEX_MIN - 1) add(random());
  assert.equal(index.usesMultiIndex, false);
  add(random());
  assert.equal(index.usesMultiIndex, true);
  while (index.size > MULTI_INDEX_MIN / 2) remove();
  assert.equal(index.usesMultiIndex, true);
  remove();
  assert.equal(index.usesMultiIndex, false);
});

test('passes over what is no hash', () => {
  const index = new HashIndex({ multiIndexMin: 1 });
  index.add(1, new Uint8Array(31));
  index.add(2, new Uint8Array(32));
  index.remove(1);
  index.remove(3);
  assert.deepEqual(index.near([new Uint8Array(32)], { maxDistance: 0, limit: 10 }), [{ label: 2, distance: 0 }]);
});
