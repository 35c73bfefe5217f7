/**
 * The two passes of a closed-form fit over its images: moments of sparse codes, and moments of the cells of views. Both
 * run the encoder's own stages in ONNX Runtime and hold one batch of codes at most.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { OnnxValue } from '../../compile/onnx-model.js';
import { PIXELS_INPUT } from '../../encoder/saved-encoder.js';
import type { Pixels } from '../../images/pixels.js';
import { writeInputTensor } from '../../images/preprocessing.js';
import { type Random, seededRandom } from '../../seeded-random.js';
import { shrinkPixels } from '../resample.js';
import { ViewMoments } from './cell-projection.js';
import {
  type CodeProjection,
  cellStage,
  codeStage,
  featureStage,
  pooledStage,
  type Stage,
  stagesProgram,
} from './closed-form-graph.js';
import { type ClosedFormOptions, closedFormGeometry, closedFormPreprocessing } from './closed-form-options.js';
import type { PatchDictionary } from './patch-dictionary.js';
import { randomView } from './random-view.js';
import { type Moments, SecondMoments } from './second-moments.js';

type Images = AsyncIterable<Pixels> | Iterable<Pixels>;

/** Codes held at once: 64 MiB of float32. */
const CODE_BYTES_MAX = 1 << 26;
const BATCH_MAX = 64;

/**
 * Moments of the codes of random patches, and of the mean codes of images. `count`: number of images, of which
 * momentImages are taken, evenly spread. onProgress: number of images done.
 */
export async function codeMoments(options: {
  readonly images: Images;
  readonly count: number;
  readonly dictionary: PatchDictionary;
  readonly settings: ClosedFormOptions;
  readonly onProgress?: (images: number) => void;
}): Promise<{ readonly codes: Moments; readonly means: Moments }> {
  const { images, count, dictionary, settings, onProgress } = options;
  const { atoms, codesPerImage } = settings;
  const { patchesAcross } = closedFormGeometry(settings);
  const places = patchesAcross * patchesAcross;
  const drawn = Math.min(codesPerImage, places);
  const random = seededRandom(settings.seed + 2);
  const codes = await SecondMoments.open(atoms);
  const means = await SecondMoments.open(atoms);
  const program = await openStages(settings, [codeStage(dictionary, settings), samplingStage(places)], {
    inputs: [{ name: 'drawn_places', type: 'int64', dims: [drawn] }],
    outputs: [
      { name: 'drawn_codes', type: 'float32', dims: ['batch', drawn, atoms] },
      { name: 'mean_codes', type: 'float32', dims: ['batch', atoms] },
    ],
  });
  try {
    let done = 0;
    for await (const batch of batches(evenlySpread(images, count, settings.momentImages), batchSize(settings))) {
      const positions = BigInt64Array.from({ length: drawn }, () => BigInt(Math.floor(random() * places)));
      const outputs = await program.run(batch, { drawn_places: new Tensor('int64', positions, [drawn]) });
      await codes.add(outputs.drawn_codes!);
      await means.add(outputs.mean_codes!);
      done += batch.length;
      onProgress?.(done);
    }
    return { codes: await codes.moments(), means: await means.moments() };
  } finally {
    await program.close();
    await codes.close();
    await means.close();
  }
}

/**
 * Moments of pairs of cells: each unchanged image with `views` random views of it. Images are `oversampling` times as
 * large as the encoder's input; views are drawn in the order of the images. onProgress: number of images done.
 */
export async function viewMoments(options: {
  readonly images: Images;
  readonly dictionary: PatchDictionary;
  readonly codes: CodeProjection;
  readonly settings: ClosedFormOptions;
  readonly onProgress?: (images: number) => void;
}): Promise<{ readonly sums: Moments; readonly differences: Moments }> {
  const { images, dictionary, codes, settings, onProgress } = options;
  const { cellValues } = closedFormGeometry(settings);
  const random: Random = seededRandom(settings.seed + 3);
  const moments = await ViewMoments.open(cellValues);
  const program = await openStages(
    settings,
    [pooledStage(dictionary, settings), featureStage(codes, settings), cellStage(codes, settings)],
    {
      outputs: [{ name: 'cells', type: 'float32', dims: ['batch', cellValues] }],
    },
  );
  try {
    let done = 0;
    for await (const batch of batches(images, batchSize(settings))) {
      const plain = (await program.run(batch.map((pixels) => shrinkPixels(pixels, settings.oversampling)))).cells!;
      for (let view = 0; view < settings.views; view++) {
        const seen = await program.run(
          batch.map((pixels) => shrinkPixels(randomView(pixels, random, settings), settings.oversampling)),
        );
        await moments.add(plain, seen.cells!);
      }
      done += batch.length;
      onProgress?.(done);
    }
    return await moments.moments();
  } finally {
    await program.close();
    await moments.close();
  }
}

/** codes [B, K, P, P] -> the codes of the drawn patches [B, drawn, K] and the means over all patches [B, K]. */
function samplingStage(places: number): Stage {
  return {
    initializers: [{ name: 'flat_shape', dims: [3], data: BigInt64Array.of(0n, -1n, BigInt(places)) }],
    nodes: [
      { op: 'Reshape', inputs: ['codes', 'flat_shape'], outputs: ['flat_codes'] },
      { op: 'Gather', inputs: ['flat_codes', 'drawn_places'], outputs: ['drawn'], attributes: { axis: 2 } },
      { op: 'Transpose', inputs: ['drawn'], outputs: ['drawn_codes'], attributes: { perm: [0, 2, 1] } },
      { op: 'ReduceMean', inputs: ['flat_codes'], outputs: ['mean_codes'], attributes: { axes: [2], keepdims: 0 } },
    ],
    output: 'mean_codes',
  };
}

type StagesRun = {
  /** Outputs by name, all float32. */
  run(
    batch: readonly Pixels[],
    inputs?: Readonly<Record<string, Tensor>>,
  ): Promise<Readonly<Record<string, Float32Array>>>;
  close(): Promise<void>;
};

async function openStages(
  settings: ClosedFormOptions,
  stages: readonly Stage[],
  signature: { readonly inputs?: readonly OnnxValue[]; readonly outputs: readonly OnnxValue[] },
): Promise<StagesRun> {
  const { side } = settings;
  const preprocessing = closedFormPreprocessing(settings);
  const session = await InferenceSession.create(
    stagesProgram({ name: 'closed-form-fit', side, stages, ...signature }),
    {
      logSeverityLevel: 3,
    },
  );
  return {
    async run(batch, inputs = {}) {
      const target = new Float32Array(batch.length * 3 * side * side);
      for (const [index, pixels] of batch.entries()) writeInputTensor({ pixels, preprocessing, target, index });
      const outputs = await session.run({
        ...inputs,
        [PIXELS_INPUT]: new Tensor('float32', target, [batch.length, 3, side, side]),
      });
      // all outputs are float32
      return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
    },
    close: () => session.release(),
  };
}

function batchSize(settings: ClosedFormOptions): number {
  const { patchesAcross } = closedFormGeometry(settings);
  return Math.max(
    1,
    Math.min(BATCH_MAX, Math.floor(CODE_BYTES_MAX / (4 * settings.atoms * patchesAcross * patchesAcross))),
  );
}

async function* batches(images: Images, size: number): AsyncGenerator<readonly Pixels[]> {
  let batch: Pixels[] = [];
  for await (const pixels of images) {
    batch.push(pixels);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** At most `wanted` of `count` images, evenly spread: sorted folders begin with images of one class. */
async function* evenlySpread(images: Images, count: number, wanted: number): AsyncGenerator<Pixels> {
  let index = 0;
  for await (const pixels of images) {
    const isTaken =
      wanted >= count || Math.floor(((index + 1) * wanted) / count) > Math.floor((index * wanted) / count);
    index++;
    if (isTaken) yield pixels;
  }
}
