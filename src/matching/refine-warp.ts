/**
 * Where one picture lies in another to a fraction of a pixel, small turns and shears included: Gauss-Newton on grey
 * levels.
 */
import type { Box, Plane } from './grey-plane.js';

/**
 * Where the patch's pixels lie in the field: fractions of the field's width and height, from -1..1 across and down the
 * patch. x = x0 + xu u + xv v, y = y0 + yu u + yv v.
 */
export type Warp = {
  readonly x0: number;
  readonly xu: number;
  readonly xv: number;
  readonly y0: number;
  readonly yu: number;
  readonly yv: number;
};

/** The upright warp of a box. */
export function warpOf({ x, y, width, height }: Box): Warp {
  return { x0: x + width / 2, xu: width / 2, xv: 0, y0: y + height / 2, yu: 0, yv: height / 2 };
}

/** The box about the middle of a warp's edges, within the field. */
export function boxOf({ x0, xu, y0, yv }: Warp): Box {
  const [left, top] = [Math.max(0, x0 - xu), Math.max(0, y0 - yv)];
  return { x: left, y: top, width: Math.min(1, x0 + xu) - left, height: Math.min(1, y0 + yv) - top };
}

/**
 * The field under a warp at the patch's size; `inside` tells pixels that lie in the field from those beyond its
 * border.
 */
export function warped(
  field: Plane,
  { width, height }: { readonly width: number; readonly height: number },
  warp: Warp,
): { readonly values: Float32Array; readonly inside: Uint8Array } {
  const { values: source, width: fieldWidth, height: fieldHeight } = field;
  const values = new Float32Array(width * height);
  const inside = new Uint8Array(width * height);
  const [lastX, lastY] = [fieldWidth - 1, fieldHeight - 1];
  const [stepX, stepY] = [(2 / width) * warp.xu * fieldWidth, (2 / width) * warp.yu * fieldHeight];
  for (let row = 0, to = 0; row < height; row++) {
    const v = ((row + 0.5) / height) * 2 - 1;
    const u = 1 / width - 1;
    let x = (warp.x0 + warp.xu * u + warp.xv * v) * fieldWidth - 0.5;
    let y = (warp.y0 + warp.yu * u + warp.yv * v) * fieldHeight - 0.5;
    for (let column = 0; column < width; column++, to++, x += stepX, y += stepY) {
      if (x > -1 && y > -1 && x < fieldWidth && y < fieldHeight) inside[to] = 1;
      const atX = Math.max(0, Math.min(lastX, x));
      const atY = Math.max(0, Math.min(lastY, y));
      const left = Math.min(lastX - 1, Math.floor(atX));
      const top = Math.min(lastY - 1, Math.floor(atY));
      const [shareX, shareY] = [atX - left, atY - top];
      const from = top * fieldWidth + left;
      const upper = source[from]! + (source[from + 1]! - source[from]!) * shareX;
      const lower = source[from + fieldWidth]! + (source[from + fieldWidth + 1]! - source[from + fieldWidth]!) * shareX;
      values[to] = upper + (lower - upper) * shareY;
    }
  }
  return { values, inside };
}

/** A warp and the correlation, -1..1, of the patch with what lies under it. */
export type Fit = { readonly warp: Warp; readonly correlation: number };

/** Pixels by which a step must move the border of the patch, or it is the last. */
const STEP_MIN = 0.05;

/**
 * The warp moved to where the field fits the patch best. A residual counts the less the larger it is, so what was put
 * over one picture hardly pulls. The given warp where nothing fits better. Source: Baker and Matthews 2004, inverse
 * compositional alignment.
 */
export function refinedWarp(field: Plane, patch: Plane, start: Warp, stepsMax: number): Fit {
  const { width, height, values: wanted } = patch;
  const count = width * height;
  const [across, down] = gradients(patch);
  let warp = start;
  let best = { warp, misfit: Number.POSITIVE_INFINITY, correlation: 0 };
  for (let step = 0; step <= stepsMax; step++) {
    const { values, inside } = warped(field, patch, warp);
    const { residual, misfit, correlation, used } = residuals(wanted, values, inside);
    if (used < count / 2 || misfit >= best.misfit) break;
    best = { warp, misfit, correlation };
    if (step === stepsMax) break;
    const soft = (2 * misfit) ** 2 + 1e-6;
    const normal = new Float64Array(36);
    const right = new Float64Array(6);
    for (let row = 0, at = 0; row < height; row++) {
      const v = ((row + 0.5) / height) * 2 - 1;
      for (let column = 0; column < width; column++, at++) {
        if (inside[at] === 0) continue;
        const gx = across[at]!;
        const gy = down[at]!;
        if (gx === 0 && gy === 0) continue;
        const u = ((column + 0.5) / width) * 2 - 1;
        const r = residual[at]!;
        const weight = 1 / (1 + (r * r) / soft);
        const [wx, wy] = [weight * gx, weight * gy];
        const [xx, xy, yy] = [wx * gx, wx * gy, wy * gy];
        // Only the sums that differ: parameters are (u, v, 1) of the x move, then of the y move.
        const [uu, uv, vv] = [u * u, u * v, v * v];
        normal[0]! += xx * uu;
        normal[1]! += xx * uv;
        normal[2]! += xx * u;
        normal[7]! += xx * vv;
        normal[8]! += xx * v;
        normal[14]! += xx;
        normal[3]! += xy * uu;
        normal[4]! += xy * uv;
        normal[5]! += xy * u;
        normal[10]! += xy * vv;
        normal[11]! += xy * v;
        normal[17]! += xy;
        normal[21]! += yy * uu;
        normal[22]! += yy * uv;
        normal[23]! += yy * u;
        normal[28]! += yy * vv;
        normal[29]! += yy * v;
        normal[35]! += yy;
        right[0]! += wx * r * u;
        right[1]! += wx * r * v;
        right[2]! += wx * r;
        right[3]! += wy * r * u;
        right[4]! += wy * r * v;
        right[5]! += wy * r;
      }
    }
    normal[9] = normal[4]!;
    normal[15] = normal[5]!;
    normal[16] = normal[11]!;
    const move = solved(normal, right);
    if (move === undefined) break;
    warp = composed(warp, move);
    const pixels = Math.max(
      ((Math.abs(move[0]!) + Math.abs(move[1]!) + Math.abs(move[2]!)) * width) / 2,
      ((Math.abs(move[3]!) + Math.abs(move[4]!) + Math.abs(move[5]!)) * height) / 2,
    );
    if (!(pixels < Math.max(width, height) / 6)) break;
    if (pixels < STEP_MIN) break;
  }
  return { warp: best.warp, correlation: best.correlation };
}

/**
 * Field less patch, brought to the patch's mean and deviation; the root of its mean square; and how far the two
 * correlate.
 */
function residuals(
  wanted: Float32Array,
  values: Float32Array,
  inside: Uint8Array,
): { readonly residual: Float32Array; readonly misfit: number; readonly correlation: number; readonly used: number } {
  let used = 0;
  let sumA = 0;
  let sumB = 0;
  let squaresA = 0;
  let squaresB = 0;
  let products = 0;
  for (let at = 0; at < wanted.length; at++) {
    if (inside[at] === 0) continue;
    const a = wanted[at]!;
    const b = values[at]!;
    used++;
    sumA += a;
    sumB += b;
    squaresA += a * a;
    squaresB += b * b;
    products += a * b;
  }
  const count = Math.max(1, used);
  const common = products - (sumA * sumB) / count;
  const spreadA = squaresA - (sumA * sumA) / count;
  const spreadB = squaresB - (sumB * sumB) / count;
  const gain = spreadB > 0 ? Math.max(0, common / spreadB) : 0;
  const shift = (sumA - gain * sumB) / count;
  const residual = new Float32Array(wanted.length);
  for (let at = 0; at < wanted.length; at++)
    if (inside[at] !== 0) residual[at] = gain * values[at]! + shift - wanted[at]!;
  const misfit = Math.sqrt(Math.max(0, spreadA - gain * common) / count);
  return {
    residual,
    misfit,
    correlation: spreadA > 0 && spreadB > 0 ? common / Math.sqrt(spreadA * spreadB) : 0,
    used,
  };
}

/** Central differences, by half the patch's width and height: what one unit of u and of v changes. */
function gradients({ width, height, values }: Plane): readonly [Float32Array, Float32Array] {
  const across = new Float32Array(values.length);
  const down = new Float32Array(values.length);
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      across[at] = ((values[at + 1]! - values[at - 1]!) * width) / 4;
      down[at] = ((values[at + width]! - values[at - width]!) * height) / 4;
    }
  }
  return [across, down];
}

/** The warp after the inverse of a move of the patch: u' = u + m0 u + m1 v + m2, v' = v + m3 u + m4 v + m5. */
function composed(warp: Warp, move: Float64Array): Warp {
  const [a, b, c, d] = [1 + move[0]!, move[1]!, move[3]!, 1 + move[4]!];
  const determinant = a * d - b * c;
  const [ia, ib, ic, id] = [d / determinant, -b / determinant, -c / determinant, a / determinant];
  const tu = -(ia * move[2]! + ib * move[5]!);
  const tv = -(ic * move[2]! + id * move[5]!);
  return {
    x0: warp.x0 + warp.xu * tu + warp.xv * tv,
    xu: warp.xu * ia + warp.xv * ic,
    xv: warp.xu * ib + warp.xv * id,
    y0: warp.y0 + warp.yu * tu + warp.yv * tv,
    yu: warp.yu * ia + warp.yv * ic,
    yv: warp.yu * ib + warp.yv * id,
  };
}

/**
 * Solves normal equations whose upper triangle is given by Cholesky's method; undefined where they do not determine
 * all moves.
 */
function solved(normal: Float64Array, right: Float64Array): Float64Array | undefined {
  const size = right.length;
  const factor = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = normal[column * size + row]!;
      for (let k = 0; k < column; k++) sum -= factor[row * size + k]! * factor[column * size + k]!;
      if (row !== column) factor[row * size + column] = sum / factor[column * size + column]!;
      else if (sum > 1e-9 * normal[row * size + row]!) factor[row * size + row] = Math.sqrt(sum);
      else return undefined;
    }
  }
  const move = Float64Array.from(right);
  for (let row = 0; row < size; row++) {
    for (let k = 0; k < row; k++) move[row]! -= factor[row * size + k]! * move[k]!;
    move[row]! /= factor[row * size + row]!;
  }
  for (let row = size - 1; row >= 0; row--) {
    for (let k = row + 1; k < size; k++) move[row]! -= factor[k * size + row]! * move[k]!;
    move[row]! /= factor[row * size + row]!;
  }
  return move;
}
