/** The seed method at any size as a training step, with seeded feeds: what tests and the benchmark compile. */
import type * as tf from '@tensorflow/tfjs-core';
import type { NamedValues, ProgramDefinition } from '../../src/compile/program.js';
import { trainingStep } from '../../src/compile/training-step.js';
import { priorSamples } from '../../src/infomax/adversarial-prior.js';
import { initialStatistics } from '../../src/infomax/network.js';
import { infoMaxObjective, type ObjectiveSpec, objectiveParameters } from '../../src/infomax/objective.js';
import { drawNegatives } from '../../src/infomax/pairs.js';
import type { InitialValues } from '../../src/infomax/parameters.js';
import { normalNoise, seededRandom } from '../../src/seeded-random.js';

export type InfoMaxStep = {
  readonly definition: ProgramDefinition;
  /** Parameters and moving statistics before the first step. */
  readonly initialState: NamedValues;
  /** Random images, noise and shuffles of step `index`. */
  readonly feeds: (index: number) => NamedValues;
};

export function infoMaxStep(
  spec: ObjectiveSpec,
  options: { readonly batchSize: number; readonly seed: number },
): InfoMaxStep {
  const { batchSize, seed } = options;
  const { height, width, channels } = spec.network.image;
  const parameters = objectiveParameters(spec, seededRandom(seed));
  const statistics = initialStatistics(spec.network);
  const negatives = { shape: [batchSize, 1], dtype: 'int32' } as const;
  const definition = trainingStep({
    inputs: {
      images: { shape: [batchSize, height, width, channels], dtype: 'float32' },
      noise: { shape: [batchSize, spec.network.codeSize], dtype: 'float32' },
      globalNegatives: negatives,
      localNegatives: negatives,
      ...(spec.prior !== undefined && {
        priorSamples: { shape: [batchSize, spec.network.codeSize], dtype: 'float32' as const },
      }),
    },
    parameters: specsOf(parameters),
    carried: specsOf(statistics),
    objective: ({ inputs, parameters: current, carried }) => {
      const { loss, global, local, prior, nextStatistics } = infoMaxObjective({
        spec,
        parameters: current,
        statistics: carried,
        images: inputs.images as tf.Tensor4D,
        noise: inputs.noise as tf.Tensor2D,
        negatives: { global: inputs.globalNegatives as tf.Tensor2D, local: inputs.localNegatives as tf.Tensor2D },
        ...(inputs.priorSamples !== undefined && { priorSamples: inputs.priorSamples as tf.Tensor2D }),
      });
      return { loss, outputs: { global, local, prior }, nextCarried: nextStatistics };
    },
  });
  const initialState = Object.fromEntries(
    Object.entries({ ...parameters, ...statistics }).map(([name, { values }]) => [name, values]),
  );
  const feeds = (index: number): NamedValues => {
    const random = seededRandom(seed + 1000 + index);
    return {
      images: Float32Array.from({ length: batchSize * height * width * channels }, () => random() - 0.5),
      noise: normalNoise(batchSize * spec.network.codeSize, random),
      globalNegatives: drawNegatives(spec.global.negatives, batchSize, random),
      localNegatives: drawNegatives(spec.local.negatives, batchSize, random),
      learningRate: Float32Array.of(1e-3),
      ...(spec.prior !== undefined && {
        priorSamples: priorSamples(spec.prior, batchSize * spec.network.codeSize, random),
      }),
    };
  };
  return { definition, initialState, feeds };
}

function specsOf(
  values: InitialValues,
): Readonly<Record<string, { readonly shape: readonly number[]; readonly dtype: 'float32' }>> {
  return Object.fromEntries(
    Object.entries(values).map(([name, { shape }]) => [name, { shape, dtype: 'float32' as const }]),
  );
}
