/**
 * Discriminators: how well an image's part and a code go together, as a logit. B: batch, P: places of an image (h * w
 * of a feature map, or 1), L: channels of a place, D: code size, N: false pairs of each true one.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Random } from '../seeded-random.js';
import { type Negatives, offDiagonal } from './pairs.js';
import { dense, denseValues, type InitialValues, parameter, type Tensors } from './parameters.js';

/**
 * concatenate: the place and the code side by side through 1x1 convolutions with ReLU (the article's: 256, 256, 256).
 * dot: each side through its own hidden layer to `size` numbers, whose inner product is the logit (encode and dot
 * product, as in the paper). With a temperature both sides are scaled to norm 1 and the logit is their cosine over it,
 * which estimators without an upper bound (decoupled infoNCE) need.
 */
export type DiscriminatorSpec =
  | { readonly kind: 'concatenate'; readonly hidden: readonly number[] }
  | { readonly kind: 'dot'; readonly hidden: number; readonly size: number; readonly temperature?: number };

/** Logits of true pairs [M] and of the false pairs of each [M, N], M = B * P: the input of every estimator. */
export type PairLogits = { readonly positive: tf.Tensor1D; readonly negative: tf.Tensor2D };

/** Initial parameters of a discriminator; their names begin with `name`. */
export function discriminatorParameters(
  spec: DiscriminatorSpec,
  options: { readonly name: string; readonly placeSize: number; readonly codeSize: number; readonly random: Random },
): InitialValues {
  const { name, placeSize, codeSize, random } = options;
  if (spec.kind === 'dot') {
    return {
      ...denseValues(`${name}.place0`, { inputs: placeSize, outputs: spec.hidden }, random),
      ...denseValues(`${name}.place1`, { inputs: spec.hidden, outputs: spec.size }, random),
      ...denseValues(`${name}.code0`, { inputs: codeSize, outputs: spec.hidden }, random),
      ...denseValues(`${name}.code1`, { inputs: spec.hidden, outputs: spec.size }, random),
    };
  }
  const widths = [placeSize + codeSize, ...spec.hidden, 1];
  const layers = widths
    .slice(1)
    .map((outputs, index) => denseValues(`${name}.layer${index}`, { inputs: widths[index]!, outputs }, random));
  return Object.assign({}, ...layers);
}

/**
 * Logits of all pairs. places: cells of the feature maps [B, P, L]; codes: [B, D]; negatives: for each code, the images
 * of its false pairs.
 */
export function discriminate(
  spec: DiscriminatorSpec,
  options: {
    readonly name: string;
    readonly parameters: Tensors;
    readonly places: tf.Tensor3D;
    readonly codes: tf.Tensor2D;
    readonly negatives: Negatives;
  },
): PairLogits {
  return spec.kind === 'dot'
    ? byDotProduct(spec.temperature, options)
    : byConcatenation(spec.hidden.length + 1, options);
}

type Pairs = Parameters<typeof discriminate>[1];

/**
 * The first layer is linear, so cell and code are multiplied by their own rows of its weight before they are added:
 * equal to concatenating (code first, as in the article), but each cell is multiplied once for all codes.
 */
function byConcatenation(layers: number, { name, parameters, places, codes, negatives }: Pairs): PairLogits {
  const [batch, count, channels] = places.shape;
  const weight = parameter(parameters, `${name}.layer0.weight`) as tf.Tensor2D;
  const hidden = weight.shape[1];
  const codeSize = codes.shape[1];
  const fromCode = tf.add(
    tf.matMul(codes, tf.slice(weight, [0, 0], [codeSize, hidden])),
    parameter(parameters, `${name}.layer0.bias`),
  ); // [B, H]
  const fromPlace = tf.matMul(
    tf.reshape(places, [batch * count, channels]),
    tf.slice(weight, [codeSize, 0], [channels, hidden]),
  ); // [B * P, H]
  const rows = tf.reshape(fromPlace, [batch, count * hidden]);
  const against = negatives === 'all' ? othersOf(batch) : negatives; // [B, N]
  const falseCount = against.shape[1];
  const falsePlaces = tf.reshape(tf.gather(rows, tf.reshape(against, [batch * falseCount])), [
    batch,
    falseCount,
    count,
    hidden,
  ]);
  const met = tf.concat([tf.reshape(rows, [batch, 1, count, hidden]), falsePlaces], 1); // [B, 1 + N, P, H]
  const joined = tf.relu(tf.add(met, tf.reshape(fromCode, [batch, 1, 1, hidden])));
  let x: tf.Tensor = tf.reshape(joined, [batch * (1 + falseCount) * count, hidden]);
  for (let layer = 1; layer < layers; layer++) {
    x = dense(x, parameters, `${name}.layer${layer}`);
    if (layer < layers - 1) x = tf.relu(x);
  }
  const logits = tf.reshape(x, [batch, 1 + falseCount, count]);
  return {
    positive: tf.reshape(tf.slice(logits, [0, 0, 0], [batch, 1, count]), [batch * count]),
    negative: asRows(tf.slice(logits, [0, 1, 0], [batch, falseCount, count])),
  };
}

function byDotProduct(
  temperature: number | undefined,
  { name, parameters, places, codes, negatives }: Pairs,
): PairLogits {
  const [batch, count, channels] = places.shape;
  const placesOut = twoLayers(tf.reshape(places, [batch * count, channels]), parameters, `${name}.place`); // [B * P, E]
  const codesOut = twoLayers(codes, parameters, `${name}.code`); // [B, E]
  const placeSide = temperature === undefined ? placesOut : unitRows(placesOut);
  const codeSide = temperature === undefined ? codesOut : tf.div(unitRows(codesOut), temperature);
  const size = codeSide.shape[1]!;
  const own = tf.mul(tf.reshape(placeSide, [batch, count, size]), tf.reshape(codeSide, [batch, 1, size]));
  const positive = tf.reshape(tf.sum(own, 2), [batch * count]) as tf.Tensor1D;
  if (negatives === 'all') {
    const every = tf.reshape(tf.matMul(codeSide as tf.Tensor2D, placeSide as tf.Tensor2D, false, true), [
      batch,
      batch,
      count,
    ]);
    return { positive, negative: asRows(offDiagonal(every)) };
  }
  const falseCount = negatives.shape[1];
  const gathered = tf.gather(tf.reshape(placeSide, [batch, count * size]), tf.reshape(negatives, [batch * falseCount]));
  const met = tf.mul(tf.reshape(gathered, [batch, falseCount, count, size]), tf.reshape(codeSide, [batch, 1, 1, size]));
  return { positive, negative: asRows(tf.sum(met, 3)) };
}

function twoLayers(x: tf.Tensor, parameters: Tensors, name: string): tf.Tensor {
  return dense(tf.relu(dense(x, parameters, `${name}0`)), parameters, `${name}1`);
}

/** Rows of norm 1; a row of zeros stays zero. */
function unitRows(x: tf.Tensor): tf.Tensor {
  return tf.mul(x, tf.rsqrt(tf.add(tf.sum(tf.square(x), 1, true), 1e-12)));
}

/** Logits [B, N, P] as one row for each true pair: [B * P, N]. */
function asRows(logits: tf.Tensor): tf.Tensor2D {
  const [batch = 1, falseCount = 1, count = 1] = logits.shape;
  return tf.reshape(tf.transpose(logits, [0, 2, 1]), [batch * count, falseCount]);
}

/** For each of B images all others: [B, B - 1]. */
function othersOf(batch: number): tf.Tensor2D {
  const values = Int32Array.from(
    { length: batch * (batch - 1) },
    (_, index) => (Math.floor(index / (batch - 1)) + 1 + (index % (batch - 1))) % batch,
  );
  return tf.tensor2d(values, [batch, batch - 1], 'int32');
}
