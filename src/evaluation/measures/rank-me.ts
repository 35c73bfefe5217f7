/**
 * RankMe: the effective rank of a set of embeddings, a label-free predictor of how well they serve. Source: Garrido et
 * al. 2023 (RankMe: Assessing the Downstream Performance of Pretrained Self-Supervised Representations by Their Rank),
 * equation 1.
 */
import type { EmbeddingMatrix } from '../embedding-matrix.js';

const EPSILON = 1e-7;

/**
 * exp of the entropy of the singular values, 1..dimensions; larger is better, comparable within one dimension and
 * family of encoders only. Cost: rows x dimensions^2 / 2 + 2 dimensions^3.
 */
export function rankMe(matrix: EmbeddingMatrix): number {
  // Singular values are the roots of the eigenvalues of the smaller Gram matrix.
  const eigenvalues = symmetricEigenvalues(smallerGram(matrix));
  const singular = eigenvalues.map((value) => Math.sqrt(Math.max(0, value)));
  const sum = singular.reduce((total, value) => total + value, 0);
  if (sum === 0) return 1;
  return Math.exp(singular.reduce((entropy, value) => entropy - entropyTerm(value / sum + EPSILON), 0));
}

function entropyTerm(share: number): number {
  return share * Math.log(share);
}

type SymmetricMatrix = { readonly size: number; readonly values: Float64Array };

/** X'X or XX', whichever is smaller, in double precision. */
function smallerGram(matrix: EmbeddingMatrix): SymmetricMatrix {
  const { rows, dimensions, values } = matrix;
  const byColumns = dimensions <= rows;
  const size = byColumns ? dimensions : rows;
  const length = byColumns ? rows : dimensions;
  const vectors = Array.from({ length: size }, (_, a) =>
    Float64Array.from({ length }, (_, i) => values[byColumns ? i * dimensions + a : a * dimensions + i]!),
  );
  const gram = new Float64Array(size * size);
  for (let a = 0; a < size; a++) {
    for (let b = a; b < size; b++) {
      const [left, right] = [vectors[a]!, vectors[b]!];
      let sum = 0;
      for (let i = 0; i < length; i++) sum += left[i]! * right[i]!;
      gram[a * size + b] = sum;
      gram[b * size + a] = sum;
    }
  }
  return { size, values: gram };
}

/**
 * Eigenvalues of a symmetric matrix, unordered: Householder reduction to tridiagonal form, then implicit QL steps.
 * `values` is overwritten. Without the eigenvectors, which ml-matrix always computes, it takes a fifth of the time.
 * Source: Wilkinson and Reinsch 1971 (tred2 and tql2 of EISPACK).
 */
export function symmetricEigenvalues(matrix: SymmetricMatrix): Float64Array {
  const { diagonal, offDiagonal } = tridiagonal(matrix);
  return qlEigenvalues(diagonal, offDiagonal);
}

type Tridiagonal = { readonly diagonal: Float64Array; readonly offDiagonal: Float64Array };

/** offDiagonal[i] stands between i and i + 1; its last entry is 0. */
function tridiagonal(matrix: SymmetricMatrix): Tridiagonal {
  const { size: n, values: a } = matrix;
  const diagonal = new Float64Array(n);
  const offDiagonal = new Float64Array(n);
  const v = new Float64Array(n);
  const p = new Float64Array(n);
  for (let k = 0; k < n - 2; k++) {
    let squares = 0;
    for (let i = k + 1; i < n; i++) squares += a[i * n + k]! ** 2;
    const head = a[(k + 1) * n + k]!;
    const alpha = head > 0 ? -Math.sqrt(squares) : Math.sqrt(squares);
    offDiagonal[k] = alpha;
    const vSquares = squares - alpha * head; // |v|^2 / 2
    if (vSquares <= 0) continue;
    for (let i = k + 1; i < n; i++) v[i] = a[i * n + k]!;
    v[k + 1] = head - alpha;
    // A <- H A H with H = I - v v' / vSquares, on the trailing block: A - v w' - w v'.
    let vp = 0;
    for (let i = k + 1; i < n; i++) {
      let sum = 0;
      for (let j = k + 1; j < n; j++) sum += a[i * n + j]! * v[j]!;
      p[i] = sum / vSquares;
      vp += p[i]! * v[i]!;
    }
    const half = vp / (2 * vSquares);
    for (let i = k + 1; i < n; i++) p[i] = p[i]! - half * v[i]!;
    for (let i = k + 1; i < n; i++) {
      const [vi, pi] = [v[i]!, p[i]!];
      for (let j = k + 1; j < n; j++) a[i * n + j] = a[i * n + j]! - vi * p[j]! - pi * v[j]!;
    }
  }
  for (let i = 0; i < n; i++) diagonal[i] = a[i * n + i]!;
  if (n > 1) offDiagonal[n - 2] = a[(n - 1) * n + n - 2]!;
  return { diagonal, offDiagonal };
}

const QL_STEPS_MAX = 60;

function qlEigenvalues(d: Float64Array, e: Float64Array): Float64Array {
  const n = d.length;
  for (let l = 0; l < n; l++) {
    for (let step = 0; ; step++) {
      let m = l;
      while (m < n - 1 && Math.abs(e[m]!) > Number.EPSILON * (Math.abs(d[m]!) + Math.abs(d[m + 1]!))) m++;
      if (m === l) break;
      if (step === QL_STEPS_MAX)
        throw new Error('The eigenvalues do not converge; is there a number that is not finite? This is a bug.');
      let g = (d[l + 1]! - d[l]!) / (2 * e[l]!);
      let r = Math.hypot(g, 1);
      g = d[m]! - d[l]! + e[l]! / (g + (g >= 0 ? r : -r));
      let [s, c, p] = [1, 1, 0];
      let i = m - 1;
      for (; i >= l; i--) {
        const f = s * e[i]!;
        const b = c * e[i]!;
        r = Math.hypot(f, g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1] = d[i + 1]! - p;
          e[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1]! - p;
        r = (d[i]! - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
      }
      if (r === 0 && i >= l) continue;
      d[l] = d[l]! - p;
      e[l] = g;
      e[m] = 0;
    }
  }
  return d;
}
