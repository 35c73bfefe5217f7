/** The report of an evaluation for people: one HTML file that needs nothing but itself. */

import type { EvaluationReport } from '../evaluation-report.js';
import { barChart, histogramChart, lineChart, reliabilityChart, scatterChart } from './charts.js';
import { escapeHtml, percent } from './html-text.js';
import { reportPage } from './report-page.js';

/** The whole page. Pictures are data URIs, plots inline SVG; a section without data is left out. */
export function renderReport(report: EvaluationReport): string {
  const sections = [
    header(report),
    sheets(report),
    classSearch(report),
    copySearch(report),
    map(report),
    probes(report),
    geometry(report),
    curves(report),
    footer(report),
  ];
  return reportPage({ title: `${report.encoder.name} on ${report.data.name}`, body: sections.join('\n') });
}

function header({ encoder, data, classes, copies, timing }: EvaluationReport): string {
  const cosine = classes[0];
  const tiles: readonly (readonly [value: string, name: string])[] = [
    ...(cosine?.votes
      .slice(0, 1)
      .map((vote) => [percent(vote.accuracy), `kNN accuracy (k = ${vote.k}, T = ${vote.temperature})`] as const) ?? []),
    ...(cosine ? [[percent(cosine.precisionAt1), 'first neighbour of the same class'] as const] : []),
    ...(cosine ? [[percent(cosine.precisionAt10), 'of the first ten of the same class'] as const] : []),
    ...(copies ? [[percent(copies.recallAt1), 'edited copies that find their original first'] as const] : []),
    ...(copies ? [[copies.microAp.toFixed(3), 'micro-AP over all edited copies'] as const] : []),
    [`${timing.encodeMsPerImage.toFixed(2)} ms`, 'to encode one image, in batches'],
  ];
  const protocol =
    data.protocol === 'leave one out'
      ? `${count(data.databaseImages)} images, each searched among all others`
      : `${count(data.queryImages)} held-out queries against ${count(data.databaseImages)} images`;
  const unreadable =
    data.unreadableImages > 0 ? `; ${count(data.unreadableImages)} files could not be read and are left out` : '';
  return `<header><h1>${escapeHtml(encoder.name)}</h1>
<p class="soft">${escapeHtml(data.name)}: ${protocol}, by exact search${unreadable}. ${encoder.dimensions} dimensions, ${count(encoder.bytesPerVector)} bytes a vector.</p>
<ul class="tiles">${tiles.map(([value, name]) => `<li><b>${value}</b><span>${name}</span></li>`).join('')}</ul></header>`;
}

function sheets({ sheets, data }: EvaluationReport): string {
  if (sheets.length === 0) return '';
  const framing =
    data.classes.length > 0
      ? 'Neighbours framed green are of the query’s class, those framed orange are not.'
      : 'There are no classes to judge by: look.';
  const figures = sheets.map(
    ({ title, mediaType, width, height, base64 }) =>
      `<figure class="sheet"><figcaption>${escapeHtml(title)}</figcaption><img src="data:${escapeHtml(mediaType)};base64,${escapeHtml(base64)}" width="${width}" height="${height}" alt="${escapeHtml(title)}"></figure>`,
  );
  return `<section><h2>What it finds</h2><p>Each row is one query, framed blue, and its nearest neighbours in order, with their scores. ${framing}</p>${figures.join('')}</section>`;
}

function classSearch({ classes, scores }: EvaluationReport): string {
  if (classes.length === 0) return '';
  const votes = classes[0]!.votes;
  const head = [
    'metric',
    ...votes.map((vote) => (vote.k === 1 ? '1-NN = P@1' : `kNN ${vote.k}, T ${vote.temperature}`)),
    'P@10',
    'P@100',
    'MAP@R',
    'R-precision',
    'mAP@1000',
  ];
  const rows = classes.map((each) => [
    each.metric,
    ...each.votes.map(
      (vote) => `${percent(vote.accuracy)} <span class="soft">± ${(vote.standardError * 100).toFixed(1)}</span>`,
    ),
    ...[each.precisionAt10, each.precisionAt100, each.mapAtR, each.rPrecision, each.mapAt1000].map(percent),
  ]);
  const plots = scores
    ? `<div class="plots"><div>${histogramChart({ title: 'Score of the first neighbour', xTitle: 'cosine similarity', histogram: scores })}</div><div>${reliabilityChart({ title: 'How far a score can be believed', xTitle: 'cosine similarity of the first neighbour', histogram: scores })}</div></div>`
    : '';
  return `<section><h2>Search by class</h2><p>Labels were used for scoring only. ± is the binomial standard error over the queries.</p>${table({ head, rows })}${plots}</section>`;
}

function copySearch({ copies }: EvaluationReport): string {
  if (!copies) return '';
  const rows = [
    ['first answer is the original (R@1)', percent(copies.recallAt1)],
    ['micro-AP, one threshold for all queries', copies.microAp.toFixed(3)],
    [
      'micro-AP with scores normalised by a background',
      copies.microApNormalised === null ? '–' : copies.microApNormalised.toFixed(3),
    ],
    ['mean squared distance of copy and original (alignment)', copies.alignment.toFixed(3)],
  ];
  return `<section><h2>Search for edited copies</h2>
<p>${count(copies.originals)} images of the database, each edited in ${copies.attacks.length} ways and looked for among ${count(copies.databaseImages)}; ${count(copies.distractorQueries)} queries more have no original there. No labels are used.</p>
${table({ head: ['measure', ''], rows })}
<div class="plots"><div>${barChart({ title: 'Original found first, by edit', rows: copies.attacks.map(({ attack, recallAt1 }) => ({ name: attack, value: recallAt1 })) })}</div>
<div>${histogramChart({ title: 'Score of the first answer', xTitle: 'cosine similarity', histogram: copies.scores })}${reliabilityChart({ title: 'How far a score can be believed', xTitle: 'cosine similarity of the first answer', histogram: copies.scores })}</div></div></section>`;
}

function map({ map, data }: EvaluationReport): string {
  if (!map) return '';
  const chart = scatterChart({
    title: `${count(map.length)} images as the encoder places them`,
    points: map,
    classes: data.classes,
  });
  return `<section><h2>Map of the embeddings</h2><p>Laid out by nearest neighbours (UMAP): what stands close together is alike to the encoder; far distances mean nothing.</p>${chart}</section>`;
}

function probes({ probes }: EvaluationReport): string {
  if (probes.length === 0) return '';
  const rows = probes.map((probe) => [escapeHtml(probe.name), percent(probe.accuracy), escapeHtml(probe.detail)]);
  return `<section><h2>Probes</h2><p>Classifiers trained with labels on the frozen embeddings: what could be read out, not what a search sees.</p>${table({ head: ['probe', 'accuracy', 'trained by'], rows, kind: 'wide' })}</section>`;
}

function geometry({ geometry, encoder }: EvaluationReport): string {
  const { hubness } = geometry;
  const number = (value: number | null, digits = 2): string => (value === null ? '–' : value.toFixed(digits));
  const rows = [
    [
      'RankMe',
      number(geometry.rankMe, 1),
      `effective dimensions, of ${encoder.dimensions}; larger is better within one family of encoders`,
    ],
    ['uniformity', number(geometry.uniformity), 'log of the mean Gaussian potential; lower is more evenly spread'],
    ['dead dimensions', percent(geometry.deadDimensionShare), 'vary by less than a hundredth of their fair share'],
    ['median spread', number(geometry.medianSpread), 'standard deviation of a dimension; 1 is its fair share'],
    ['mean |correlation|', number(geometry.meanAbsoluteCorrelation, 3), 'between dimensions; 0 is no redundancy'],
    ...(hubness
      ? [
          [
            `hubness (k = ${hubness.k})`,
            number(hubness.skewness),
            'skewness of how often an image is found; above 1 a few images answer many searches',
          ],
          [
            'never found',
            percent(hubness.neverFoundShare),
            `of the images are in nobody’s first ${hubness.k}; the greatest hub is in ${count(hubness.largestOccurrence)}`,
          ],
        ]
      : []),
  ];
  return `<section><h2>Shape of the space</h2><p>Measured without labels on ${count(geometry.sampleImages)} images.</p>${table({ head: ['measure', 'value', ''], rows, kind: 'wide' })}</section>`;
}

function curves({ curves }: EvaluationReport): string {
  if (curves.length === 0) return '';
  const axes = [...new Set(curves.map((curve) => curve.axis))];
  const plots = axes.map((axis) => {
    const series = curves.filter((curve) => curve.axis === axis);
    return `<div>${lineChart({ title: axis, xTitle: 'step', yTitle: axis, series })}</div>`;
  });
  return `<section><h2>Training</h2><div class="plots">${plots.join('')}</div></section>`;
}

function footer({ encoder, seed, created, timing, schemaVersion }: EvaluationReport): string {
  const where = [encoder.runtime, encoder.device].filter((part) => part !== null).join(', ');
  return `<footer>Encoder ${escapeHtml(encoder.id)}${where ? `, run by ${escapeHtml(where)}` : ''}. Seed ${seed}; made ${escapeHtml(created)} in ${timing.totalSeconds.toFixed(0)} s. Report version ${schemaVersion}.</footer>`;
}

/** Cells are HTML: names that users chose are escaped by the caller. */
function table(options: {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly kind?: string;
}): string {
  const { head, rows, kind = '' } = options;
  const line = (cells: readonly string[], tag: 'th' | 'td'): string =>
    `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
  return `<div class="scroll"><table class="${kind}"><thead>${line(head, 'th')}</thead><tbody>${rows.map((row) => line(row, 'td')).join('')}</tbody></table></div>`;
}

function count(value: number): string {
  return value.toLocaleString('en-GB');
}
