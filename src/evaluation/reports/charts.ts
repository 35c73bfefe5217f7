/** Plots as inline SVG without scripts or requests. Their classes take colours from the page's style sheet. */

import type { ScoreHistogram } from '../measures/score-histogram.js';
import { escapeHtml } from './html-text.js';

const WIDTH = 460;
const HEIGHT = 250;
const MARGIN = { top: 12, right: 14, bottom: 40, left: 50 } as const;
const INNER = { width: WIDTH - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom } as const;
/** Colours of the page for classes and curves; beyond these they repeat. */
const SERIES_COLOURS = 10;

type Series = { readonly name: string; readonly points: readonly (readonly [x: number, y: number])[] };
type Scale = (value: number) => number;
type Range = readonly [low: number, high: number];

/**
 * Lines over a common axis, with dots where they have few points. Points are in order of x; a plot without points says
 * so.
 */
export function lineChart(options: {
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly series: readonly Series[];
  readonly xRange?: Range;
  readonly yRange?: Range;
}): string {
  const all = options.series.flatMap((series) => series.points.filter((point) => point.every(Number.isFinite)));
  if (all.length === 0) return frame({ ...options, x: [0, 1], y: [0, 1], body: '' });
  const x = options.xRange ?? rangeOf(all.map((point) => point[0]));
  const y = options.yRange ?? rangeOf(all.map((point) => point[1]));
  const [toX, toY] = [across(x), up(y)];
  const body = options.series.map(({ points }, index) => {
    const places = points
      .filter((point) => point.every(Number.isFinite))
      .map(([px, py]) => [toX(px), toY(py)] as const);
    const path = `<path class="line s${index % SERIES_COLOURS}" d="${places.map(([px, py], i) => `${i ? 'L' : 'M'}${round(px)} ${round(py)}`).join('')}"/>`;
    const dots =
      places.length > 60
        ? ''
        : places
            .map(
              ([px, py]) => `<circle class="f${index % SERIES_COLOURS}" cx="${round(px)}" cy="${round(py)}" r="2.5"/>`,
            )
            .join('');
    return path + dots;
  });
  const plot = frame({ ...options, x, y, body: body.join('') });
  return plot + (options.series.length > 1 ? legend(options.series.map((series) => series.name)) : '');
}

/** Right and wrong best results by score, as overlapping areas, each normalised to its own total. */
export function histogramChart(options: {
  readonly title: string;
  readonly xTitle: string;
  readonly histogram: ScoreHistogram;
}): string {
  const { low, high, right, wrong } = options.histogram;
  const total = Math.max(1, sum(right) + sum(wrong));
  const tallest = Math.max(1, ...right, ...wrong) / total;
  const [x, y] = [widened([low, high]), [0, tallest] as const];
  const [toX, toY] = [across(x), up(y)];
  const width = (high - low) / right.length;
  const steps = (counts: readonly number[], kind: string): string => {
    const corners = counts.flatMap((count, bin) =>
      [0, 1].map((side) => `L${round(toX(low + (bin + side) * width))} ${round(toY(count / total))}`),
    );
    return `<path class="area ${kind}" d="M${round(toX(low))} ${round(toY(0))}${corners.join('')}L${round(toX(high))} ${round(toY(0))}Z"/>`;
  };
  const body = steps(wrong, 'wrong') + steps(right, 'right');
  return (
    frame({ ...options, yTitle: 'share of queries', x, y, body }) +
    keys([
      ['right', 'right answer first'],
      ['wrong', 'wrong answer first'],
    ])
  );
}

/** Precision of the best results by score. Bins of fewer than 5 results are left out. */
export function reliabilityChart(options: {
  readonly title: string;
  readonly xTitle: string;
  readonly histogram: ScoreHistogram;
}): string {
  const { low, high, right, wrong } = options.histogram;
  const width = (high - low) / right.length;
  const points = right.flatMap((count, bin) => {
    const answers = count + wrong[bin]!;
    return answers >= RELIABLE_ANSWERS ? [[low + (bin + 0.5) * width, count / answers] as const] : [];
  });
  return lineChart({
    ...options,
    yTitle: 'share right',
    series: [{ name: 'share right', points }],
    xRange: widened([low, high]),
    yRange: [0, 1],
  });
}
const RELIABLE_ANSWERS = 5;

/** One horizontal bar per row, 0..1, with its value written beside it. */
export function barChart(options: {
  readonly title: string;
  readonly rows: readonly { readonly name: string; readonly value: number }[];
}): string {
  const { title, rows } = options;
  const line = 22;
  const [left, right] = [110, 60];
  const span = WIDTH - left - right;
  const bars = rows.map(({ name, value }, index) => {
    const y = index * line;
    return `<text class="tick" x="${left - 8}" y="${y + 15}" text-anchor="end">${escapeHtml(name)}</text>
<rect class="track" x="${left}" y="${y + 4}" width="${span}" height="14" rx="2"/>
<rect class="f0" x="${left}" y="${y + 4}" width="${round(span * value)}" height="14" rx="2"/>
<text class="value" x="${left + span + 8}" y="${y + 15}">${(value * 100).toFixed(1)} %</text>`;
  });
  const height = rows.length * line + 4;
  return `<figure><figcaption>${escapeHtml(title)}</figcaption><svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeHtml(title)}">${bars.join('')}</svg></figure>`;
}

/** Points in the unit square, coloured by class; grey without labels. y points up. */
export function scatterChart(options: {
  readonly title: string;
  readonly points: readonly { readonly x: number; readonly y: number; readonly label: number | null }[];
  readonly classes: readonly string[];
}): string {
  const { title, points, classes } = options;
  const side = 640;
  const at = (value: number): number => round(12 + value * (side - 24));
  const dots = points.map(({ x, y, label }) => {
    const name = label === null ? '' : `<title>${escapeHtml(classes[label] ?? String(label))}</title>`;
    return `<circle class="${label === null ? 'unlabelled' : `f${label % SERIES_COLOURS}`}" cx="${at(x)}" cy="${at(1 - y)}" r="3">${name}</circle>`;
  });
  const named = classes.length <= SERIES_COLOURS ? legend(classes) : '';
  return `<figure class="map"><figcaption>${escapeHtml(title)}</figcaption><svg viewBox="0 0 ${side} ${side}" role="img" aria-label="${escapeHtml(title)}"><rect class="ground" width="${side}" height="${side}" rx="6"/><g class="dots">${dots.join('')}</g></svg>${named}</figure>`;
}

function frame(options: {
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly x: Range;
  readonly y: Range;
  readonly body: string;
}): string {
  const { title, xTitle, yTitle, x, y, body } = options;
  const [toX, toY] = [across(x), up(y)];
  const bottom = HEIGHT - MARGIN.bottom;
  const yTicks = ticks(y).map((value) => {
    const at = round(toY(value));
    return `<line class="grid" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}"/><text class="tick" x="${MARGIN.left - 7}" y="${at + 4}" text-anchor="end">${label(value)}</text>`;
  });
  const xTicks = ticks(x).map((value) => {
    const at = round(toX(value));
    return `<line class="axis" x1="${at}" x2="${at}" y1="${bottom}" y2="${bottom + 4}"/><text class="tick" x="${at}" y="${bottom + 17}" text-anchor="middle">${label(value)}</text>`;
  });
  const middle = MARGIN.top + INNER.height / 2;
  return `<figure><figcaption>${escapeHtml(title)}</figcaption><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">
${yTicks.join('')}${body || `<text class="tick" x="${WIDTH / 2}" y="${middle}" text-anchor="middle">nothing to plot</text>`}
<line class="axis" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${bottom}" y2="${bottom}"/>${xTicks.join('')}
<text class="title" x="${MARGIN.left + INNER.width / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escapeHtml(xTitle)}</text>
<text class="title" transform="translate(11 ${middle}) rotate(-90)" text-anchor="middle">${escapeHtml(yTitle)}</text></svg></figure>`;
}

function legend(names: readonly string[]): string {
  return keys(names.map((name, index) => [`s${index % SERIES_COLOURS}`, name] as const));
}

function keys(entries: readonly (readonly [kind: string, name: string])[]): string {
  return `<ul class="legend">${entries.map(([kind, name]) => `<li><i class="key ${kind}"></i>${escapeHtml(name)}</li>`).join('')}</ul>`;
}

function across(range: Range): Scale {
  return (value) => MARGIN.left + ((value - range[0]) / (range[1] - range[0])) * INNER.width;
}

function up(range: Range): Scale {
  return (value) => MARGIN.top + INNER.height - ((value - range[0]) / (range[1] - range[0])) * INNER.height;
}

function rangeOf(values: readonly number[]): Range {
  const low = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  return widened([low, values.reduce((most, value) => Math.max(most, value), low)]);
}

function widened([low, high]: Range): Range {
  return high > low ? [low, high] : [low - 0.5, low + 0.5];
}

/** Three to six round numbers within the range: steps of 1, 2 or 5 times a power of ten. */
function ticks([low, high]: Range): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, index) => (first + index) * step);
}

function label(value: number): string {
  return Math.abs(value) >= 100_000 ? value.toExponential(0) : String(Number(value.toPrecision(4)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
