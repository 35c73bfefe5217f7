import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { REPOSITORY } from '../service-process.js';
import { CRITERIA, criteriaOf } from './criteria.js';
import { atLeast, atMost, below, recordName, roundSeed, type StoredRecord } from './record.js';
import { DOCUMENT, readRecords, reliabilityDocument } from './reliability-document.js';

test('the register holds A1 to A32 in order, and every file that it names', () => {
  assert.deepEqual(
    CRITERIA.map(({ id }) => id),
    Array.from({ length: 32 }, (_, at) => `A${at + 1}`),
  );
  const names = readdirSync(join(REPOSITORY, 'test', 'acceptance'), { recursive: true, encoding: 'utf8' }).map((name) =>
    basename(name),
  );
  for (const { id, file } of CRITERIA) {
    if (file === undefined) continue;
    assert.ok(names.includes(`${file}.acceptance.ts`), `${id}: there is no ${file}.acceptance.ts`);
    assert.ok(criteriaOf(`${file}.acceptance.js`).some((found) => found.id === id));
  }
});

test('docs/reliability.md is what the records say (node dist/test/acceptance/reliability-document.js writes it)', () => {
  assert.equal(readFileSync(DOCUMENT, 'utf8'), reliabilityDocument(readRecords()));
});

test('the table tells met from short, gives the reason, and says which run and machine a row is of', () => {
  const run = { startedAt: '2026-01-02T03:04:05Z', commit: 'abc', machine: 'two cores', load: 1 };
  const later = { ...run, startedAt: '2026-01-03T03:04:05Z', machine: 'four cores' };
  const records: StoredRecord[] = [
    {
      criterion: 'A2',
      given: 'twice',
      seed: 7,
      run,
      measures: [atLeast('goodput', 0.93, 0.9), below('p99', 1200, 1000, 'ms', 'noise')],
    },
    { criterion: 'A9', given: '', run: later, measures: [], outcome: { kind: 'failed', reason: 'a | b\nc' } },
  ];
  const lines = reliabilityDocument(records).split('\n');
  assert.ok(lines.includes('| **A2** Twice the capacity | twice; seed 7 | goodput | 0.93 | >= 0.9 | met | R1, M2 |'));
  assert.ok(lines.includes('|  |  | p99 | 1200 ms | < 1000 ms | **short**: noise | R1, M2 |'));
  assert.ok(lines.includes('| **A9** kill -9 in writes |  | | | | **failed**: a \\| b c | R2, M1 |'));
  assert.ok(lines.includes('| **A1** Capacity | | | | | not measured | |'));
  assert.equal(recordName({ criterion: 'A9', part: 'eio' }), 'A09-eio.json');
  assert.equal(atMost('', 3, 3).isMet, true);
  assert.equal(below('', 3, 3).isMet, false);
  assert.notEqual(roundSeed(1, 2), roundSeed(1, 3));
});
