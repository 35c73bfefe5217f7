import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SearchResult } from '../../src/client/client.js';
import { exportCsv, exportJson } from '../../src/page/state/export-results.js';
import { resultSummary, scoreText, viewText } from '../../src/page/state/result-messages.js';

const result = (part: Partial<SearchResult>): SearchResult => ({
  id: 'a',
  score: 0.5,
  metadata: {},
  thumbnailUrl: '/images/a/thumbnail',
  originalUrl: null,
  copy: 'none',
  probability: 0.01,
  similar: false,
  fileName: null,
  match: 'similar',
  band: { name: 'unrelated', probability: 0.01 },
  ...part,
});

test('CSV has a column for each metadata field, and quotes where needed', () => {
  const csv = exportCsv([
    result({
      id: 'a,"b"\n',
      fileName: 'a.jpg',
      score: 1,
      copy: 'edited',
      probability: 0.97,
      similar: true,
      folded: ['x', 'y'],
    }),
    result({ id: 'c', metadata: { shop: { brand: 'acme' }, tags: ['red', 'blue'], sold: false, price: -3 } }),
  ]);
  const head =
    'id,fileName,score,copy,probability,similar,view,folded,metadata.price,metadata.shop.brand,metadata.sold,metadata.tags';
  assert.equal(
    csv,
    `\uFEFF${head}\r\n"a,""b""\n",a.jpg,1,edited,0.97,true,,x y,,,,\r\nc,,0.5,none,0.01,false,,,-3,acme,false,"[""red"",""blue""]"\r\n`,
  );
});

test('keys with dots have columns of their own, with their values', () => {
  const [head, row] = exportCsv([result({ id: 'a', metadata: { 'exif.model': 'X1', exif: { model: 'Y2' } } })]).split(
    '\r\n',
  );
  assert.ok(head?.endsWith(',metadata.exif.model,metadata.exif\\.model'), head);
  assert.ok(row?.endsWith(',Y2,X1'), row);
});

test('untrusted text is no formula in a spreadsheet', () => {
  for (const id of ['=1+1', '+1', '-1', '@x', '\tx', '=HYPERLINK("http://x")']) {
    const line = exportCsv([result({ id })]).split('\r\n')[1]!;
    assert.match(line, /^"?'/, id);
  }
});

test('JSON has every field, and page URL, time and encoder', () => {
  const results = [result({ metadata: { a: [1, { b: null }] } })];
  const at = new Date('2026-02-03T04:05:06Z');
  const exported: unknown = JSON.parse(exportJson(results, { address: 'http://x/?id=a', encoder: 'e', at }));
  assert.deepEqual(exported, {
    search: 'http://x/?id=a',
    encoder: 'e',
    exportedAt: '2026-02-03T04:05:06.000Z',
    results,
  });
});

test('a score is shown as 1.00 only if it is 1, and one sentence sums the results up', () => {
  assert.equal(scoreText(0.9999998), '1.00', 'the same picture, by 32-bit numbers');
  assert.deepEqual([1, 0.999, 0.996, 0.504, -0.25].map(scoreText), ['1.00', '0.99', '0.99', '0.50', '-0.25']);
  assert.deepEqual([undefined, 'flipY', 'rotate90'].map(viewText), [undefined, 'mirrored', 'rotated']);
  assert.equal(resultSummary([], false), 'No results.');
  const found = [result({ copy: 'exact', similar: true }), result({}), result({ similar: true })];
  assert.equal(resultSummary(found, true), '3 or more results: 1 identical, 1 similar, 1 weaker.');
});
