import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EvaluationReport } from '../../../src/evaluation/evaluation-report.js';
import { RECIPES } from '../../../src/training/recipes.js';
import { type DoneRow, seededName, seedSpreads } from '../../../src/training/runs/ablation-table.js';

/** A row with only what the spread reads. */
function doneRow(name: string, accuracy: number, linear?: number): DoneRow {
  const report = {
    classes: [{ metric: 'cosine', votes: [{ k: 200, accuracy }], precisionAt10: accuracy / 2 }],
    probes: linear === undefined ? [] : [{ name: 'linear', accuracy: linear }],
  } as unknown as EvaluationReport; // the fields above are all that is read
  return { row: { name, question: '', changes: {} }, recipe: RECIPES.seed, report };
}

test('the spread over seeds is the mean and the sample standard deviation of rows of one name', () => {
  const rows = [
    doneRow('both', 0.3),
    doneRow('local-only', 0.5),
    doneRow(seededName('both', 5), 0.34),
    doneRow(seededName('both', 6), 0.38),
  ];
  const spreads = seedSpreads(rows);
  assert.deepEqual(
    spreads.map(({ name, seeds }) => [name, seeds]),
    [['both', 3]],
  );
  const { mean, deviation } = spreads[0]!.figures['kNN 200']!;
  assert.ok(Math.abs(mean - 0.34) < 1e-12 && Math.abs(deviation - 0.04) < 1e-12);
  assert.equal(spreads[0]!.figures.linear, undefined, 'what was not measured has no spread');
});

test('a row that failed has no part in a spread', () => {
  const failed: DoneRow = { ...doneRow(seededName('both', 5), 0), report: undefined, failure: 'NaN' };
  assert.deepEqual(seedSpreads([doneRow('both', 0.3, 0.4), failed]), []);
});
