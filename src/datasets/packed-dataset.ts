/**
 * A dataset decoded once, at a recipe's size, into one file, since training reads every image many times. The file is a
 * cache, named after its source and verified by a hash; on any doubt it is made again.
 */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, readSync, statSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SearchError } from '../errors.js';
import type { Pixels } from '../images/pixels.js';
import type { Preprocessing } from '../images/preprocessing.js';
import type { Decode } from './decoding.js';
import { type ImageDataset, readPixels } from './image-dataset.js';

const VERSION = 1;
/** Larger files are read image by image. */
const MEMORY_BYTES_MAX = 2 ** 30;
const DECODED_AHEAD = 32;

/** Content of the JSON file beside the pixels. */
type Facts = {
  readonly version: typeof VERSION;
  readonly name: string;
  readonly source: string;
  readonly preprocessing: PackedPreprocessing;
  readonly count: number;
  readonly names: readonly string[];
  readonly classes: readonly string[] | null;
  readonly labels: readonly number[] | null;
  readonly skipped: readonly SkippedImage[];
  /** SHA-256 of the pixel file, hex. */
  readonly sha256: string;
};

/** The part of the preprocessing that determines packed pixels; normalisation is applied later. */
export type PackedPreprocessing = Pick<Preprocessing, 'width' | 'height' | 'fit' | 'resize'>;

/** A file that could not be read, and why. */
type SkippedImage = { readonly name: string; readonly reason: string };

/**
 * Images 0..count-1, each height x width x 3 bytes, in the order of the dataset without those that could not be read.
 */
export interface PackedDataset {
  readonly name: string;
  readonly count: number;
  readonly width: number;
  readonly height: number;
  readonly classes: readonly string[] | undefined;
  readonly labels: Int32Array | undefined;
  readonly names: readonly string[];
  readonly skipped: readonly SkippedImage[];
  /** SHA-256 of the pixels, hex; checkpoints store it. */
  readonly fingerprint: string;
  /** The pixel file, for a worker thread that opens it itself. */
  readonly file: string;
  /** Copies image `index` to `offset` of `target`. */
  copyImage(index: number, target: Uint8Array, offset: number): void;
  close(): void;
}

/**
 * Packs a dataset into `folder`, or reuses its file there. source: a text that changes when the files change. decode:
 * for images without pixels of this size in memory. Images that cannot be read are skipped and listed; INVALID_SETTINGS
 * where none can.
 */
export async function packDataset(options: {
  readonly dataset: ImageDataset;
  readonly source: string;
  readonly preprocessing: PackedPreprocessing;
  readonly decode: Decode;
  readonly folder: string;
  readonly onProgress?: (done: number, count: number) => void;
}): Promise<PackedDataset> {
  const { dataset, source, folder } = options;
  const { width, height, fit, resize } = options.preprocessing;
  const preprocessing = { width, height, fit, ...(resize && { resize }) };
  const key = createHash('sha256')
    .update(JSON.stringify([VERSION, source, preprocessing]))
    .digest('hex')
    .slice(0, 24);
  const files = { pixels: join(folder, `${key}.pixels`), facts: join(folder, `${key}.json`) };
  const known = await readFacts(files, { source, preprocessing });
  if (known !== undefined) return openPacked(files.pixels, known);

  await mkdir(folder, { recursive: true });
  const { readable, skipped, sha256 } = await writePixels(files.pixels, options);
  if (readable.length === 0) {
    await rm(files.pixels, { force: true });
    const example = skipped[0] === undefined ? '' : ` (${skipped[0].name}: ${skipped[0].reason})`;
    throw new SearchError(
      'INVALID_SETTINGS',
      `None of the ${dataset.count} images of ${dataset.name} can be read${example}.`,
    );
  }
  const facts: Facts = {
    version: VERSION,
    name: dataset.name,
    source,
    preprocessing,
    count: readable.length,
    names: readable.map((index) => dataset.imageName(index)),
    classes: dataset.classes ?? null,
    labels: dataset.labels === undefined ? null : readable.map((index) => dataset.labels![index]!),
    skipped,
    sha256,
  };
  await writeAside(files.facts, (write) => write(Buffer.from(JSON.stringify(facts))));
  return openPacked(files.pixels, facts);
}

/**
 * Opens a file of packed pixels by itself, for a worker thread. isHeld: keeps the pixels in memory up to {@link
 * MEMORY_BYTES_MAX}, for repeated reading.
 */
export function openPixels(
  file: string,
  size: { readonly count: number; readonly width: number; readonly height: number; readonly isHeld: boolean },
): PixelReader {
  const imageBytes = size.width * size.height * 3;
  const descriptor = openSync(file, 'r');
  const total = imageBytes * size.count;
  if (statSync(file).size !== total) {
    closeSync(descriptor);
    throw new Error(`${file} is not ${total} bytes long. Delete it; it is made again.`);
  }
  const readAt = (target: Uint8Array, offset: number, length: number, position: number): void => {
    for (let done = 0; done < length; ) {
      const count = readSync(descriptor, target, offset + done, length - done, position + done);
      if (count === 0) throw new Error(`${file} ended early: it was changed while in use.`);
      done += count;
    }
  };
  let whole: Uint8Array | undefined;
  if (size.isHeld && total <= MEMORY_BYTES_MAX) {
    whole = new Uint8Array(total);
    readAt(whole, 0, total, 0);
  }
  return {
    copyImage(index, target, offset) {
      if (index < 0 || index >= size.count)
        throw new Error(`There is no image ${index} of ${size.count}. This is a bug.`);
      if (whole === undefined) readAt(target, offset, imageBytes, index * imageBytes);
      else target.set(whole.subarray(index * imageBytes, (index + 1) * imageBytes), offset);
    },
    close: () => closeSync(descriptor),
  };
}

/** See {@link openPixels}. */
export type PixelReader = Pick<PackedDataset, 'copyImage' | 'close'>;

/** The images of a packed dataset in their order, from the start at each iteration; one is held at a time. */
export function packedImages(dataset: PackedDataset): Iterable<Pixels> {
  const { width, height, count } = dataset;
  return {
    *[Symbol.iterator]() {
      for (let index = 0; index < count; index++) {
        const rgb = new Uint8Array(width * height * 3);
        dataset.copyImage(index, rgb, 0);
        yield { width, height, rgb };
      }
    },
  };
}

function openPacked(file: string, facts: Facts): PackedDataset {
  const { name, count, names, skipped, sha256, preprocessing } = facts;
  const { width, height } = preprocessing;
  const { copyImage, close } = openPixels(file, { count, width, height, isHeld: false });
  const labels = facts.labels === null ? undefined : Int32Array.from(facts.labels);
  const classes = facts.classes ?? undefined;
  return { name, count, width, height, classes, labels, names, skipped, fingerprint: sha256, file, copyImage, close };
}

/** Facts of an intact packed file for this source and size; undefined where it must be made again. */
async function readFacts(
  files: { readonly pixels: string; readonly facts: string },
  wanted: Pick<Facts, 'source' | 'preprocessing'>,
): Promise<Facts | undefined> {
  const text = await readFile(files.facts, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const facts = JSON.parse(text) as Facts; // the file name holds the version, and the hash is checked below
    const fits =
      facts.source === wanted.source && JSON.stringify(facts.preprocessing) === JSON.stringify(wanted.preprocessing);
    return fits && (await sha256Of(files.pixels)) === facts.sha256 ? facts : undefined;
  } catch {
    return undefined; // damaged: made again
  }
}

type Written = {
  readonly readable: readonly number[];
  readonly skipped: readonly SkippedImage[];
  readonly sha256: string;
};

/** Decodes in the dataset's order, some images ahead, and writes those that can be read. */
async function writePixels(file: string, options: Parameters<typeof packDataset>[0]): Promise<Written> {
  const { dataset, preprocessing, decode, onProgress } = options;
  const readable: number[] = [];
  const skipped: SkippedImage[] = [];
  const hash = createHash('sha256');
  await writeAside(file, async (write) => {
    const ahead: Promise<Pixels | Error>[] = [];
    for (let index = 0; index < dataset.count; index++) {
      for (let next = index + ahead.length; next < Math.min(dataset.count, index + DECODED_AHEAD); next++) {
        const read = readPixels(dataset, next, { ...preprocessing, decode });
        read.catch(() => undefined); // reported when it is awaited; an earlier failure may end the loop before that
        ahead.push(read);
      }
      const pixels = await ahead.shift()!; // the loop above filled it
      if (pixels instanceof Error) skipped.push({ name: dataset.imageName(index), reason: pixels.message });
      else {
        readable.push(index);
        hash.update(pixels.rgb);
        await write(pixels.rgb);
      }
      onProgress?.(index + 1, dataset.count);
    }
  });
  return { readable, skipped, sha256: hash.digest('hex') };
}

/** Writes beside, flushes, renames: whoever finds the name finds all of it. */
async function writeAside(
  file: string,
  write: (append: (bytes: Uint8Array) => Promise<unknown>) => Promise<unknown>,
): Promise<void> {
  const aside = `${file}.${process.pid}.partial`;
  const handle = await open(aside, 'w');
  try {
    await write((bytes) => handle.appendFile(bytes));
    await handle.sync();
    await handle.close();
    await rename(aside, file);
  } catch (error) {
    await handle.close().catch(() => undefined); // closed already, perhaps
    await rm(aside, { force: true });
    throw error;
  }
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  // no encoding is set
  for await (const bytes of createReadStream(file, { highWaterMark: 2 ** 20 })) hash.update(bytes as Uint8Array);
  return hash.digest('hex');
}
