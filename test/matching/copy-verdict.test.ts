import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Copy,
  type CopyEvidence,
  copiesFirst,
  judgeCopy,
  verdictAliases,
} from '../../src/matching/copy-verdict.js';
import { copyProbability, UNFITTED_SCORES } from '../../src/matching/score-model.js';
import { seededRandom } from '../../src/seeded-random.js';

const rules = { model: UNFITTED_SCORES, hashThreshold: 31 };
const judge = (evidence: Partial<CopyEvidence>) =>
  judgeCopy({ hasSameBytes: false, distance: 20, similarity: 0.9, ...evidence }, rules);
const copyOf = (evidence: Partial<CopyEvidence>): Copy => judge(evidence).copy;

test('a pair is judged by bytes, then hash, then alignment, then the curves', () => {
  assert.equal(copyOf({ hasSameBytes: true, distance: undefined, similarity: -1 }), 'exact');
  assert.equal(copyOf({ distance: 0, similarity: 0.99 }), 'exact');
  assert.equal(copyOf({ distance: 0, similarity: 0.9 }), 'edited');
  assert.equal(copyOf({ distance: 0, similarity: 0.99, isTurned: true }), 'edited', 'a turn that was not encoded');
  assert.equal(copyOf({ distance: 0, similarity: 1, isView: true }), 'edited', 'a turn that was encoded');
  assert.equal(copyOf({ distance: 31 }), 'edited');
  assert.equal(copyOf({ distance: 32, similarity: 0.5 }), 'none');
  assert.equal(copyOf({ similarity: 0.19 }), 'none', 'the embedding contradicts the hash');
  assert.equal(copyOf({ similarity: -0.5, isTurned: true }), 'edited');
  assert.equal(copyOf({ distance: 120, agreement: 0.7 }), 'edited');
  assert.equal(copyOf({ distance: 120, agreement: 0.69 }), 'none');
  assert.equal(copyOf({ distance: undefined, similarity: 1 }), 'edited', 'by the curves');
  assert.equal(copyOf({ distance: undefined, similarity: 1, agreement: 0 }), 'none', 'the alignment decides');
  for (const evidence of [{ hasSameBytes: true }, { distance: 0, similarity: 1 }, { agreement: 1 }])
    assert.equal(copyOf({ ...evidence, isOnePicture: false }), 'none', 'a query of several examples has no copies');
});

test('copy, probability, similar and their aliases never contradict each other', (context) => {
  const seed = 20261129;
  context.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const maybe = <T>(value: T): T | undefined => (random() < 0.3 ? undefined : value);
  for (let round = 0; round < 20_000; round++) {
    const nearProbability = 0.5 + random() / 2;
    const model = { ...UNFITTED_SCORES, nearProbability, relatedSimilarity: random() * 2 - 1 };
    const evidence: CopyEvidence = {
      hasSameBytes: random() < 0.05,
      distance: maybe(Math.floor(random() * random() * 257)),
      isTurned: random() < 0.2,
      similarity: random() * 2 - 1,
      agreement: maybe(random()),
      isOnePicture: random() < 0.9,
    };
    const verdict = judgeCopy(evidence, { model, hashThreshold: 31 });
    const { copy, probability, similar } = verdict;
    const message = JSON.stringify({ evidence, model, verdict });
    assert.ok(probability >= 0 && probability <= 1, message);
    assert.equal(copy !== 'none', probability >= nearProbability, message);
    if (copy !== 'none') assert.ok(similar, message);
    if (copy === 'exact') assert.equal(probability, 1, message);
    const { match, band } = verdictAliases(verdict);
    assert.equal(band.probability, probability);
    assert.deepEqual(
      [match === 'same', match === 'edited', band.name === 'same', band.name === 'near', band.name === 'unrelated'],
      [copy === 'exact', copy === 'edited', copy === 'exact', copy === 'edited', !similar],
      message,
    );
  }
});

test('an alignment that was tried sets the probability', () => {
  const pair = { similarity: 0.6, distance: 120 };
  assert.ok(judge({ ...pair, agreement: 0.95 }).probability > 0.95);
  assert.ok(judge({ ...pair, agreement: 0 }).probability < 0.001);
  assert.ok(Math.abs(judge(pair).probability - copyProbability(pair, UNFITTED_SCORES)) < 1e-4);
});

test('copies stand in order, each kind in the order it came in', () => {
  const kinds: readonly Copy[] = ['none', 'edited', 'exact', 'none', 'edited'];
  const order = copiesFirst(kinds.map((copy, at) => ({ verdict: { copy, probability: 0, similar: true }, at })));
  assert.deepEqual(
    order.map(({ at }) => at),
    [2, 1, 4, 0, 3],
  );
});
