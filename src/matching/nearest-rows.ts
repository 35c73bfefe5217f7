/**
 * The nearest rows of each row, best first: `indices` and `similarities` (cosine, -1..1) are [rows, k]. A row is not
 * among its own.
 */
export type NearestRows = {
  readonly rows: number;
  readonly k: number;
  readonly indices: Uint32Array;
  readonly similarities: Float32Array;
};

/**
 * Every row's `k` nearest others by cosine, exactly, equal ones by index. `values`: [rows, dimensions], rows of length
 * 1. For samples: it takes rows^2 x dimensions steps (about a second for 2,000 x 256) and, beside its answer, memory
 * for one row of similarities.
 */
export function nearestRows(options: {
  readonly values: Float32Array;
  readonly dimensions: number;
  readonly k: number;
}): NearestRows {
  const { values, dimensions, k } = options;
  const rows = values.length / dimensions;
  if (!Number.isInteger(rows) || k < 1 || k >= rows)
    throw new Error(`No ${k} others among ${rows} rows. This is a bug.`);
  const indices = new Uint32Array(rows * k);
  const similarities = new Float32Array(rows * k);
  for (let row = 0; row < rows; row++) {
    const place = row * k;
    let held = 0;
    for (let other = 0; other < rows; other++) {
      if (other === row) continue;
      const similarity = dotProduct(values, row * dimensions, other * dimensions, dimensions);
      if (held === k && similarity <= similarities[place + k - 1]!) continue;
      // k is small: insertion from the worst end.
      let at = held < k ? held++ : k - 1;
      for (; at > 0 && similarities[place + at - 1]! < similarity; at--) {
        similarities[place + at] = similarities[place + at - 1]!;
        indices[place + at] = indices[place + at - 1]!;
      }
      similarities[place + at] = similarity;
      indices[place + at] = other;
    }
  }
  return { rows, k, indices, similarities };
}

/** The cosine of two vectors of length 1. */
export function cosineOf(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + value * b[at]!, 0);
}

/** Rounded to single precision, as it is kept: or a neighbour equal to the worst one held would seem better than it. */
function dotProduct(values: Float32Array, first: number, second: number, length: number): number {
  let sum = 0;
  for (let index = 0; index < length; index++) sum += values[first + index]! * values[second + index]!;
  return Math.fround(sum);
}
