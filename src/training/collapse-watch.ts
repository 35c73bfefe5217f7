/**
 * Whether the codes still tell images apart, measured without labels on the codes of single batches. A loss can fall while all codes become
 * one, or lie on one line; then training must stop rather than save that.
 */

/**
 * spread: median over dimensions of the standard deviation of the unit codes, times the root of their number; 1 is an even spread over the
 * sphere, 0 is one point. effectiveRank: of the centred unit codes, (sum of variances)^2 / sum of squared variances over principal axes, 1..D.
 */
export type CodeHealth = { readonly spread: number; readonly effectiveRank: number };

/** Below either, codes of different images are the same for any search. */
export const COLLAPSED: CodeHealth = { spread: 0.01, effectiveRank: 1.1 };
/** So many unhealthy looks in a row are a collapse; a single batch may mislead. */
export const COLLAPSED_LOOKS = 3;

/** Measures codes [rows, dimensions], at least 2 rows. The participation ratio stands for RankMe: no eigenvalues needed. O(rows^2 D). */
export function codeHealth(codes: Float32Array, dimensions: number): CodeHealth {
  const rows = codes.length / dimensions;
  const unit = centredUnitRows(codes, dimensions);
  const deviations = new Float64Array(dimensions);
  for (let i = 0; i < unit.length; i++) deviations[i % dimensions] = deviations[i % dimensions]! + unit[i]! ** 2;
  for (let i = 0; i < dimensions; i++) deviations[i] = Math.sqrt((deviations[i]! * dimensions) / rows);
  let trace = 0;
  let squares = 0;
  for (let a = 0; a < rows; a++) {
    for (let b = a; b < rows; b++) {
      let product = 0;
      for (let i = 0; i < dimensions; i++) product += unit[a * dimensions + i]! * unit[b * dimensions + i]!;
      squares += (a === b ? 1 : 2) * product * product;
      if (a === b) trace += product;
    }
  }
  return { spread: deviations.sort()[dimensions >> 1]!, effectiveRank: squares > 0 ? (trace * trace) / squares : 0 };
}

function centredUnitRows(codes: Float32Array, dimensions: number): Float64Array {
  const rows = codes.length / dimensions;
  const unit = Float64Array.from(codes);
  const mean = new Float64Array(dimensions);
  for (let start = 0; start < unit.length; start += dimensions) {
    let norm = 0;
    for (let i = start; i < start + dimensions; i++) norm += unit[i]! ** 2;
    const scale = norm > 0 ? 1 / Math.sqrt(norm) : 0;
    for (let i = 0; i < dimensions; i++) {
      unit[start + i] = unit[start + i]! * scale;
      mean[i] = mean[i]! + unit[start + i]! / rows;
    }
  }
  for (let i = 0; i < unit.length; i++) unit[i] = unit[i]! - mean[i % dimensions]!;
  return unit;
}
