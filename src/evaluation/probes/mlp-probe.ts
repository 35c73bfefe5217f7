import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { openGraph, type SmallGraph } from '../../compile/graph-session.js';
import type { OnnxNode } from '../../compile/onnx-model.js';
import { seededRandom, shuffledIndices } from '../../seeded-random.js';
import { type EmbeddingMatrix, pickRows } from '../embedding-matrix.js';
import { accuracyOfScores, classCount, oneHot, type ProbeData, type ProbeResult, standardised } from './probe-data.js';

const HIDDEN = 200;
const DROPOUT = 0.1;
const EPOCHS = 30;
const BATCH_SIZE = 250;
const LEARNING_RATE = 1e-3;
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

/**
 * The probe of the Deep InfoMax paper's tables: one hidden layer of 200 rectified units, dropout 0.1, on standardised
 * embeddings; Adam, learning rate falling along a half cosine to 0. Only to compare with those tables. Deterministic by
 * seed. Source: Hjelm et al. 2019, section 4.1 (epochs, batch and rate are ours).
 */
export async function mlpProbe(data: ProbeData): Promise<ProbeResult> {
  const { train, test } = standardised(data);
  const classes = classCount(data);
  const random = seededRandom(data.seed, 'MLP probe');
  const learning = await openGraph(LEARNING);
  const scoring = await openGraph(SCORING);
  try {
    const weights = initialWeights(train.dimensions, classes, random);
    const steps = EPOCHS * Math.ceil(train.rows / BATCH_SIZE);
    let step = 0;
    for (let epoch = 0; epoch < EPOCHS; epoch++) {
      const order = shuffledIndices(train.rows, random);
      for (let first = 0; first < order.length; first += BATCH_SIZE) {
        const rows = order.subarray(first, first + BATCH_SIZE);
        const labels = Array.from(rows, (index) => data.trainLabels[index]!);
        const gradients = await learning.run({
          ...feedsOf(weights),
          x: matrixTensor(pickRows(train, rows)),
          y: new Tensor('float32', oneHot(labels, classes), [rows.length, classes]),
          mask: new Tensor('float32', dropoutMask(rows.length * HIDDEN, random), [rows.length, HIDDEN]),
          rows: new Tensor('int64', BigInt64Array.of(0n), [1]),
        });
        const rate = LEARNING_RATE * 0.5 * (1 + Math.cos((Math.PI * step) / steps));
        step++;
        for (const weight of weights) {
          const gradient = gradients[`g${weight.name}`]!.data as Float32Array; // the program's outputs are float32
          adamStep(weight, { gradient, scale: 1 / rows.length, rate, step });
        }
      }
    }
    const accuracy = await score({ session: scoring, weights, test, labels: data.testLabels, classes });
    return {
      name: `MLP(${HIDDEN})`,
      accuracy,
      detail: `one hidden layer, dropout ${DROPOUT}, Adam ${LEARNING_RATE}, ${EPOCHS} epochs of batches of ${BATCH_SIZE}`,
    };
  } finally {
    await learning.release();
    await scoring.release();
  }
}

/** A weight with Adam's moments. */
type Weight = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
};

const INPUTS = {
  x: { name: 'x', type: 'float32', dims: ['N', 'D'] },
  w1: { name: 'w1', type: 'float32', dims: ['D', 'H'] },
  b1: { name: 'b1', type: 'float32', dims: ['H'] },
  w2: { name: 'w2', type: 'float32', dims: ['H', 'C'] },
  b2: { name: 'b2', type: 'float32', dims: ['C'] },
  y: { name: 'y', type: 'float32', dims: ['N', 'C'] },
  mask: { name: 'mask', type: 'float32', dims: ['N', 'H'] },
  rows: { name: 'rows', type: 'int64', dims: [1] },
} as const;

const HIDDEN_LAYER: readonly OnnxNode[] = [
  { op: 'Gemm', inputs: ['x', 'w1', 'b1'], outputs: ['z'] },
  { op: 'Relu', inputs: ['z'], outputs: ['h'] },
];

const SCORING: SmallGraph = {
  name: 'mlp-scoring',
  inputs: [INPUTS.x, INPUTS.w1, INPUTS.b1, INPUTS.w2, INPUTS.b2],
  outputs: [{ name: 'logits', type: 'float32', dims: ['N', 'C'] }],
  nodes: [...HIDDEN_LAYER, { op: 'Gemm', inputs: ['h', 'w2', 'b2'], outputs: ['logits'] }],
};

/** Gradients of the cross-entropy, summed over the batch. */
const LEARNING: SmallGraph = {
  name: 'mlp-learning',
  inputs: Object.values(INPUTS),
  outputs: [
    { name: 'gw1', type: 'float32', dims: ['D', 'H'] },
    { name: 'gb1', type: 'float32', dims: ['H'] },
    { name: 'gw2', type: 'float32', dims: ['H', 'C'] },
    { name: 'gb2', type: 'float32', dims: ['C'] },
  ],
  nodes: [
    ...HIDDEN_LAYER,
    { op: 'Mul', inputs: ['h', 'mask'], outputs: ['kept'] },
    { op: 'Gemm', inputs: ['kept', 'w2', 'b2'], outputs: ['logits'] },
    { op: 'Softmax', inputs: ['logits'], outputs: ['p'], attributes: { axis: -1 } },
    { op: 'Sub', inputs: ['p', 'y'], outputs: ['error'] },
    { op: 'Gemm', inputs: ['kept', 'error'], outputs: ['gw2'], attributes: { transA: 1 } },
    { op: 'ReduceSum', inputs: ['error', 'rows'], outputs: ['gb2'], attributes: { keepdims: 0 } },
    { op: 'Gemm', inputs: ['error', 'w2'], outputs: ['back'], attributes: { transB: 1 } },
    { op: 'Mul', inputs: ['back', 'mask'], outputs: ['dropped'] },
    { op: 'Sign', inputs: ['h'], outputs: ['isActive'] }, // h is never negative: 0 or 1
    { op: 'Mul', inputs: ['dropped', 'isActive'], outputs: ['dz'] },
    { op: 'Gemm', inputs: ['x', 'dz'], outputs: ['gw1'], attributes: { transA: 1 } },
    { op: 'ReduceSum', inputs: ['dz', 'rows'], outputs: ['gb1'], attributes: { keepdims: 0 } },
  ],
};

function initialWeights(dimensions: number, classes: number, random: () => number): readonly Weight[] {
  const weight = (name: string, shape: readonly number[], limit: number): Weight => {
    const size = shape.reduce((product, length) => product * length, 1);
    const values = Float32Array.from({ length: size }, () => (2 * random() - 1) * limit);
    return { name, shape, values, first: new Float32Array(size), second: new Float32Array(size) };
  };
  const glorot = (inputs: number, outputs: number): number => Math.sqrt(6 / (inputs + outputs));
  return [
    weight('w1', [dimensions, HIDDEN], glorot(dimensions, HIDDEN)),
    weight('b1', [HIDDEN], 0),
    weight('w2', [HIDDEN, classes], glorot(HIDDEN, classes)),
    weight('b2', [classes], 0),
  ];
}

function adamStep(
  weight: Weight,
  update: { readonly gradient: Float32Array; readonly scale: number; readonly rate: number; readonly step: number },
): void {
  const { values, first, second } = weight;
  const { gradient, scale, rate, step } = update;
  const { beta1, beta2, epsilon } = ADAM;
  const size = (rate * Math.sqrt(1 - beta2 ** step)) / (1 - beta1 ** step);
  for (let i = 0; i < values.length; i++) {
    const slope = gradient[i]! * scale;
    first[i] = beta1 * first[i]! + (1 - beta1) * slope;
    second[i] = beta2 * second[i]! + (1 - beta2) * slope * slope;
    values[i] = values[i]! - (size * first[i]!) / (Math.sqrt(second[i]!) + epsilon);
  }
}

/** 0 for a dropped unit, else 1 / (1 - rate), so that the mean stays. */
function dropoutMask(size: number, random: () => number): Float32Array {
  return Float32Array.from({ length: size }, () => (random() < DROPOUT ? 0 : 1 / (1 - DROPOUT)));
}

async function score(options: {
  readonly session: InferenceSession;
  readonly weights: readonly Weight[];
  readonly test: EmbeddingMatrix;
  readonly labels: Int32Array;
  readonly classes: number;
}): Promise<number> {
  const { session, weights, test, labels, classes } = options;
  const { logits } = await session.run({ ...feedsOf(weights), x: matrixTensor(test) });
  return accuracyOfScores(logits!.data as Float32Array, labels, classes); // float32 as declared
}

function feedsOf(weights: readonly Weight[]): InferenceSession.FeedsType {
  return Object.fromEntries(weights.map(({ name, values, shape }) => [name, new Tensor('float32', values, shape)]));
}

function matrixTensor(matrix: EmbeddingMatrix): Tensor {
  return new Tensor('float32', matrix.values, [matrix.rows, matrix.dimensions]);
}
