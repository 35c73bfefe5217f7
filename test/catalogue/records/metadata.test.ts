import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Metadata } from '../../../src/catalogue/catalogue.js';
import { METADATA_LIMITS, mergePatch, metadataToJson } from '../../../src/catalogue/records/metadata.js';

const MAX_BYTES = 65_536;

it('merges as the examples of RFC 7396 do', () => {
  const examples: [Metadata, Metadata, Metadata][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, result] of examples) assert.deepEqual(mergePatch(target, patch), result);
});

it('takes __proto__ for a key like any other', () => {
  const patch = JSON.parse('{"__proto__": {"polluted": true}}') as Metadata;
  const merged = mergePatch({}, patch);
  assert.equal(JSON.stringify(merged), '{"__proto__":{"polluted":true}}');
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});

it('refuses metadata that is no object, too deep, too long, or no valid text or number', () => {
  let deep: Metadata = {};
  for (let level = 1; level < METADATA_LIMITS.depth; level++) deep = { deep };
  const wrong: unknown[] = [
    null,
    [],
    'text',
    7,
    { deep },
    { a: 'x'.repeat(MAX_BYTES) },
    { a: '\0' },
    { 'a\0': 1 },
    { a: '\ud800' },
    { a: [Number.NaN] },
    JSON.parse('{"__proto__":1}'),
  ];
  for (const value of wrong) assert.throws(() => metadataToJson(value, MAX_BYTES), { code: 'INVALID_REQUEST' });
  // Text about an escape is no escape.
  for (const value of [{ a: '\\u0000' }, { a: '\\\\ud800' }, { a: '\u{1F600}\u0001' }, deep])
    assert.equal(typeof metadataToJson(value, MAX_BYTES), 'string');
});
