/** A recipe as a program: one training step, its first values, and where it runs. */
import type * as tf from '@tensorflow/tfjs-core';
import { EagerProgram } from '../compile/eager-program.js';
import { compileProgram, type NamedValues, type ProgramDefinition, type StepProgram } from '../compile/program.js';
import type { ExecutionProvider } from '../compile/session.js';
import type { TensorSpec } from '../compile/trace.js';
import { trainingStep } from '../compile/training-step.js';
import { SearchError } from '../errors.js';
import { initialStatistics } from '../infomax/network.js';
import { infoMaxObjective, objectiveParameters, PAIR_TERMS, type PairTerm } from '../infomax/objective.js';
import type { Negatives } from '../infomax/pairs.js';
import type { InitialValues } from '../infomax/parameters.js';
import { randomStream } from './random-streams.js';
import { objectiveOf, type Recipe } from './recipe.js';

/** What executes the steps: ONNX Runtime (compiled), or TensorFlow.js itself, on a card where tfjs-node-gpu is installed. */
export type Engine =
  | { readonly kind: 'onnx'; readonly provider: ExecutionProvider; readonly threads?: number }
  | { readonly kind: 'tensorflow' };

/** Name of the input that holds a term's false pairs; absent where every other image of the batch is one. */
export const NEGATIVES_INPUT = { global: 'globalNegatives', local: 'localNegatives' } as const satisfies Record<PairTerm, string>;

/** Name of the input that holds samples of the prior, where it is adversarial. */
export const PRIOR_INPUT = 'priorSamples';

/** Whether a recipe draws false pairs for a term. */
export function drawsNegatives(recipe: Recipe, term: PairTerm): boolean {
  return recipe[term].weight > 0 && recipe[term].negatives.draw !== 'all';
}

/**
 * One training step. Inputs: images [V * B, side, side, 3], noise [V * B, D], false pairs [B, N] of the terms that draw them, samples [V * B, D]
 * of an adversarial prior, learningRate. Outputs: loss, global, local, prior, with a decoder reconstruction (scalars), and means [V * B, D].
 */
export function trainingProgram(recipe: Recipe): { readonly definition: ProgramDefinition; readonly initialState: NamedValues } {
  const { input, network, views, optimiser } = recipe;
  const spec = objectiveOf(recipe);
  const parameters = objectiveParameters(spec, randomStream(recipe.seed, 'parameters'));
  const statistics = initialStatistics(spec.network);
  const items = optimiser.batchSize * views;
  const drawn = PAIR_TERMS.filter((term) => drawsNegatives(recipe, term)).map((term): [string, TensorSpec] => {
    const { negatives } = recipe[term];
    return [NEGATIVES_INPUT[term], { shape: [optimiser.batchSize, negatives.draw === 'all' ? 0 : negatives.count], dtype: 'int32' }];
  });
  const definition = trainingStep({
    inputs: {
      images: { shape: [items, input.side, input.side, 3], dtype: 'float32' },
      noise: { shape: [items, network.codeSize], dtype: 'float32' },
      ...Object.fromEntries(drawn),
      ...(spec.prior !== undefined && { [PRIOR_INPUT]: { shape: [items, network.codeSize], dtype: 'float32' as const } }),
    },
    parameters: specsOf(parameters),
    carried: specsOf(statistics),
    adam: { weightDecay: optimiser.weightDecay },
    objective: ({ inputs, parameters: current, carried }) => {
      const negativesOf = (term: PairTerm): Negatives => (inputs[NEGATIVES_INPUT[term]] as tf.Tensor2D | undefined) ?? 'all';
      const samples = inputs[PRIOR_INPUT] as tf.Tensor2D | undefined;
      const { loss, global, local, prior, reconstruction, means, nextStatistics } = infoMaxObjective({
        spec,
        parameters: current,
        statistics: carried,
        images: inputs.images as tf.Tensor4D, // of the ranks declared above, like the rest
        noise: inputs.noise as tf.Tensor2D,
        negatives: { global: negativesOf('global'), local: negativesOf('local') },
        ...(samples !== undefined && { priorSamples: samples }),
      });
      const outputs = { global, local, prior, means, ...(reconstruction !== undefined && { reconstruction }) };
      return { loss, outputs, nextCarried: nextStatistics };
    },
  });
  const initialState = Object.fromEntries(Object.entries({ ...parameters, ...statistics }).map(([name, { values }]) => [name, values]));
  return { definition, initialState };
}

/** The program on an engine, and the engine in words. DEVICE_UNAVAILABLE where it is not there. The program is the caller's to close. */
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

/** Packages in the order of their worth; each registers itself as tfjs's backend when it is loaded. */
const TENSORFLOW_PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node', '@tensorflow/tfjs-backend-cpu'] as const;

async function chooseTensorFlowBackend(): Promise<string> {
  const core = await import('@tensorflow/tfjs-core');
  for (const name of TENSORFLOW_PACKAGES) {
    try {
      await import(name);
    } catch (cause) {
      const isAbsent = cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND' && cause.message.includes(name);
      if (isAbsent) continue;
      throw new SearchError('DEVICE_UNAVAILABLE', `${name} does not load: ${cause instanceof Error ? cause.message : String(cause)}`, {
        cause,
      });
    }
    await core.setBackend(name.endsWith('-cpu') ? 'cpu' : 'tensorflow');
    return `TensorFlow.js (${name})`;
  }
  throw new SearchError('DEVICE_UNAVAILABLE', 'No TensorFlow.js backend is installed: npm install @tensorflow/tfjs-node-gpu@4.22.0');
}

function specsOf(values: InitialValues): Readonly<Record<string, TensorSpec>> {
  return Object.fromEntries(Object.entries(values).map(([name, { shape }]) => [name, { shape, dtype: 'float32' as const }]));
}
