import type { ReliabilityBin } from '../src/matching/fit-score-model.js';

/** What one encoder's probabilities are worth. */
export type ReliabilityPanel = {
  readonly name: string;
  readonly nearProbability: number;
  readonly reliability: readonly ReliabilityBin[];
};

const SIDE = 260;
const MARGIN = { left: 56, right: 18, top: 46, bottom: 52 } as const;
const WIDTH = MARGIN.left + SIDE + MARGIN.right;
const HEIGHT = MARGIN.top + SIDE + MARGIN.bottom;
/** Shares of fewer pairs than this are drawn hollow: they may lie anywhere. */
const FEW_PAIRS = 30;

/**
 * Share of copies by the probability that pairs were given, one panel an encoder, one dot a tenth with the number of
 * its pairs (hollow: under 30); on the dashed diagonal a probability is what it says, and right of the upright line
 * results are called near. A bar is the share's 95 % interval (Wilson 1927). Returns a whole SVG file.
 */
export function reliabilityCurves(panels: readonly ReliabilityPanel[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH * panels.length} ${HEIGHT}" font-family="sans-serif" font-size="11" fill="#333">
<title>Share of copies among held-out pairs, by the probability that they were given</title>
<rect width="100%" height="100%" fill="#fff"/>
${panels.map((panel, at) => `<g transform="translate(${at * WIDTH + MARGIN.left} ${MARGIN.top})">${drawn(panel)}</g>`).join('\n')}
</svg>
`;
}

function drawn({ name, nearProbability, reliability }: ReliabilityPanel): string {
  const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1].map(
    (tick) =>
      `<text x="${across(tick)}" y="${SIDE + 16}" text-anchor="middle">${tick}</text><text x="-8" y="${up(tick) + 4}" text-anchor="end">${tick}</text>`,
  );
  const seen = reliability.filter(({ pairs }) => pairs > 0);
  const dots = seen.map(({ probability, copies, pairs }) => {
    const share = copies / pairs;
    const [low, high] = interval(share, pairs);
    const [x, y] = [across(probability), up(share)];
    // Beside the dot; above those at the upper edge, where the next one lies beside.
    const place =
      share > 0.9 ? `x="${x}" y="${y - 8}" text-anchor="middle"` : `x="${x + 8}" y="${y + (share < 0.05 ? -5 : 4)}"`;
    return `<path d="M${x} ${up(low)}V${up(high)}" stroke="#2a6fdb" stroke-opacity="0.5" stroke-width="2"/>
<circle cx="${x}" cy="${y}" r="4" stroke="#2a6fdb" fill="${pairs < FEW_PAIRS ? '#fff' : '#2a6fdb'}"/><text ${place} font-size="9">${pairs.toLocaleString('en-GB')}</text>`;
  });
  const line = seen.map(
    ({ probability, copies, pairs }, at) => `${at === 0 ? 'M' : 'L'}${across(probability)} ${up(copies / pairs)}`,
  );
  return `<text x="${SIDE / 2}" y="-26" text-anchor="middle" font-size="13">${name}</text>
<rect width="${SIDE}" height="${SIDE}" fill="none" stroke="#999"/><path d="M0 ${SIDE}L${SIDE} 0" stroke="#999" stroke-dasharray="4"/>
<path d="M${across(nearProbability)} 0V${SIDE}" stroke="#c2410c"/><text x="${across(nearProbability) + 4}" y="${SIDE - 6}" fill="#c2410c">near</text>
<path d="${line.join('')}" fill="none" stroke="#2a6fdb" stroke-opacity="0.5"/>
${dots.join('\n')}
${ticks.join('')}<text x="${SIDE / 2}" y="${SIDE + 38}" text-anchor="middle">probability of being a copy</text>
<text transform="translate(-38 ${SIDE / 2}) rotate(-90)" text-anchor="middle">share that are copies</text>`;
}

function across(value: number): number {
  return Math.round(value * SIDE * 10) / 10;
}

function up(value: number): number {
  return Math.round((1 - value) * SIDE * 10) / 10;
}

function interval(share: number, count: number): readonly [low: number, high: number] {
  const square = 1.96 ** 2;
  const middle = (share + square / (2 * count)) / (1 + square / count);
  const half = (1.96 / (1 + square / count)) * Math.sqrt((share * (1 - share)) / count + square / (4 * count ** 2));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
