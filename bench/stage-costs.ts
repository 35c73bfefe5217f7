/**
 * Processor milliseconds of the stages of one image, with every core busy with them, as they are under load: cores that
 * share caches or pipelines are slower together than alone. Started as a program, it is one of the copies that measure.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { openOnnxRuntime } from '../src/encoder/onnx-runtime.js';
import { readSavedEncoder } from '../src/encoder/saved-encoder.js';
import { decodeImage, restrictSharp } from '../src/images/decoding/decode-image.js';
import { DEFAULT_IMAGE_LIMITS } from '../src/images/decoding/image-limits.js';
import { SETTINGS } from '../src/settings.js';
import { decodeWithLibraries } from './bare-decode.js';
import { figureOf } from './measuring.js';
import { readPhotos } from './photographs.js';

/**
 * One image decoded (encoder's input, perceptual hash and digest, for POST /index the thumbnail too) and encoded, in
 * processor milliseconds.
 */
export type StageCosts = { readonly decode: number; readonly encode: number };

/**
 * By the bare libraries, called plainly one after the other, and by our own functions, without queue, process or HTTP
 * around them.
 */
export type StageCostsOfBoth = { readonly libraries: StageCosts; readonly ours: StageCosts };

const PHOTOS = 100;
const RUNS = 3;
/** Argument of the copies. */
const COPY = '--copy';

/** The mean of as many copies of this program as there are cores, all at once. */
export async function stageCosts(options: { readonly thumbnail: boolean }): Promise<StageCostsOfBoth> {
  const copies = await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      const copy = fork(fileURLToPath(import.meta.url), [COPY, String(options.thumbnail)]);
      const [costs] = (await once(copy, 'message')) as [StageCostsOfBoth];
      return costs;
    }),
  );
  const mean = (costOf: (costs: StageCostsOfBoth) => number): number =>
    copies.reduce((sum, costs) => sum + costOf(costs), 0) / copies.length;
  const encode = mean(({ ours }) => ours.encode);
  return {
    libraries: { decode: mean(({ libraries }) => libraries.decode), encode },
    ours: { decode: mean(({ ours }) => ours.decode), encode },
  };
}

/** Medians of a few runs over the photographs. */
async function measure(thumbnail: boolean): Promise<StageCostsOfBoth> {
  restrictSharp();
  const photos = await readPhotos(PHOTOS);
  const saved = await readSavedEncoder(SETTINGS.model.default);
  const { preprocessing } = saved.manifest;
  const runtime = await openOnnxRuntime(saved, { device: 'cpu', threads: 1 });
  const tensor = new Float32Array(3 * preprocessing.width * preprocessing.height);
  const settings = { limits: DEFAULT_IMAGE_LIMITS, preprocessing, thumbnailSize: 256 };
  const bare = { width: preprocessing.width, height: preprocessing.height, thumbnailSize: settings.thumbnailSize };
  const cpuMs = async (stage: (photo: Buffer) => Promise<unknown>): Promise<number> => {
    const runs: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      const before = process.cpuUsage();
      for (const photo of photos) await stage(photo);
      const { user, system } = process.cpuUsage(before);
      runs.push((user + system) / 1000 / photos.length);
    }
    return figureOf(runs).median;
  };
  const librariesDecode = await cpuMs((photo) => decodeWithLibraries(photo, { ...bare, thumbnail }));
  const oursDecode = await cpuMs((photo) => decodeImage(photo, { ...settings, thumbnail }));
  const encode = await cpuMs(() => runtime.run(tensor, 1));
  await runtime.close();
  return { libraries: { decode: librariesDecode, encode }, ours: { decode: oursDecode, encode } };
}

if (process.argv[2] === COPY) {
  process.send?.(await measure(process.argv[3] === 'true'));
  process.disconnect();
}
