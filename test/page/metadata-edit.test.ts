import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedTags, mergePatch, parseMetadata } from '../../src/page/state/metadata-edit.js';

const problemOf = (text: string): string => {
  const parsed = parseMetadata(text);
  assert.ok('problem' in parsed, text);
  return parsed.problem;
};

test('tags are added and removed, unique, and other values are left out', () => {
  assert.deepEqual(changedTags({}, ['a', 'a', 'b'], []), ['a', 'b']);
  assert.deepEqual(changedTags({ tags: ['b', 7, 'a'] }, ['c'], ['b']), ['a', 'c']);
  assert.deepEqual(changedTags({ tags: 'one' }, ['two'], []), ['one', 'two']);
  assert.deepEqual(changedTags({ tags: ['a'] }, [], ['a']), []);
});

test('metadata text is checked: JSON with the line of the fault, an object, exact numbers, no nulls', () => {
  assert.deepEqual(parseMetadata('{ "a": { "b": [1, "x"] } }'), { metadata: { a: { b: [1, 'x'] } } });
  assert.match(problemOf('{\n  "a": 1\n  "b": 2\n}'), /^Not valid JSON \(line 3\)\.$/);
  assert.match(problemOf(''), /^Not valid JSON/);
  assert.match(problemOf('[1]'), /is a JSON object/);
  assert.match(problemOf('{ "shop": { "order": 9007199254740993 } }'), /“shop\.order” is too large/);
  assert.match(problemOf('{ "a": [1, 1e999] }'), /“a\.1” is too large/);
  assert.match(problemOf('{ "a": null }'), /“a” is null/);
});

/** RFC 7396, as the service applies it. */
function patched(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: { [key: string]: unknown } =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = patched(result[key], value);
  }
  return result;
}

test('the patch between two metadata leads from one to the other, and is absent where they are equal', () => {
  const values = [
    {},
    { a: 1 },
    { a: { b: 1, c: 2 }, d: [1, 2] },
    { a: { c: 3 }, d: [2] },
    { a: 'text', e: { f: { g: true } } },
    { e: { f: {} } },
  ];
  for (const before of values) {
    for (const after of values) {
      const patch = mergePatch(before, after);
      if (before === after) assert.equal(patch, undefined);
      assert.deepEqual(patch === undefined ? before : patched(before, patch), after);
    }
  }
  assert.deepEqual(mergePatch({ a: 1, b: 2, c: { x: 1, y: 2 } }, { b: 2, c: { x: 1, y: 3 } }), {
    a: null,
    c: { y: 3 },
  });
});
