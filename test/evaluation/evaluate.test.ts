import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { pixelDataset } from '../../src/datasets/image-dataset.js';
import { SearchError } from '../../src/errors.js';
import { rawPixelEncoder } from '../../src/evaluation/encode-dataset.js';
import { type EvaluationOptions, evaluate } from '../../src/evaluation/evaluate.js';
import { type EvaluationReport, parseReport } from '../../src/evaluation/evaluation-report.js';
import { compareReports, comparisonMarkdown, renderComparison } from '../../src/evaluation/reports/compare.js';
import { renderReport } from '../../src/evaluation/reports/report.js';
import { COPY_ATTACKS } from '../../src/images/copy-attacks.js';
import type { Pixels } from '../../src/images/pixels.js';
import { testRandom } from './seed.js';

const SIDE = 12;
const encoder = rawPixelEncoder({ side: SIDE });
const sizes = { copyOriginals: 4, mapPoints: 60, sheetRows: 3 };

const decode = async (bytes: Uint8Array): Promise<Pixels> => ({
  width: SIDE,
  height: SIDE,
  rgb: await sharp(bytes).resize(SIDE, SIDE, { fit: 'cover' }).raw().toBuffer(),
});

/** Noisy stripes: across for even images, down for odd ones. */
function stripes(count: number, random: () => number, classes: readonly string[] | undefined = ['across', 'down']) {
  const images = Array.from({ length: count }, (_, index) => {
    const phase = Math.floor(random() * 4);
    const rgb = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => {
      const place = Math.floor(i / 3);
      const along = index % 2 === 0 ? Math.floor(place / SIDE) : place % SIDE;
      return 60 + 60 * (Math.floor((along + phase) / 3) % 2) + 60 * random();
    });
    return { width: SIDE, height: SIDE, rgb };
  });
  return pixelDataset({
    name: 'stripes',
    images,
    classes,
    labels: classes && Array.from({ length: count }, (_, index) => index % 2),
  });
}

const run = (options: Omit<EvaluationOptions, 'encoder' | 'decode' | 'seed' | 'now'>): Promise<EvaluationReport> =>
  evaluate({ encoder, decode, seed: 4, now: () => new Date(0), sizes, ...options });

test('a held-out split is measured, drawn and probed; the same options give the same report', async (context) => {
  const random = testRandom(context, 71);
  const [database, queries] = [stripes(80, random), stripes(40, random)];
  const report = await run({ database, queries });
  assert.deepEqual(
    [report.data.protocol, report.data.databaseImages, report.data.queryImages],
    ['queries against database', 80, 40],
  );
  assert.deepEqual(
    report.classes.map((each) => each.metric),
    ['cosine', 'euclidean'],
  );
  assert.ok(report.classes[0]!.precisionAt10 > 0.9, `stripes are told apart: ${report.classes[0]!.precisionAt10}`);
  assert.deepEqual(
    report.probes.map((probe) => probe.name),
    ['linear', 'MLP(200)'],
  );
  assert.equal(report.copies!.attacks.length, COPY_ATTACKS.length);
  assert.equal(report.copies!.distractorQueries, 12 * 3);
  assert.ok(report.copies!.recallAt1 > 0.4 && report.copies!.microApNormalised !== null);
  assert.deepEqual(
    report.sheets.map((sheet) => sheet.title.split(' ')[0]),
    ['Nearest', 'Nearest', 'Edited'],
  );
  assert.equal(report.map!.length, 40);
  const again = await run({ database, queries });
  assert.deepEqual({ ...again, timing: undefined }, { ...report, timing: undefined });
  assert.deepEqual(parseReport(JSON.stringify(report), 'report.json'), report);
});

test('without a held-out set every image is searched among the others, and a fifth asks for copies in vain', async (context) => {
  const random = testRandom(context, 72);
  const images = await Promise.all(Array.from({ length: 50 }, (_, index) => stripes(50, random).heldPixels(index)!));
  // Each image is a class of its own, but for the last, which is the fourth once more: only these two have anything
  // to find.
  const labels = [...Array(50).keys(), 3];
  const database = pixelDataset({
    name: 'twins',
    images: [...images, images[3]!],
    labels,
    classes: labels.slice(0, 50).map(String),
  });
  const report = await run({ database, withProbes: false });
  assert.equal(report.data.protocol, 'leave one out');
  assert.deepEqual([report.classes[0]!.queries, report.classes[0]!.precisionAt1, report.classes[0]!.mapAtR], [2, 1, 1]);
  assert.deepEqual([report.copies!.databaseImages, report.probes.length], [41, 0]);
});

test('images without labels get the measures that need none', async (context) => {
  const random = testRandom(context, 73);
  const images = await Promise.all(Array.from({ length: 30 }, (_, index) => stripes(30, random).heldPixels(index)!));
  const report = await run({ database: pixelDataset({ name: 'plain', images }) });
  assert.deepEqual([report.classes, report.scores, report.probes, report.data.classes], [[], null, [], []]);
  assert.ok(report.copies && report.geometry.rankMe && report.map?.every((point) => point.label === null));
  const page = renderReport(report);
  assert.ok(!page.includes('Search by class') && page.includes('Search for edited copies'));
});

test('files that cannot be read are counted and left out; an encoder that fails rejects', async (context) => {
  const random = testRandom(context, 74);
  const sound = stripes(30, random);
  const heldPixels = (index: number) => (index === 4 ? undefined : sound.heldPixels(index));
  const bytes = (index: number) =>
    index === 4 ? Promise.reject(new SearchError('UNREADABLE_IMAGE', 'Image is damaged.')) : sound.bytes(index);
  const report = await run({ database: { ...sound, heldPixels, bytes }, withProbes: false });
  assert.deepEqual([report.data.databaseImages, report.data.unreadableImages], [29, 1]);
  const broken = { ...encoder, encode: async () => [new Float32Array(3)] };
  await assert.rejects(
    evaluate({ encoder: broken, database: sound, decode, seed: 1, now: () => new Date(0) }),
    /vectors of another number or length/,
  );
});

test('the page asks for nothing from outside and shows hostile names as text', async (context) => {
  const random = testRandom(context, 75);
  const evil = '"><img src=x onerror=alert(1)><script>';
  const report = await run({
    database: stripes(30, random, [evil, "it's"]),
    withProbes: false,
    curves: [
      {
        name: evil,
        axis: evil,
        points: [
          [0, 1],
          [1, 0.5],
        ],
      },
    ],
  });
  const named = {
    ...report,
    encoder: { ...report.encoder, name: evil, id: evil },
    data: { ...report.data, name: evil },
  };
  for (const page of [renderReport(named), renderComparison([named, named])]) {
    assert.doesNotMatch(page, /<script|<img src=x|https?:|@import|url\(/i);
    assert.match(page, /default-src 'none'/);
    const opened = page.match(/<(section|figure|svg|table|ul|div|g)\b/g)?.length;
    assert.equal(page.match(/<\/(section|figure|svg|table|ul|div|g)>/g)?.length, opened, 'tags are closed');
  }
});

test('a comparison marks the best of each column and says when rows cannot be compared', async (context) => {
  const random = testRandom(context, 76);
  const report = await run({ database: stripes(40, random), withProbes: false });
  const named = (name: string, recallAt1: number): EvaluationReport => ({
    ...report,
    encoder: { ...report.encoder, name },
    copies: { ...report.copies!, recallAt1 },
  });
  const other: EvaluationReport = { ...named('c|d', 0.1), data: { ...report.data, name: 'other' } };
  const comparison = compareReports([named('a', 0.25), named('b', 0.75), other]);
  const column = comparison.columns.indexOf('copies R@1');
  assert.deepEqual(
    comparison.rows.map((row) => row.cells[column]),
    [
      { text: '25.0', isBest: false },
      { text: '75.0', isBest: true },
      { text: '10.0', isBest: false },
    ],
  );
  assert.ok(!comparison.columns.includes('linear'), 'what nobody measured has no column');
  assert.equal(comparison.warnings.length, 1);
  assert.match(comparison.warnings[0]!, /c\|d was measured on other/);
  const markdown = comparisonMarkdown(comparison);
  assert.match(markdown, /\| \*\*75\.0\*\* \|/);
  assert.match(markdown, /c\\\|d/);
});

test('a report of another version, or none, is refused by name', () => {
  const isRefused = (error: unknown) =>
    error instanceof SearchError && error.code === 'INVALID_REQUEST' && error.message.includes('old.json');
  assert.throws(() => parseReport('{"schemaVersion": 0}', 'old.json'), isRefused);
  assert.throws(() => parseReport('not json', 'old.json'), isRefused);
});
