/** A value to minimise, with its gradient. */
export type ValueAndGradient = { readonly value: number; readonly gradient: Float64Array };

const MEMORY = 10;
const ARMIJO = 1e-4;
const HALVINGS_MAX = 30;

/**
 * Minimises a smooth convex function by limited-memory BFGS with a halving line search, from `start`; deterministic.
 * Stops where the relative decrease of a step falls below `tolerance`, where no step along the direction decreases the
 * value (rounding), or after `iterationsMax`. Source: Nocedal and Wright, Numerical Optimization, algorithm 7.4.
 */
export async function minimise(options: {
  readonly evaluate: (point: Float64Array<ArrayBuffer>) => Promise<ValueAndGradient>;
  readonly start: Float64Array<ArrayBuffer>;
  readonly iterationsMax: number;
  readonly tolerance: number;
}): Promise<{ readonly point: Float64Array<ArrayBuffer>; readonly value: number; readonly iterations: number }> {
  const { evaluate, iterationsMax, tolerance } = options;
  let point = options.start;
  let current = await evaluate(point);
  const pairs: { readonly step: Float64Array; readonly change: Float64Array; readonly curvature: number }[] = [];
  for (let iteration = 0; iteration < iterationsMax; iteration++) {
    const direction = current.gradient.map((value) => -value);
    const alphas = pairs.map(() => 0);
    for (let i = pairs.length - 1; i >= 0; i--) {
      const { step, change, curvature } = pairs[i]!;
      alphas[i] = dot(step, direction) / curvature;
      addScaled(direction, change, -alphas[i]!);
    }
    const last = pairs.at(-1);
    // no curvature known yet: a step of length 1 at most
    const scale = last
      ? last.curvature / dot(last.change, last.change)
      : 1 / Math.max(1, Math.sqrt(dot(direction, direction)));
    for (let i = 0; i < direction.length; i++) direction[i] = direction[i]! * scale;
    pairs.forEach(({ step, change, curvature }, i) => {
      addScaled(direction, step, alphas[i]! - dot(change, direction) / curvature);
    });

    const slope = dot(direction, current.gradient);
    let size = 1;
    let next: ValueAndGradient | undefined;
    let nextPoint = point;
    for (let halving = 0; halving < HALVINGS_MAX && !next; halving++, size /= 2) {
      nextPoint = Float64Array.from(point);
      addScaled(nextPoint, direction, size);
      const tried = await evaluate(nextPoint);
      if (tried.value <= current.value + ARMIJO * size * slope) next = tried;
    }
    if (!next) return { point, value: current.value, iterations: iteration };
    const step = nextPoint.map((value, i) => value - point[i]!);
    const change = next.gradient.map((value, i) => value - current.gradient[i]!);
    const curvature = dot(step, change);
    if (curvature > 1e-12 * dot(change, change)) pairs.push({ step, change, curvature });
    if (pairs.length > MEMORY) pairs.shift();
    const decrease = (current.value - next.value) / Math.max(1, Math.abs(current.value));
    [point, current] = [nextPoint, next];
    if (decrease < tolerance) return { point, value: current.value, iterations: iteration + 1 };
  }
  return { point, value: current.value, iterations: iterationsMax };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function addScaled(target: Float64Array, vector: Float64Array, factor: number): void {
  for (let i = 0; i < target.length; i++) target[i] = target[i]! + factor * vector[i]!;
}
