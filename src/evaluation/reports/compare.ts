/** A table that compares encoders. */
import type { EvaluationReport } from '../evaluation-report.js';
import { escapeHtml } from './html-text.js';
import { reportPage } from './report-page.js';

/** A column: its value in a report, undefined where not measured, and which end is better. */
type Column = {
  readonly title: string;
  readonly better: 'larger' | 'smaller' | 'neither';
  readonly value: (report: EvaluationReport) => number | null | undefined;
  readonly show: (value: number) => string;
};

const share = (value: number): string => (value * 100).toFixed(1);
const fixed =
  (digits: number) =>
  (value: number): string =>
    value.toFixed(digits);

const vote =
  (k: number): Column['value'] =>
  (report) =>
    cosine(report)?.votes.find((each) => each.k === k)?.accuracy;
const probe =
  (name: string): Column['value'] =>
  (report) =>
    report.probes.find((each) => each.name === name)?.accuracy;

const COLUMNS: readonly Column[] = [
  { title: 'kNN 200', better: 'larger', value: vote(200), show: share },
  { title: 'kNN 20', better: 'larger', value: vote(20), show: share },
  { title: '1-NN', better: 'larger', value: vote(1), show: share },
  { title: 'P@10', better: 'larger', value: (report) => cosine(report)?.precisionAt10, show: share },
  { title: 'P@100', better: 'larger', value: (report) => cosine(report)?.precisionAt100, show: share },
  { title: 'MAP@R', better: 'larger', value: (report) => cosine(report)?.mapAtR, show: share },
  { title: 'mAP@1000', better: 'larger', value: (report) => cosine(report)?.mapAt1000, show: share },
  { title: 'linear', better: 'larger', value: probe('linear'), show: share },
  { title: 'MLP', better: 'larger', value: probe('MLP(200)'), show: share },
  { title: 'copies R@1', better: 'larger', value: (report) => report.copies?.recallAt1, show: share },
  { title: 'copies µAP', better: 'larger', value: (report) => report.copies?.microAp, show: fixed(3) },
  { title: 'RankMe', better: 'neither', value: (report) => report.geometry.rankMe, show: fixed(0) },
  { title: 'hubness', better: 'smaller', value: (report) => report.geometry.hubness?.skewness, show: fixed(2) },
  { title: 'dimensions', better: 'neither', value: (report) => report.encoder.dimensions, show: fixed(0) },
  { title: 'ms/image', better: 'neither', value: (report) => report.timing.encodeMsPerImage, show: fixed(2) },
];

/** A comparison as text: one row per encoder, the best of each column marked. Percentages without the sign. */
export type Comparison = {
  readonly columns: readonly string[];
  readonly rows: readonly {
    readonly name: string;
    readonly cells: readonly { readonly text: string; readonly isBest: boolean }[];
  }[];
  /** Reasons why rows are not comparable: other data, protocol or numbers of images. */
  readonly warnings: readonly string[];
};

/**
 * Compares at least one report, in the order given. Columns that no report measured are left out, and those that
 * `titles` does not name. RankMe, size and time are never "best".
 */
export function compareReports(reports: readonly EvaluationReport[], titles?: readonly string[]): Comparison {
  const columns = COLUMNS.filter(
    ({ title, value }) => (titles?.includes(title) ?? true) && reports.some((report) => isMeasured(value(report))),
  );
  const best = columns.map((column) => {
    const values = reports.map(column.value).filter(isMeasured);
    if (column.better === 'neither' || values.length < 2) return undefined;
    return column.better === 'larger' ? Math.max(...values) : Math.min(...values);
  });
  const rows = reports.map((report) => ({
    name: report.encoder.name,
    cells: columns.map((column, index) => {
      const value = column.value(report);
      // compared as displayed, so equal texts tie
      const text = isMeasured(value) ? column.show(value) : '–';
      return { text, isBest: best[index] !== undefined && text === column.show(best[index]) };
    }),
  }));
  return { columns: columns.map((column) => column.title), rows, warnings: warningsOf(reports) };
}

/** The table in Markdown, for model cards and the README; names are escaped. */
export function comparisonMarkdown({ columns, rows, warnings }: Comparison): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const body = rows.map(({ name, cells }) =>
    line([
      name.replaceAll(/[\\|*_`<\n]/g, '\\$&'),
      ...cells.map(({ text, isBest }) => (isBest ? `**${text}**` : text)),
    ]),
  );
  const notes = warnings.map((warning) => `\n> ${warning}`);
  return [line(['encoder', ...columns]), line(['---', ...columns.map(() => '---:')]), ...body, ...notes]
    .join('\n')
    .concat('\n');
}

/** The table as a page, with the sheets of the same title below each other. */
export function renderComparison(reports: readonly EvaluationReport[]): string {
  const { columns, rows, warnings } = compareReports(reports);
  const cells = rows.map(
    ({ name, cells }) =>
      `<tr><td>${escapeHtml(name)}</td>${cells.map(({ text, isBest }) => `<td>${isBest ? `<b>${text}</b>` : text}</td>`).join('')}</tr>`,
  );
  const notes = warnings.map((warning) => `<p><strong>Not comparable:</strong> ${escapeHtml(warning)}</p>`);
  const titles = [...new Set(reports.flatMap((report) => report.sheets.map((sheet) => sheet.title)))];
  const sheets = titles.map((title) => {
    const figures = reports.flatMap(({ encoder, sheets }) =>
      sheets
        .filter((sheet) => sheet.title === title)
        .map(
          ({ mediaType, width, height, base64 }) =>
            `<figure class="sheet"><figcaption>${escapeHtml(encoder.name)}</figcaption><img src="data:${escapeHtml(mediaType)};base64,${escapeHtml(base64)}" width="${width}" height="${height}" alt="${escapeHtml(`${title}: ${encoder.name}`)}"></figure>`,
        ),
    );
    return `<section><h2>${escapeHtml(title)}</h2>${figures.join('')}</section>`;
  });
  const data = reports[0]?.data.name ?? '';
  return reportPage({
    title: `Encoders on ${data}`,
    body: `<h1>Encoders on ${escapeHtml(data)}</h1><p class="soft">Percentages but for µAP, RankMe and hubness. The best of each column stands out.</p>${notes.join('')}
<div class="scroll"><table><thead><tr><th>encoder</th>${columns.map((column) => `<th>${column}</th>`).join('')}</tr></thead><tbody>${cells.join('')}</tbody></table></div>${sheets.join('')}`,
  });
}

function warningsOf(reports: readonly EvaluationReport[]): string[] {
  const first = reports[0];
  return reports.slice(1).flatMap((report) => {
    const [data, other] = [first!.data, report.data];
    const isSame =
      data.name === other.name &&
      data.protocol === other.protocol &&
      data.databaseImages === other.databaseImages &&
      data.queryImages === other.queryImages;
    if (isSame && first!.seed === report.seed) return [];
    return [
      `${report.encoder.name} was measured on ${describe(report)}, ${first!.encoder.name} on ${describe(first!)}.`,
    ];
  });
}

function describe({ data, seed }: EvaluationReport): string {
  return `${data.name} (${data.protocol}, ${data.queryImages} in ${data.databaseImages}, seed ${seed})`;
}

function cosine(report: EvaluationReport): EvaluationReport['classes'][number] | undefined {
  return report.classes.find((each) => each.metric === 'cosine');
}

function isMeasured(value: number | null | undefined): value is number {
  return value !== null && value !== undefined;
}
