/** One pass over the pictures of a fit: the features of each picture and of random views of it. */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { inputShape } from '../../encoder/runtime.js';
import { PIXELS_INPUT } from '../../encoder/saved-encoder.js';
import type { EmbeddingMatrix } from '../../evaluation/embedding-matrix.js';
import type { Pixels } from '../../images/pixels.js';
import { writeInputTensor } from '../../images/preprocessing.js';
import { seededRandom } from '../../seeded-random.js';
import { ViewMoments } from '../closed-form/cell-projection.js';
import { randomView } from '../closed-form/random-view.js';
import { FIT_OUTPUTS, fitProgram } from './adapt-graph.js';
import type { Backbone } from './backbone.js';
import { featureSize, type PooledTap } from './choose-taps.js';

/** Rows of a fit's program, by output: features of the taps, embeddings of the encoders as they are. */
export type Rows = {
  readonly taps: EmbeddingMatrix;
  readonly backbone: EmbeddingMatrix;
  readonly also?: EmbeddingMatrix;
};

/**
 * What a fit needs of its pictures. `moments`: of pictures that are not held out, and their views; the caller closes
 * it. `pictures`: a sample, the held-out ones among them at the places `heldOut`. `views`: of the held-out ones, view
 * v of picture i in row i x views + v.
 */
export type AdaptFeatures = {
  readonly images: number;
  readonly moments: ViewMoments;
  readonly pictures: Rows;
  readonly heldOut: readonly number[];
  readonly views: Rows;
};

const BATCH = 16;
/** Pictures that held-out views are searched among. */
const SAMPLE_MAX = 2000;
/** Pictures held out for the choices: a fifth, this many at most. */
const HELD_OUT_MAX = 400;
const HELD_OUT_SHARE = 0.2;

/** Runs the backbone over `count` pictures of its input size and `views` random views of each. */
export async function adaptFeatures(options: {
  readonly images: Iterable<Pixels> | AsyncIterable<Pixels>;
  readonly count: number;
  readonly backbone: Backbone;
  readonly taps: readonly PooledTap[];
  readonly also: Backbone | undefined;
  readonly views: number;
  readonly frameProbability: number;
  readonly seed: number;
  readonly threads: number | undefined;
  readonly onProgress?: (images: number) => void;
}): Promise<AdaptFeatures> {
  const { images, count, taps, views, seed, onProgress } = options;
  const random = seededRandom(seed, 'adapt views');
  const isHeldOut = evenly(count, Math.min(HELD_OUT_MAX, Math.floor(count * HELD_OUT_SHARE)));
  const isSampled = evenly(count, SAMPLE_MAX);
  const [pictures, seen] = [new RowList(), new RowList()];
  const heldOut: number[] = [];
  const moments = await ViewMoments.open(featureSize(taps));
  const program = await openFitProgram(options);
  try {
    let done = 0;
    for await (const batch of batches(images)) {
      const plain = await program.run(batch);
      const ofViews: Outputs[] = [];
      for (let view = 0; view < views; view++)
        ofViews.push(await program.run(batch.map((pixels) => randomView(pixels, random, options))));
      const fitted: number[] = [];
      for (let place = 0; place < batch.length; place++) {
        if (isHeldOut(done + place)) {
          heldOut.push(pictures.count);
          for (const outputs of ofViews) seen.add(outputs, place);
        } else fitted.push(place);
        if (isHeldOut(done + place) || isSampled(done + place)) pictures.add(plain, place);
      }
      for (const outputs of ofViews)
        await moments.add(picked(plain[FIT_OUTPUTS.taps]!, fitted), picked(outputs[FIT_OUTPUTS.taps]!, fitted));
      done += batch.length;
      onProgress?.(done);
    }
    return { images: done, moments, pictures: pictures.rows(), heldOut, views: seen.rows() };
  } catch (error) {
    await moments.close();
    throw error;
  } finally {
    await program.close();
  }
}

type Outputs = Readonly<Record<string, EmbeddingMatrix>>;

async function openFitProgram(options: Parameters<typeof adaptFeatures>[0]) {
  const { backbone, threads = 0 } = options;
  const { encoder } = backbone;
  const { preprocessing } = encoder.manifest;
  const session = await InferenceSession.create(fitProgram(options), {
    intraOpNumThreads: threads,
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  return {
    async run(batch: readonly Pixels[]): Promise<Outputs> {
      const shape = inputShape(encoder, batch.length);
      const target = new Float32Array(shape.reduce((product, size) => product * size, 1));
      for (const [index, pixels] of batch.entries()) writeInputTensor({ pixels, preprocessing, target, index });
      const outputs = await session.run({ [PIXELS_INPUT]: new Tensor('float32', target, [...shape]) });
      return Object.fromEntries(
        Object.entries(outputs).map(([name, { data, dims }]) => [
          name,
          { rows: batch.length, dimensions: dims[1]!, values: data as Float32Array }, // all outputs are float32
        ]),
      );
    },
    close: () => session.release(),
  };
}

/** Rows of every output, gathered one by one. */
class RowList {
  count = 0;
  readonly #parts = new Map<string, { readonly dimensions: number; readonly rows: Float32Array[] }>();

  add(outputs: Outputs, place: number): void {
    for (const [name, matrix] of Object.entries(outputs)) {
      const part = this.#parts.get(name) ?? { dimensions: matrix.dimensions, rows: [] };
      part.rows.push(picked(matrix, [place]));
      this.#parts.set(name, part);
    }
    this.count++;
  }

  rows(): Rows {
    const matrix = (name: string): EmbeddingMatrix => {
      const { dimensions, rows } = this.#parts.get(name) ?? { dimensions: 0, rows: [] };
      const values = new Float32Array(rows.length * dimensions);
      for (const [at, row] of rows.entries()) values.set(row, at * dimensions);
      return { rows: rows.length, dimensions, values };
    };
    return {
      taps: matrix(FIT_OUTPUTS.taps),
      backbone: matrix(FIT_OUTPUTS.backbone),
      ...(this.#parts.has(FIT_OUTPUTS.also) && { also: matrix(FIT_OUTPUTS.also) }),
    };
  }
}

function picked({ dimensions, values }: EmbeddingMatrix, places: readonly number[]): Float32Array {
  const rows = new Float32Array(places.length * dimensions);
  for (const [at, place] of places.entries())
    rows.set(values.subarray(place * dimensions, (place + 1) * dimensions), at * dimensions);
  return rows;
}

/** Whether a place is among `wanted` of `count`, evenly spread. */
function evenly(count: number, wanted: number): (index: number) => boolean {
  return (index) =>
    wanted >= count || Math.floor(((index + 1) * wanted) / count) > Math.floor((index * wanted) / count);
}

async function* batches(images: Iterable<Pixels> | AsyncIterable<Pixels>): AsyncGenerator<readonly Pixels[]> {
  let batch: Pixels[] = [];
  for await (const pixels of images) {
    batch.push(pixels);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
