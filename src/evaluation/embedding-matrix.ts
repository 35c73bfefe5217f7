/** Embeddings in one array, rows x dimensions, row by row; not necessarily of unit norm. */
export type EmbeddingMatrix = { readonly rows: number; readonly dimensions: number; readonly values: Float32Array };

/** Wraps a typed array; throws where its length is not rows x dimensions. Nothing is copied. */
export function embeddingMatrix(values: Float32Array, dimensions: number): EmbeddingMatrix {
  const rows = values.length / dimensions;
  if (!Number.isInteger(rows))
    throw new Error(`${values.length} numbers are not rows of ${dimensions}. This is a bug.`);
  return { rows, dimensions, values };
}

/** Row `index` as a view on the matrix, not a copy. */
export function row(matrix: EmbeddingMatrix, index: number): Float32Array {
  return matrix.values.subarray(index * matrix.dimensions, (index + 1) * matrix.dimensions);
}

/** A new matrix of the named rows, in the order named. */
export function pickRows(matrix: EmbeddingMatrix, indices: ArrayLike<number>): EmbeddingMatrix {
  const { dimensions } = matrix;
  const values = new Float32Array(indices.length * dimensions);
  for (let i = 0; i < indices.length; i++) values.set(row(matrix, indices[i]!), i * dimensions);
  return { rows: indices.length, dimensions, values };
}

/**
 * A copy with every row scaled to L2 norm 1. A row of zeros stays zero: it is equally far from everything, and its
 * cosine is 0.
 */
export function unitRows(matrix: EmbeddingMatrix): EmbeddingMatrix {
  const values = Float32Array.from(matrix.values);
  for (let start = 0; start < values.length; start += matrix.dimensions) {
    let squares = 0;
    for (let i = start; i < start + matrix.dimensions; i++) squares += values[i]! * values[i]!;
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let i = start; i < start + matrix.dimensions; i++) values[i] = values[i]! * scale;
  }
  return { ...matrix, values };
}

/** Mean of the rows, accumulated in double precision. */
export function meanRow(matrix: EmbeddingMatrix): Float64Array {
  const mean = new Float64Array(matrix.dimensions);
  for (let start = 0; start < matrix.values.length; start += matrix.dimensions) {
    for (let i = 0; i < matrix.dimensions; i++) mean[i] = mean[i]! + matrix.values[start + i]!;
  }
  return mean.map((sum) => sum / Math.max(1, matrix.rows));
}

/** A copy with `mean` subtracted from every row. */
export function subtractRow(matrix: EmbeddingMatrix, mean: Float64Array): EmbeddingMatrix {
  const values = new Float32Array(matrix.values.length);
  for (let start = 0; start < values.length; start += matrix.dimensions) {
    for (let i = 0; i < matrix.dimensions; i++) values[start + i] = matrix.values[start + i]! - mean[i]!;
  }
  return { ...matrix, values };
}

/** Throws where an embedding holds a NaN or an infinity, naming the first bad row. Returns the matrix. */
export function finiteRows(matrix: EmbeddingMatrix, name: string): EmbeddingMatrix {
  const bad = matrix.values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new Error(
      `${name}: row ${Math.floor(bad / matrix.dimensions)} holds ${matrix.values[bad]}, not a finite number.`,
    );
  return matrix;
}
