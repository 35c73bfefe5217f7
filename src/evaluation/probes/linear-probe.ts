import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { openGraph, type SmallGraph } from '../../compile/graph-session.js';
import { seededRandom, shuffledIndices } from '../../seeded-random.js';
import { type EmbeddingMatrix, pickRows } from '../embedding-matrix.js';
import { minimise } from './lbfgs.js';
import { accuracyOfScores, classCount, oneHot, type ProbeData, type ProbeResult, standardised } from './probe-data.js';

/** Weights of the L2 penalty (mean loss + penalty / 2 * |w|^2), weakest first. */
const PENALTIES = [1e-4, 1e-3, 1e-2, 1e-1] as const;
const VALIDATION_SHARE = 0.1;
const ITERATIONS_MAX = 100;
/** Relative decrease of the loss that ends a fit: further steps no longer change the accuracy by a tenth of a point. */
const TOLERANCE = 1e-5;

/**
 * Multinomial logistic regression on standardised embeddings: full batch, L-BFGS. The penalty is chosen on a seeded
 * tenth of the training rows, never on the test rows; then all rows are fitted with it. Deterministic. At least 10
 * training rows.
 */
export async function linearProbe(data: ProbeData): Promise<ProbeResult> {
  const { train, test } = standardised(data);
  const classes = classCount(data);
  const session = await openGraph(SOFTMAX_REGRESSION);
  try {
    const order = shuffledIndices(train.rows, seededRandom(data.seed, 'linear probe'));
    const cut = Math.max(1, Math.floor(order.length * VALIDATION_SHARE));
    const part = (rows: Uint32Array): Fit =>
      new Fit({
        session,
        matrix: pickRows(train, rows),
        labels: Array.from(rows, (index) => data.trainLabels[index]!),
        classes,
      });
    const [validation, rest] = [part(order.subarray(0, cut)), part(order.subarray(cut))];
    let chosen = { penalty: 0, accuracy: -1 };
    let weights = new Float64Array((train.dimensions + 1) * classes);
    for (const penalty of PENALTIES.toReversed()) {
      weights = (await rest.minimise(penalty, weights)).point; // each fit starts from the last, stronger one
      const accuracy = await validation.accuracy(weights);
      if (accuracy > chosen.accuracy) chosen = { penalty, accuracy };
    }
    const whole = new Fit({ session, matrix: train, labels: data.trainLabels, classes });
    const { point, iterations } = await whole.minimise(chosen.penalty, new Float64Array(weights.length));
    const held = new Fit({ session, matrix: test, labels: data.testLabels, classes });
    return {
      name: 'linear',
      accuracy: await held.accuracy(point),
      detail: `logistic regression, L2 penalty ${chosen.penalty} chosen on a tenth of the training rows, ${iterations} L-BFGS iterations`,
    };
  } finally {
    await session.release();
  }
}

/**
 * x [N, D], y one-hot [N, C], w [D, C], b [C] to logits, the log probability of each row's class (natural log) and the
 * gradients of the summed cross-entropy.
 */
const SOFTMAX_REGRESSION: SmallGraph = {
  name: 'softmax-regression',
  inputs: [
    { name: 'x', type: 'float32', dims: ['N', 'D'] },
    { name: 'y', type: 'float32', dims: ['N', 'C'] },
    { name: 'w', type: 'float32', dims: ['D', 'C'] },
    { name: 'b', type: 'float32', dims: ['C'] },
    { name: 'rows', type: 'int64', dims: [1] },
    { name: 'columns', type: 'int64', dims: [1] },
  ],
  outputs: [
    { name: 'logits', type: 'float32', dims: ['N', 'C'] },
    { name: 'agreement', type: 'float32', dims: ['N'] },
    { name: 'gw', type: 'float32', dims: ['D', 'C'] },
    { name: 'gb', type: 'float32', dims: ['C'] },
  ],
  nodes: [
    { op: 'Gemm', inputs: ['x', 'w', 'b'], outputs: ['logits'] },
    { op: 'LogSoftmax', inputs: ['logits'], outputs: ['logs'], attributes: { axis: -1 } },
    { op: 'Mul', inputs: ['y', 'logs'], outputs: ['picked'] },
    { op: 'ReduceSum', inputs: ['picked', 'columns'], outputs: ['agreement'], attributes: { keepdims: 0 } },
    { op: 'Exp', inputs: ['logs'], outputs: ['p'] },
    { op: 'Sub', inputs: ['p', 'y'], outputs: ['error'] },
    { op: 'Gemm', inputs: ['x', 'error'], outputs: ['gw'], attributes: { transA: 1 } },
    { op: 'ReduceSum', inputs: ['error', 'rows'], outputs: ['gb'], attributes: { keepdims: 0 } },
  ],
};

/** Rows and labels as inputs of the program. Weights are one vector: w [D, C], then b [C]. */
class Fit {
  readonly #session: InferenceSession;
  readonly #labels: ArrayLike<number>;
  readonly #classes: number;
  readonly #weightCount: number;
  readonly #feeds: InferenceSession.FeedsType;

  constructor(options: {
    readonly session: InferenceSession;
    readonly matrix: EmbeddingMatrix;
    readonly labels: ArrayLike<number>;
    readonly classes: number;
  }) {
    const { matrix, labels, classes } = options;
    this.#session = options.session;
    this.#labels = labels;
    this.#classes = classes;
    this.#weightCount = matrix.dimensions * classes;
    this.#feeds = {
      x: new Tensor('float32', matrix.values, [matrix.rows, matrix.dimensions]),
      y: new Tensor('float32', oneHot(labels, classes), [matrix.rows, classes]),
      rows: new Tensor('int64', BigInt64Array.of(0n), [1]),
      columns: new Tensor('int64', BigInt64Array.of(1n), [1]),
    };
  }

  minimise(penalty: number, start: Float64Array<ArrayBuffer>) {
    return minimise({
      evaluate: (point) => this.#loss(point, penalty),
      start,
      iterationsMax: ITERATIONS_MAX,
      tolerance: TOLERANCE,
    });
  }

  async accuracy(weights: Float64Array): Promise<number> {
    const { logits } = await this.#run(weights);
    return accuracyOfScores(logits, this.#labels, this.#classes);
  }

  /** The penalty excludes biases. Sums over rows are taken in double precision. */
  async #loss(weights: Float64Array, penalty: number) {
    const { agreement, gw, gb } = await this.#run(weights);
    const count = this.#labels.length;
    let value = -agreement.reduce((sum, each) => sum + each, 0) / count;
    const gradient = new Float64Array(weights.length);
    for (let i = 0; i < weights.length; i++) {
      if (i >= this.#weightCount) gradient[i] = gb[i - this.#weightCount]! / count;
      else {
        gradient[i] = gw[i]! / count + penalty * weights[i]!;
        value += (penalty / 2) * weights[i]! ** 2;
      }
    }
    return { value, gradient };
  }

  async #run(weights: Float64Array) {
    const w = Float32Array.from(weights.subarray(0, this.#weightCount));
    const b = Float32Array.from(weights.subarray(this.#weightCount));
    const result = await this.#session.run({
      ...this.#feeds,
      w: new Tensor('float32', w, [this.#weightCount / this.#classes, this.#classes]),
      b: new Tensor('float32', b, [this.#classes]),
    });
    const read = (name: string): Float32Array => result[name]!.data as Float32Array; // all four outputs are float32
    return { logits: read('logits'), agreement: read('agreement'), gw: read('gw'), gb: read('gb') };
  }
}
