import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldPath, parseFilter } from '../../src/catalogue/filters/filter.js';
import {
  type FilterForm,
  type FilterRow,
  fieldsOf,
  formatField,
  formatFilter,
  NO_FILTER,
  parseFilterForm,
} from '../../src/page/state/query/filter-rows.js';

const formOf = (...rows: readonly FilterRow[]): FilterForm => ({ join: 'and', rows });

test('each row is a condition of the documented language, which the service itself reads', () => {
  const cases: readonly (readonly [FilterRow, unknown])[] = [
    [
      { field: ' shop.brand ', test: 'is', value: 'acme' },
      { field: 'shop.brand', equals: 'acme' },
    ],
    [
      { field: 'sold', test: 'is', value: 'true' },
      { field: 'sold', equals: true },
    ],
    [
      { field: 'note', test: 'is', value: 'null' },
      { field: 'note', equals: null },
    ],
    [
      { field: 'size', test: 'is', value: '"12"' },
      { field: 'size', equals: '12' },
    ],
    [{ field: 'size', test: 'isNot', value: '-1.5e2' }, { not: { field: 'size', equals: -150 } }],
    [
      { field: 'tag', test: 'oneOf', value: 'red, 2 ,"a, b"' },
      { field: 'tag', in: ['red', 2, 'a, b'] },
    ],
    [
      { field: 'price', test: 'atLeast', value: '10' },
      { field: 'price', range: { gte: 10 } },
    ],
    [
      { field: 'day', test: 'atMost', value: '2026-01-31' },
      { field: 'day', range: { lte: '2026-01-31' } },
    ],
    [
      { field: 'sold', test: 'exists', value: 'left over' },
      { field: 'sold', exists: true },
    ],
    [
      { field: 'sold', test: 'missing', value: '' },
      { field: 'sold', exists: false },
    ],
  ];
  for (const [row, expected] of cases) {
    const text = formatFilter(formOf(row))!;
    assert.deepEqual(JSON.parse(text), expected);
    parseFilter(JSON.parse(text));
    assert.equal(formatFilter(parseFilterForm(text)!), text, 'the way back and forth again gives the same');
  }
  const all = formatFilter({ join: 'or', rows: cases.map(([row]) => row) })!;
  parseFilter(JSON.parse(all));
  assert.equal(parseFilterForm(all)?.rows.length, cases.length);
  assert.equal(parseFilterForm(all)?.join, 'or');
});

test('rows that are not complete say nothing', () => {
  assert.equal(formatFilter(NO_FILTER), undefined);
  assert.equal(
    formatFilter(formOf({ field: '', test: 'is', value: 'x' }, { field: 'a', test: 'is', value: ' ' })),
    undefined,
  );
  const half = formOf({ field: 'a', test: 'is', value: '1' }, { field: 'b', test: 'oneOf', value: '' });
  assert.deepEqual(JSON.parse(formatFilter(half)!), { field: 'a', equals: 1 });
});

test('a filter that says more than rows can is left as text, never cut down to rows', () => {
  const deep = [
    '{"and":[{"or":[{"field":"a","equals":1}]},{"field":"b","exists":true}]}',
    '{"field":"price","range":{"gte":1,"lt":2}}',
    '{"not":{"field":"a","exists":true}}',
    '{"field":"a","equals":1,"note":"x"}',
    '{"and":[{"field":"a","equals":1}],"or":[]}',
    '[]',
    '12',
    'null',
    'not JSON',
  ];
  for (const text of deep) assert.equal(parseFilterForm(text), undefined, text);
});

test('fields of the results are suggested as filters name them, the most frequent first', () => {
  const metadata = [{ shop: { brand: 'a', price: 1 }, tags: ['x'] }, { shop: { brand: 'b' }, 'exif.model\\x': 1 }, {}];
  const fields = fieldsOf(metadata);
  assert.deepEqual(fields.map(formatField), ['shop.brand', 'exif\\.model\\\\x', 'shop.price', 'tags']);
  for (const path of fields) assert.deepEqual(fieldPath(formatField(path)), path, 'the service reads the same keys');
});
