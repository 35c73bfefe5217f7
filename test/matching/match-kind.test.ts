import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foldCopies } from '../../src/matching/fold-copies.js';
import { grouped, type MatchKind, matchKind } from '../../src/matching/match-kind.js';

const limits = { hashThreshold: 31, qualityMin: 50 };
const kind = (evidence: Partial<Parameters<typeof matchKind>[0]>): MatchKind =>
  matchKind({ hasSameBytes: false, distance: 20, qualities: [80, 80], similarity: 0.9, ...evidence }, limits);

test('a match is same, edited or similar by bytes, hash with detail, and an embedding that agrees', () => {
  assert.equal(kind({ hasSameBytes: true, distance: undefined, similarity: -1 }), 'same');
  assert.equal(kind({ distance: 0, similarity: 0.99 }), 'same');
  assert.equal(kind({ distance: 0, similarity: 0.9 }), 'edited');
  assert.equal(kind({ distance: 31 }), 'edited');
  assert.equal(kind({ distance: 32 }), 'similar');
  assert.equal(kind({ similarity: 0.19 }), 'similar');
  assert.equal(kind({ similarity: undefined, distance: 0 }), 'edited', 'a turn that was not encoded');
  assert.equal(kind({ distance: 120, agreement: 0.7 }), 'edited');
  assert.equal(kind({ distance: 120, agreement: 0.69 }), 'similar');
  assert.equal(kind({ qualities: [80, 49] }), 'similar');
  assert.equal(kind({ qualities: [80, null] }), 'edited');
  assert.equal(kind({ distance: undefined, similarity: 1 }), 'similar');
});

test('groups stand in order, each in the order it came in', () => {
  const matches: readonly MatchKind[] = ['similar', 'edited', 'same', 'similar', 'edited'];
  const order = grouped(matches.map((match, at) => ({ match, at }))).map(({ at }) => at);
  assert.deepEqual(order, [2, 1, 4, 0, 3]);
});

test('copies fold under the first they are copies of', () => {
  const folds = foldCopies([10, 11, 30, 12, 31, 50], (a, b) => Math.abs(a - b) <= 1);
  assert.deepEqual(
    folds.map(({ kept, folded }) => [kept, ...folded]),
    [[10, 11], [30, 31], [12], [50]],
  );
});
