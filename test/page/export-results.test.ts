import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SearchResult } from '../../src/client/client.js';
import { exportCsv, exportJson } from '../../src/page/state/export-results.js';
import { scoreText, spokenSummary, viewWord } from '../../src/page/state/result-words.js';
import { changedTags } from '../../src/page/state/tags.js';

const result = (part: Partial<SearchResult>): SearchResult => ({
  id: 'a',
  score: 0.5,
  metadata: {},
  thumbnailUrl: '/images/a/thumbnail',
  originalUrl: null,
  match: 'similar',
  band: { name: 'unrelated', probability: 0.01 },
  ...part,
});

test('CSV has a column for each metadata field, and quotes what it must', () => {
  const csv = exportCsv([
    result({ id: 'a,"b"\n', score: 1, match: 'same', band: { name: 'near', probability: 0.97 }, folded: ['x', 'y'] }),
    result({ id: 'c', metadata: { shop: { brand: 'acme' }, tags: ['red', 'blue'], sold: false, price: -3 } }),
  ]);
  const head = 'id,score,match,band,probability,view,folded,metadata.price,metadata.shop.brand,metadata.sold,metadata.tags';
  assert.equal(
    csv,
    `\uFEFF${head}\r\n"a,""b""\n",1,same,near,0.97,,x y,,,,\r\nc,0.5,similar,unrelated,0.01,,,-3,acme,false,"[""red"",""blue""]"\r\n`,
  );
});

test('a stranger’s words are no formula in a spreadsheet', () => {
  for (const id of ['=1+1', '+1', '-1', '@x', '\tx', '=HYPERLINK("http://x")']) {
    const line = exportCsv([result({ id })]).split('\r\n')[1]!;
    assert.match(line, /^"?'/, id);
  }
});

test('JSON holds everything, and when, where and by which encoder it was found', () => {
  const results = [result({ metadata: { a: [1, { b: null }] } })];
  const at = new Date('2026-02-03T04:05:06Z');
  const exported: unknown = JSON.parse(exportJson(results, { address: 'http://x/?id=a', encoder: 'e', at }));
  assert.deepEqual(exported, { search: 'http://x/?id=a', encoder: 'e', exportedAt: '2026-02-03T04:05:06.000Z', results });
});

test('tags are added and removed, each once, and what is no tag is left out', () => {
  assert.deepEqual(changedTags({}, ['a', 'a', 'b'], []), ['a', 'b']);
  assert.deepEqual(changedTags({ tags: ['b', 7, 'a'] }, ['c'], ['b']), ['a', 'c']);
  assert.deepEqual(changedTags({ tags: 'one' }, ['two'], []), ['one', 'two']);
  assert.deepEqual(changedTags({ tags: ['a'] }, [], ['a']), []);
});

test('a score is never shown as 1.00 unless it is, and what was found is told in one sentence', () => {
  assert.equal(scoreText(0.9999998), '1.00', 'the same picture, by 32-bit numbers');
  assert.deepEqual([1, 0.999, 0.996, 0.504, -0.25].map(scoreText), ['1.00', '0.99', '0.99', '0.50', '-0.25']);
  assert.deepEqual([undefined, 'flipY', 'rotate90'].map(viewWord), [undefined, 'mirrored', 'turned']);
  assert.equal(spokenSummary([], false), 'No results.');
  const found = [result({ match: 'same' }), result({}), result({})];
  assert.equal(spokenSummary(found, true), '3 or more results: 1 same, 2 similar.');
});
