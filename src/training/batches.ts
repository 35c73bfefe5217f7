/** The inputs of training steps, each determined by the recipe, the images and the step alone. */
import { Worker } from 'node:worker_threads';
import type { NamedValues } from '../compile/program.js';
import type { PackedDataset, PixelReader } from '../datasets/packed-dataset.js';
import { writeInputTensor } from '../images/preprocessing.js';
import { priorSamples } from '../infomax/adversarial-prior.js';
import { PAIR_TERMS } from '../infomax/objective.js';
import { drawNegatives } from '../infomax/pairs.js';
import { normalNoise, randomStream, shuffledIndices } from '../seeded-random.js';
import { augment } from './augmentation.js';
import { preprocessingOf, type Recipe } from './recipe.js';
import { drawsNegatives, NEGATIVES_INPUT, PRIOR_INPUT } from './training-program.js';

/** Steps in an epoch. Only whole batches count; the images left over differ from epoch to epoch. */
export function stepsPerEpoch(recipe: Recipe, count: number): number {
  return Math.floor(count / recipe.optimiser.batchSize);
}

/** The order in which an epoch visits images 0..count-1. */
export function epochOrder(seed: number, epoch: number, count: number): Uint32Array {
  return shuffledIndices(count, randomStream(seed, 'order', epoch));
}

/** Makes the inputs of any step; caches the order of the last epoch. */
export class BatchMaker {
  readonly #recipe: Recipe;
  readonly #images: { readonly reader: PixelReader; readonly count: number };
  #order: { readonly epoch: number; readonly indices: Uint32Array } | undefined;

  constructor(recipe: Recipe, images: { readonly reader: PixelReader; readonly count: number }) {
    this.#recipe = recipe;
    this.#images = images;
  }

  /** Inputs of step `step` (0 is the first of the run), without the learning rate. The caller owns the arrays. */
  make(step: number): Record<string, Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>> {
    const { seed, views, network, optimiser, prior } = this.#recipe;
    const { batchSize } = optimiser;
    const random = randomStream(seed, 'batch', step);
    const feeds: Record<string, Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>> = {
      images: this.#pixels(step),
      noise: Float32Array.from(normalNoise(batchSize * views * network.codeSize, random)),
    };
    for (const term of PAIR_TERMS) {
      if (drawsNegatives(this.#recipe, term)) {
        feeds[NEGATIVES_INPUT[term]] = Int32Array.from(drawNegatives(this.#recipe[term].negatives, batchSize, random));
      }
    }
    if (prior !== undefined) {
      // An own random stream, so that a recipe with another prior draws the same noise and the same false pairs.
      const samples = priorSamples(prior, batchSize * views * network.codeSize, randomStream(seed, 'prior', step));
      feeds[PRIOR_INPUT] = Float32Array.from(samples);
    }
    return feeds;
  }

  /** [V * B, side, side, 3]: the first views of all images, then the second ones. */
  #pixels(step: number): Float32Array<ArrayBuffer> {
    const { seed, input, views, augmentation, optimiser } = this.#recipe;
    const { side } = input;
    const { batchSize } = optimiser;
    const { reader, count } = this.#images;
    const steps = stepsPerEpoch(this.#recipe, count);
    const epoch = Math.floor(step / steps);
    if (this.#order?.epoch !== epoch) this.#order = { epoch, indices: epochOrder(seed, epoch, count) };
    const preprocessing = preprocessingOf(this.#recipe);
    const target = new Float32Array(batchSize * views * side * side * 3);
    const source = new Uint8Array(side * side * 3);
    const view = new Uint8Array(side * side * 3);
    for (let place = 0; place < batchSize; place++) {
      const image = this.#order.indices[(step % steps) * batchSize + place]!;
      reader.copyImage(image, source, 0);
      for (let version = 0; version < views; version++) {
        if (augmentation !== null) {
          augment({
            source,
            target: view,
            side,
            augmentation,
            random: randomStream(seed, 'view', epoch, image, version),
          });
        }
        const rgb = augmentation === null ? source : view;
        writeInputTensor({
          pixels: { width: side, height: side, rgb },
          preprocessing,
          target,
          index: version * batchSize + place,
        });
      }
    }
    return target;
  }
}

/** Inputs of consecutive steps. */
export interface Batches {
  next(): Promise<NamedValues>;
  close(): Promise<void>;
}

export type BatchWorkerData = {
  readonly recipe: Recipe;
  readonly file: string;
  readonly count: number;
  readonly firstStep: number;
};

/** Batches prepared ahead of their step. */
const AHEAD = 2;

/** Batches from step `firstStep` on, prepared by a worker thread, since ONNX Runtime blocks this one during a step. */
export function openBatches(recipe: Recipe, dataset: PackedDataset, firstStep: number): Batches {
  return new WorkerBatches({ recipe, file: dataset.file, count: dataset.count, firstStep });
}

class WorkerBatches implements Batches {
  readonly #worker: Worker;
  readonly #ready: NamedValues[] = [];
  #waiting: { readonly resolve: (feeds: NamedValues) => void; readonly reject: (error: unknown) => void } | undefined;
  #failure: unknown;

  constructor(workerData: BatchWorkerData) {
    this.#worker = new Worker(new URL('./batch-worker.js', import.meta.url), { workerData });
    this.#worker.on('message', (feeds: NamedValues) => {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      if (waiting === undefined) this.#ready.push(feeds);
      else waiting.resolve(feeds);
    });
    this.#worker.on('error', (error) => {
      this.#failure = error;
      this.#waiting?.reject(error);
    });
    for (let i = 0; i < AHEAD; i++) this.#worker.postMessage('next');
  }

  next(): Promise<NamedValues> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#worker.postMessage('next');
    const feeds = this.#ready.shift();
    if (feeds !== undefined) return Promise.resolve(feeds);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
