/** The layers of a network in training as an inference program, for measuring it and for the saved encoder. */
import * as tf from '@tensorflow/tfjs-core';
import * as ort from 'onnxruntime-node';
import { exportInference } from '../compile/export-inference.js';
import type { NamedValues } from '../compile/program.js';
import { openSession } from '../compile/session.js';
import { EMBEDDING_OUTPUT, PIXELS_INPUT } from '../encoder/saved-encoder.js';
import { BATCH_NORM, type Encoding, encode, encoderParameters, initialStatistics } from '../infomax/network.js';
import type { InitialValues } from '../infomax/parameters.js';
import { type EmbeddingLayer, objectiveOf, type Recipe } from './recipe.js';

/** The layers that can be the embedding. */
export const EMBEDDING_LAYERS = ['mean', 'pooled', 'map'] as const satisfies readonly EmbeddingLayer[];

/** Weights and statistics after `step` steps. */
export type TrainedState = { readonly step: number; readonly state: NamedValues };

/**
 * The encoder as an ONNX model: preprocessed pixels [batch, side, side, 3] to `embedding`, rows of norm 1, and with
 * `features` to the feature map [batch, channels, height, width]. Several `layers` are concatenated, each of norm 1 by
 * itself. isNormalised false: raw layer outputs.
 */
export function encoderModel(recipe: Recipe, trained: TrainedState, outputs: EncoderOutputs): Uint8Array {
  const spec = objectiveOf(recipe).network;
  const { side } = recipe.input;
  // only the names and shapes are used, not the values
  const shapes: InitialValues = { ...encoderParameters(spec, () => 0), ...initialStatistics(spec) };
  const values = { ...trained.state, ...unbiasedStatistics(recipe, trained) };
  return exportInference({
    input: { name: PIXELS_INPUT, shape: [side, side, 3] },
    run: (x) => {
      const tensors = Object.fromEntries(
        Object.entries(shapes).map(([name, { shape }]) => [name, constant(values, name, shape)]),
      );
      const encoding = encode({ spec, parameters: tensors, statistics: tensors, images: x as tf.Tensor4D });
      const embedding = tf.concat(
        outputs.layers.map((layer) =>
          outputs.isNormalised === false ? layerOf(layer, encoding) : unitRows(layerOf(layer, encoding)),
        ),
        1,
      );
      return outputs.features ? { embedding, features: tf.transpose(encoding.map, [0, 3, 1, 2]) } : { embedding };
    },
  });
}

export type EncoderOutputs = {
  readonly layers: readonly EmbeddingLayer[];
  readonly features: boolean;
  readonly isNormalised?: boolean;
};

/** Dimensions of each layer. */
export function layerSizes(recipe: Recipe): Readonly<Record<EmbeddingLayer, number>> {
  const { stages, mapStages, codeSize } = recipe.network;
  // checkedRecipe requires a stage
  return { mean: codeSize, pooled: stages.at(-1)!.channels, map: stages[mapStages - 1]!.channels };
}

/**
 * Batch norm's moving statistics without the bias of their start (mean 0, variance 1), which still weighs momentum^step
 * and would distort encoders of short runs. The same correction as Adam's.
 */
function unbiasedStatistics(recipe: Recipe, { step, state }: TrainedState): NamedValues {
  const start = initialStatistics(objectiveOf(recipe).network);
  const remains = BATCH_NORM.momentum ** step;
  const entries = Object.entries(start).map(([name, { values }]) => {
    const moved = state[name];
    if (moved === undefined) throw new Error(`The training state has no ${name}. This is a bug.`);
    const corrected = Float32Array.from(moved, (value, index) =>
      step === 0 ? value : (value - remains * values[index]!) / (1 - remains),
    );
    return [name, corrected] as const;
  });
  return Object.fromEntries(entries);
}

/** An open encoder of all layers, each row of norm 1 unless opened otherwise. */
export interface LayerEncoder {
  /** images: [count, side, side, 3], written by writeInputTensor. Returns [count, size] for each layer. */
  encode(images: Float32Array, count: number): Promise<Readonly<Record<EmbeddingLayer, Float32Array>>>;
  close(): Promise<void>;
}

/** Opens a training state to compute all its layers in one pass on the CPU. */
export async function openLayerEncoder(
  recipe: Recipe,
  trained: TrainedState,
  options: { readonly threads?: number; readonly isNormalised?: boolean },
): Promise<LayerEncoder> {
  const { isNormalised = true, ...settings } = options;
  const session = await openSession(
    encoderModel(recipe, trained, { layers: EMBEDDING_LAYERS, features: false, isNormalised }),
    settings,
  );
  const { side } = recipe.input;
  const sizes = layerSizes(recipe);
  const width = EMBEDDING_LAYERS.reduce((sum, layer) => sum + sizes[layer], 0);
  return {
    async encode(images, count) {
      const outputs = await session.run({ [PIXELS_INPUT]: new ort.Tensor('float32', images, [count, side, side, 3]) });
      const joined = outputs[EMBEDDING_OUTPUT]!.data as Float32Array; // By the model above.
      let from = 0;
      const parts = EMBEDDING_LAYERS.map((layer) => {
        const part = new Float32Array(count * sizes[layer]);
        for (let row = 0; row < count; row++) {
          part.set(joined.subarray(row * width + from, row * width + from + sizes[layer]), row * sizes[layer]);
        }
        from += sizes[layer];
        return [layer, part] as const;
      });
      return Object.fromEntries(parts) as Record<EmbeddingLayer, Float32Array>; // One part for each layer, above.
    },
    close: () => session.release(),
  };
}

function layerOf(layer: EmbeddingLayer, { mean, pooled, map }: Encoding): tf.Tensor {
  if (layer === 'mean') return mean;
  return layer === 'pooled' ? pooled : tf.mean(map, [1, 2]);
}

function unitRows(x: tf.Tensor): tf.Tensor {
  return tf.div(x, tf.sqrt(tf.add(tf.sum(tf.square(x), 1, true), 1e-12)));
}

function constant(values: NamedValues, name: string, shape: readonly number[]): tf.Tensor {
  const found = values[name];
  if (found === undefined) throw new Error(`The training state has no ${name}. This is a bug.`);
  return tf.tensor(found, [...shape], 'float32');
}
