/** Compiled training steps against the same steps run eagerly by tfjs's cpu backend, on the seed network made small. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { EagerProgram } from '../../src/compile/eager-program.js';
import {
  compileProgram,
  type NamedValues,
  type ProgramDefinition,
  type StepProgram,
} from '../../src/compile/program.js';
import { lossAndGradients } from '../../src/compile/training-step.js';
import { initialStatistics } from '../../src/infomax/network.js';
import { infoMaxObjective, type ObjectiveSpec, objectiveParameters } from '../../src/infomax/objective.js';
import { seedObjective } from '../../src/infomax/seed-recipe.js';
import { seededRandom } from '../../src/seeded-random.js';
import { infoMaxStep } from './info-max-step.js';

const SEED = 7;
const SMALL: ObjectiveSpec = seedObjective({ side: 16, channels: [8, 12, 16], codeSize: 16 });
const BATCH = 4;

const METHODS: Readonly<Record<string, ObjectiveSpec>> = {
  'the seed network': SMALL,
  'the seed network with an adversarial prior': {
    ...SMALL,
    priorWeight: 0.1,
    prior: { distribution: 'uniform', hidden: [12, 6] },
  },
  'a variational autoencoder': {
    ...SMALL,
    global: { ...SMALL.global, weight: 0 },
    local: { ...SMALL.local, weight: 0 },
    reconstruction: { weight: 1, code: 'sample' },
  },
};
for (const [words, spec] of Object.entries(METHODS)) {
  test(`every gradient of ${words} equals tfjs cpu within 1e-4`, async () => {
    await tf.setBackend('cpu');
    const { feeds, definition, initialState } = infoMaxStep(spec, { batchSize: BATCH, seed: SEED });
    const gradientsOnly = gradientProgram(spec, definition);
    const eager = new EagerProgram(gradientsOnly);
    const compiled = await compileProgram(gradientsOnly, { threads: 1 });
    for (const program of [eager, compiled]) program.writeState(initialState);
    const [expected, actual] = [
      await eager.run(without(feeds(0), 'learningRate')),
      await compiled.run(without(feeds(0), 'learningRate')),
    ];
    const names = Object.keys(objectiveParameters(spec, seededRandom(SEED)));
    assert.deepEqual(Object.keys(actual).sort(), [...names].sort());
    for (const name of names) {
      const greatest = (values: Iterable<number>): number =>
        [...values].reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const largest = greatest(expected[name]!);
      assert.ok(largest > 0, `${name} has no gradient`);
      const error = greatest(expected[name]!.map((value, index) => value - actual[name]![index]!)) / largest;
      assert.ok(error < 1e-4, `${name}: relative error ${error}`);
    }
    await Promise.all([eager.close(), compiled.close()]);
  });
}

test('both engines give the same losses for the same seed', async () => {
  await tf.setBackend('cpu');
  const step = infoMaxStep(SMALL, { batchSize: BATCH, seed: SEED });
  const eager = new EagerProgram(step.definition);
  const compiled = await compileProgram(step.definition, { threads: 1 });
  const before = tf.memory().numTensors;
  const [slow, fast] = [await train(eager, step, 4), await train(compiled, step, 4)];
  assert.equal(tf.memory().numTensors, before, 'steps leave no tensors behind');
  assert.ok(Math.abs(slow[0]! - 2 * 2 * Math.LN2) < 1.5, `the first loss is ${slow[0]}`);
  assert.equal(new Set(slow.map((loss) => loss.toFixed(3))).size, 4, 'the losses move');
  // Adam divides by the gradient's own size, so that a rounding error of a small gradient is no longer small one
  // step later.
  for (const [index, loss] of slow.entries())
    assert.ok(Math.abs(loss - fast[index]!) < 2e-3 * Math.abs(loss), `step ${index}: ${loss} and ${fast[index]}`);
  await Promise.all([eager.close(), compiled.close()]);
});

test('a step after the state went out and in again is the same bit for bit', async () => {
  const step = infoMaxStep(SMALL, { batchSize: BATCH, seed: SEED });
  const whole = await compileProgram(step.definition, { threads: 1 });
  await train(whole, step, 5);
  const first = await compileProgram(step.definition, { threads: 1 });
  await train(first, step, 3);
  const second = await compileProgram(step.definition, { threads: 1 });
  second.writeState(first.readState());
  for (let index = 3; index < 5; index++) await second.run(step.feeds(index));
  assert.deepEqual(second.readState(), whole.readState());
  await Promise.all([whole.close(), first.close(), second.close()]);
});

test('a feed or a state of another length is refused by name', async () => {
  const program = await compileProgram({
    inputs: { x: { shape: [2], dtype: 'float32' } },
    state: { total: { shape: [2], dtype: 'float32' } },
    run: ({ inputs, state }) => ({
      outputs: { twice: tf.mul(inputs.x!, 2) },
      nextState: { total: tf.add(state.total!, inputs.x!) },
    }),
  });
  await assert.rejects(program.run({ x: new Float32Array(3) }), /Tensor x takes 2 values of float32/);
  await assert.rejects(program.run({}), /Tensor x is missing/);
  assert.throws(() => program.writeState({ total: new Float32Array(1) }), /Tensor total takes 2/);
  assert.throws(() => program.writeState({ sum: new Float32Array(2) }), /no state named sum/);
  const outputs = await program.run({ x: Float32Array.of(1, 2) });
  await program.run({ x: Float32Array.of(10, 20) });
  assert.deepEqual([...outputs.twice!], [2, 4], 'values returned are not written to by later runs');
  assert.deepEqual([...program.readState().total!], [11, 22]);
  await program.close();
});

test('a function that forgets a state is refused', async () => {
  const definition: ProgramDefinition = {
    inputs: {},
    state: { a: { shape: [], dtype: 'float32' } },
    run: ({ state }) => ({ outputs: { y: tf.neg(state.a!) }, nextState: {} }),
  };
  await assert.rejects(compileProgram(definition), /no next state for a/);
});

/** A program with the parameters as state, left as they are, and their gradients as outputs. */
function gradientProgram(spec: ObjectiveSpec, step: ProgramDefinition): ProgramDefinition {
  const names = Object.keys(objectiveParameters(spec, seededRandom(SEED)));
  const carriedNames = Object.keys(initialStatistics(spec.network));
  const only = <T>(record: Readonly<Record<string, T>>, keys: readonly string[]): Record<string, T> =>
    Object.fromEntries(keys.map((key) => [key, record[key]!]));
  const { learningRate: _rate, ...inputs } = step.inputs;
  return {
    inputs,
    state: only(step.state, [...names, ...carriedNames]),
    run: ({ inputs: given, state }) => {
      const { gradients } = lossAndGradients(
        ({ inputs: feeds, parameters, carried }) => {
          const { loss, nextStatistics } = infoMaxObjective({
            spec,
            parameters,
            statistics: carried,
            images: feeds.images as tf.Tensor4D,
            noise: feeds.noise as tf.Tensor2D,
            negatives: { global: feeds.globalNegatives as tf.Tensor2D, local: feeds.localNegatives as tf.Tensor2D },
            ...(feeds.priorSamples !== undefined && { priorSamples: feeds.priorSamples as tf.Tensor2D }),
          });
          return { loss, outputs: {}, nextCarried: nextStatistics };
        },
        { inputs: given, parameters: only(state, names), carried: only(state, carriedNames) },
      );
      return { outputs: gradients, nextState: state };
    },
  };
}

async function train(program: StepProgram, step: ReturnType<typeof infoMaxStep>, steps: number): Promise<number[]> {
  program.writeState(step.initialState);
  const losses: number[] = [];
  for (let index = 0; index < steps; index++) losses.push((await program.run(step.feeds(index))).loss![0]!);
  return losses;
}

function without(values: NamedValues, name: string): NamedValues {
  return Object.fromEntries(Object.entries(values).filter(([key]) => key !== name));
}
