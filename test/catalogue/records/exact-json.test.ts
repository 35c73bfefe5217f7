import assert from 'node:assert/strict';
import { it } from 'node:test';
import { parseExactJson } from '../../../src/catalogue/records/exact-json.js';

it('refuses numbers that would change, wherever they stand, and takes all others', () => {
  const wrong = [
    '9007199254740992',
    '-9007199254740993',
    '12345678901234567890',
    '1e999',
    '-1e400',
    '9007199254740993.5',
    '9007199254740993e0',
    '9.007199254740993e15',
    '1e-400',
  ];
  for (const number of wrong) {
    for (const text of [number, `{"a":[1,{"b":${number}}]}`, `{"\\"1":${number}}`, `[${number} , "x"]`]) {
      assert.throws(() => parseExactJson(text, 'The body'), {
        code: 'INVALID_REQUEST',
        message: /^The body holds the number/,
      });
    }
  }
  const fine = [
    '9007199254740991',
    '-9007199254740991',
    '0.1',
    '1e20',
    '1.5e300',
    '-0',
    '0e5',
    '5e-324',
    '9.007199254740992e15',
    '"9007199254740993"',
  ];
  for (const text of [...fine, '{"a":"1e999 \\" 12345678901234567890"}', '{"12345678901234567890":1}'])
    assert.deepEqual(parseExactJson(text, 'The body'), JSON.parse(text));
  assert.throws(() => parseExactJson('{', 'The filter', 'INVALID_FILTER'), { code: 'INVALID_FILTER' });
});

it('takes no longer than a moment for long texts', () => {
  const text = JSON.stringify(['\\"'.repeat(500_000), ...new Array(100_000).fill(1.25)]);
  const began = process.cpuUsage();
  parseExactJson(text, 'The body');
  assert.ok(process.cpuUsage(began).user < 2_000_000);
});
