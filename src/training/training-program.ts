/** The training step of a recipe as a program, its initial state, and its engine. */
import type * as tf from '@tensorflow/tfjs-core';
import { EagerProgram } from '../compile/eager-program.js';
import { compileProgram, type NamedValues, type ProgramDefinition, type StepProgram } from '../compile/program.js';
import type { ExecutionProvider } from '../compile/session.js';
import type { TensorSpec } from '../compile/trace.js';
import { trainingStep } from '../compile/training-step.js';
import { TENSORFLOW_GPU_INSTALL } from '../encoder/runtime.js';
import { importTensorFlow } from '../encoder/tensorflow-runtime.js';
import { SearchError } from '../errors.js';
import { initialStatistics } from '../infomax/network.js';
import { infoMaxObjective, objectiveParameters, PAIR_TERMS, type PairTerm } from '../infomax/objective.js';
import type { Negatives } from '../infomax/pairs.js';
import type { InitialValues } from '../infomax/parameters.js';
import { randomStream } from '../seeded-random.js';
import { objectiveOf, type Recipe } from './recipe.js';

/** What executes the steps: ONNX Runtime (compiled), or TensorFlow.js, on a GPU where tfjs-node-gpu is installed. */
export type Engine =
  | { readonly kind: 'onnx'; readonly provider: ExecutionProvider; readonly threads?: number }
  | { readonly kind: 'tensorflow' };

/** Input with a term's false pairs; absent where all other images of the batch are negatives. */
export const NEGATIVES_INPUT = { global: 'globalNegatives', local: 'localNegatives' } as const satisfies Record<
  PairTerm,
  string
>;

/** Input with samples of an adversarial prior. */
export const PRIOR_INPUT = 'priorSamples';

export function drawsNegatives(recipe: Recipe, term: PairTerm): boolean {
  return recipe[term].weight > 0 && recipe[term].negatives.draw !== 'all';
}

/**
 * One training step. Inputs: images [V * B, side, side, 3], noise [V * B, D], false pairs [B, N] of the terms that draw
 * them, samples [V * B, D] of an adversarial prior, learningRate. Outputs: loss, global, local, prior, with a decoder
 * reconstruction (scalars), and means [V * B, D].
 */
export function trainingProgram(recipe: Recipe): {
  readonly definition: ProgramDefinition;
  readonly initialState: NamedValues;
} {
  const { input, network, views, optimiser } = recipe;
  const spec = objectiveOf(recipe);
  const parameters = objectiveParameters(spec, randomStream(recipe.seed, 'parameters'));
  const statistics = initialStatistics(spec.network);
  const items = optimiser.batchSize * views;
  const drawn = PAIR_TERMS.filter((term) => drawsNegatives(recipe, term)).map((term): [string, TensorSpec] => {
    const { negatives } = recipe[term];
    return [
      NEGATIVES_INPUT[term],
      { shape: [optimiser.batchSize, negatives.draw === 'all' ? 0 : negatives.count], dtype: 'int32' },
    ];
  });
  const definition = trainingStep({
    inputs: {
      images: { shape: [items, input.side, input.side, 3], dtype: 'float32' },
      noise: { shape: [items, network.codeSize], dtype: 'float32' },
      ...Object.fromEntries(drawn),
      ...(spec.prior !== undefined && {
        [PRIOR_INPUT]: { shape: [items, network.codeSize], dtype: 'float32' as const },
      }),
    },
    parameters: specsOf(parameters),
    carried: specsOf(statistics),
    adam: { weightDecay: optimiser.weightDecay },
    objective: ({ inputs, parameters: current, carried }) => {
      const negativesOf = (term: PairTerm): Negatives =>
        (inputs[NEGATIVES_INPUT[term]] as tf.Tensor2D | undefined) ?? 'all';
      const samples = inputs[PRIOR_INPUT] as tf.Tensor2D | undefined;
      const { loss, global, local, prior, reconstruction, means, nextStatistics } = infoMaxObjective({
        spec,
        parameters: current,
        statistics: carried,
        images: inputs.images as tf.Tensor4D, // of the ranks declared above
        noise: inputs.noise as tf.Tensor2D,
        negatives: { global: negativesOf('global'), local: negativesOf('local') },
        ...(samples !== undefined && { priorSamples: samples }),
      });
      const outputs = { global, local, prior, means, ...(reconstruction !== undefined && { reconstruction }) };
      return { loss, outputs, nextCarried: nextStatistics };
    },
  });
  const initialState = Object.fromEntries(
    Object.entries({ ...parameters, ...statistics }).map(([name, { values }]) => [name, values]),
  );
  return { definition, initialState };
}

/**
 * Opens the program on an engine, named in words. DEVICE_UNAVAILABLE where the engine is missing. The caller closes it.
 */
export async function openStepProgram(
  definition: ProgramDefinition,
  engine: Engine,
): Promise<{ readonly program: StepProgram; readonly engineName: string }> {
  if (engine.kind === 'tensorflow') {
    const engineName = await chooseTensorFlowBackend();
    return { program: new EagerProgram(definition), engineName };
  }
  const { provider, threads } = engine;
  const program = await compileProgram(definition, { provider, ...(threads !== undefined && { threads }) });
  return { program, engineName: `ONNX Runtime (${provider})` };
}

/** In order of preference. */
const TENSORFLOW_PACKAGES = [
  '@tensorflow/tfjs-node-gpu',
  '@tensorflow/tfjs-node',
  '@tensorflow/tfjs-backend-cpu',
] as const;

async function chooseTensorFlowBackend(): Promise<string> {
  const core = await import('@tensorflow/tfjs-core');
  for (const name of TENSORFLOW_PACKAGES) {
    if ((await importTensorFlow(name)) === undefined) continue;
    await core.setBackend(name.endsWith('-cpu') ? 'cpu' : 'tensorflow');
    return `TensorFlow.js (${name})`;
  }
  throw new SearchError('DEVICE_UNAVAILABLE', `No TensorFlow.js backend is installed: ${TENSORFLOW_GPU_INSTALL}`);
}

function specsOf(values: InitialValues): Readonly<Record<string, TensorSpec>> {
  return Object.fromEntries(
    Object.entries(values).map(([name, { shape }]) => [name, { shape, dtype: 'float32' as const }]),
  );
}
