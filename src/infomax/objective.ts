/**
 * The objective of Deep InfoMax: a global and a local pair term and a prior, minimised over encoder and
 * discriminators together.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Random } from '../seeded-random.js';
import { type AdversarialPriorSpec, adversarialPrior, adversarialPriorParameters } from './adversarial-prior.js';
import { decode, decoderParameters, squaredError } from './decoder.js';
import { type DiscriminatorSpec, discriminate, discriminatorParameters, type PairLogits } from './discriminators.js';
import { ESTIMATORS, type EstimatorName } from './estimators.js';
import {
  type Encoding,
  encodeForTraining,
  encoderParameters,
  mapShape,
  type NetworkSpec,
  sampleCode,
} from './network.js';
import type { Negatives, NegativesSpec } from './pairs.js';
import type { InitialValues, Tensors } from './parameters.js';
import { withoutGradient } from './stop-gradient.js';

/**
 * The part of an image that is paired with the code. code: the code itself (the article's global pair). pooled: the
 * maximum of the last stage. map: every cell of the feature map.
 */
type ImageSide = 'code' | 'pooled' | 'map';

/** One pair term. weight 0 leaves it out of the program. */
export type PairSpec = {
  readonly weight: number;
  readonly image: ImageSide;
  readonly negatives: NegativesSpec;
  readonly discriminator: DiscriminatorSpec;
  readonly estimator: EstimatorName;
};

/** Reconstruction term: weight times the mean squared error of the pixels. */
type ReconstructionSpec = { readonly weight: number; readonly code: 'mean' | 'sample' };

/** A whole objective: weights alpha (global), beta (local) and gamma (prior) as in the paper. */
export type ObjectiveSpec = {
  readonly network: NetworkSpec;
  readonly global: PairSpec;
  readonly local: PairSpec;
  readonly priorWeight: number;
  /** Adversarial prior as in the paper; without it, the article's KL divergence. */
  readonly prior?: AdversarialPriorSpec;
  /**
   * Reconstruction by a decoder, for the baselines: an autoencoder decodes the mean, a VAE a sample; none if not given.
   */
  readonly reconstruction?: ReconstructionSpec;
  /**
   * Versions of each image in a batch; 1 by default, as in the article. With more, the code of one view is paired with
   * the cells of the next view of the same image (true) and of other images (false).
   */
  readonly views?: number;
};

/** The two pair terms, in the order in which their parameters are drawn. */
export const PAIR_TERMS = ['global', 'local'] as const;
export type PairTerm = (typeof PAIR_TERMS)[number];

/** Initial parameters: of the encoder, the discriminators of the terms with weight, then the options. */
export function objectiveParameters(spec: ObjectiveSpec, random: Random): InitialValues {
  const values: InitialValues[] = [encoderParameters(spec.network, random)];
  for (const name of PAIR_TERMS) {
    const { weight, image, discriminator } = spec[name];
    if (weight === 0) continue;
    const placeSize = placeSizeOf(spec.network, image);
    values.push(discriminatorParameters(discriminator, { name, placeSize, codeSize: spec.network.codeSize, random }));
  }
  const { network, prior, reconstruction } = spec;
  if (prior !== undefined) values.push(adversarialPriorParameters(prior, { codeSize: network.codeSize, random }));
  if (reconstruction !== undefined) values.push(decoderParameters(network, random));
  return Object.assign({}, ...values);
}

/** The objective on one batch. Terms without weight are 0. */
export type ObjectiveValue = {
  /** alpha * global + beta * local + gamma * prior, and the weighted reconstruction: to minimise. */
  readonly loss: tf.Scalar;
  /** Minus the estimate of the pair term (2 ln 2 at the start for Jensen-Shannon). */
  readonly global: tf.Scalar;
  readonly local: tf.Scalar;
  /** The KL divergence, or the encoder's side of the adversarial game (ln 2 at the start). */
  readonly prior: tf.Scalar;
  /** Mean squared error of the decoded images; undefined without a decoder. */
  readonly reconstruction: tf.Scalar | undefined;
  /** Mean heads [V * B, D], for watching how the codes spread. */
  readonly means: tf.Tensor2D;
  readonly nextStatistics: Record<string, tf.Tensor>;
};

/**
 * Loss and its terms. images: [V * B, H, W, channels] preprocessed, all first views, then all second ones; noise: [V *
 * B, D] standard normal; negatives: for each term [B, N] as drawn by drawNegatives, the same for every view;
 * priorSamples: [V * B, D] where the prior is adversarial. A function of its tensors alone: the same everywhere, eager
 * or compiled.
 */
export function infoMaxObjective(options: {
  readonly spec: ObjectiveSpec;
  readonly parameters: Tensors;
  readonly statistics: Tensors;
  readonly images: tf.Tensor4D;
  readonly noise: tf.Tensor2D;
  readonly negatives: Readonly<Record<PairTerm, Negatives>>;
  readonly priorSamples?: tf.Tensor2D;
}): ObjectiveValue {
  const { spec, parameters, statistics, images, noise, negatives } = options;
  const views = spec.views ?? 1;
  const { encoding, nextStatistics } = encodeForTraining({ spec: spec.network, parameters, statistics, images });
  const codes = sampleCode(encoding, noise); // [B, D]
  const term = (name: PairTerm): tf.Scalar => {
    const { weight, image, discriminator, estimator } = spec[name];
    if (weight === 0) return tf.scalar(0);
    const places = placesOf(image, encoding, codes);
    const logits = acrossViews(views, { places, codes }, (pair) =>
      discriminate(discriminator, { name, parameters, ...pair, negatives: negatives[name] }),
    );
    return tf.neg(ESTIMATORS[estimator](logits));
  };
  const [global, local] = [term('global'), term('local')];
  const prior = priorOf(options, encoding, codes);
  const pairs = tf.add(tf.mul(global, spec.global.weight), tf.mul(local, spec.local.weight));
  const reconstruction = reconstructionOf(options, encoding, codes);
  let loss = tf.add<tf.Scalar>(pairs, tf.mul(prior.term, spec.priorWeight));
  if (reconstruction !== undefined) loss = tf.add(loss, tf.mul(reconstruction, spec.reconstruction?.weight ?? 0));
  // The adversary descends on its own loss in the same step; its value is no part of the encoder's.
  if (prior.adversary !== undefined) loss = tf.add(loss, tf.sub(prior.adversary, withoutGradient(prior.adversary)));
  return { loss, global, local, prior: prior.term, reconstruction, means: encoding.mean, nextStatistics };
}

type ObjectiveOptions = Parameters<typeof infoMaxObjective>[0];

function priorOf(
  { spec, parameters, priorSamples }: ObjectiveOptions,
  encoding: Encoding,
  codes: tf.Tensor2D,
): { readonly term: tf.Scalar; readonly adversary?: tf.Scalar } {
  if (spec.prior === undefined) return { term: standardNormalDivergence(encoding) };
  if (priorSamples === undefined) throw new Error('An adversarial prior needs samples of the prior. This is a bug.');
  const { encoder, discriminator } = adversarialPrior({ spec: spec.prior, parameters, codes, samples: priorSamples });
  return { term: encoder, adversary: discriminator };
}

function reconstructionOf(
  { spec, parameters, images }: ObjectiveOptions,
  { mean }: Encoding,
  codes: tf.Tensor2D,
): tf.Scalar | undefined {
  if (spec.reconstruction === undefined) return undefined;
  const decoded = decode(spec.network, parameters, spec.reconstruction.code === 'mean' ? mean : codes);
  return squaredError(images, decoded);
}

type Sides = { readonly places: tf.Tensor3D; readonly codes: tf.Tensor2D };

/** The logits of every view's codes [B, D] with the next view's places [B, P, L], one after another. */
function acrossViews(views: number, { places, codes }: Sides, logitsOf: (pair: Sides) => PairLogits): PairLogits {
  if (views === 1) return logitsOf({ places, codes });
  const batch = codes.shape[0] / views;
  const placesAt = (view: number): tf.Tensor3D =>
    tf.slice(places, [(view % views) * batch, 0, 0], [batch, places.shape[1], places.shape[2]]);
  const codesAt = (view: number): tf.Tensor2D => tf.slice(codes, [view * batch, 0], [batch, codes.shape[1]]);
  const each = Array.from({ length: views }, (_, view) =>
    logitsOf({ codes: codesAt(view), places: placesAt(view + 1) }),
  );
  return {
    positive: tf.concat1d(each.map(({ positive }) => positive)),
    negative: tf.concat2d(
      each.map(({ negative }) => negative),
      0,
    ),
  };
}

function placesOf(image: ImageSide, { map, pooled }: Encoding, codes: tf.Tensor2D): tf.Tensor3D {
  if (image === 'code') return tf.expandDims(codes, 1); // [B, 1, D]
  if (image === 'pooled') return tf.expandDims(pooled, 1); // [B, 1, C']
  const [batch, height, width, channels] = map.shape;
  return tf.reshape(map, [batch, height * width, channels]); // [B, P, C]
}

function placeSizeOf(network: NetworkSpec, image: ImageSide): number {
  if (image === 'code') return network.codeSize;
  return image === 'map' ? mapShape(network).channels : (network.stages.at(-1)?.channels ?? network.image.channels);
}

/**
 * KL(N(mean, exp(logVariance)) || N(0, I)), the mean over batch and dimensions (the article's convention; a VAE's is
 * the sum over dimensions). A scalar, at least 0, in nats.
 */
export function standardNormalDivergence({ mean, logVariance }: Pick<Encoding, 'mean' | 'logVariance'>): tf.Scalar {
  const inner = tf.sub(tf.sub(tf.add(logVariance, 1), tf.square(mean)), tf.exp(logVariance));
  return tf.mul(tf.mean(inner), -0.5);
}
