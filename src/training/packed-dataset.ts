/**
 * A dataset decoded once, at the size a recipe asks for, in one file: training reads pixels millions of times and must not decode them each
 * time. The file is a cache: named by what it was made from, written aside, flushed, renamed and hashed; any doubt means making it again.
 */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, readSync, statSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SearchError } from '../errors.js';
import type { ImageDataset } from '../images/image-dataset.js';
import type { Pixels } from '../images/pixels.js';
import type { Preprocessing } from '../images/preprocessing.js';

const VERSION = 1;
/** Larger files are read image by image instead of being held. */
const MEMORY_BYTES_MAX = 2 ** 30;
const DECODED_AHEAD = 32;

/** What stands in the side-car file, packed.json. */
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

/** What decides the bytes of packed pixels. Normalisation comes later, so recipes that differ in it share a file. */
export type PackedPreprocessing = Pick<Preprocessing, 'width' | 'height' | 'fit'>;

/** A file that could not be read, and why. */
export type SkippedImage = { readonly name: string; readonly reason: string };

/** Images 0..count-1, each height x width x 3 bytes, in the order of the dataset without those that could not be read. */
export interface PackedDataset {
  readonly name: string;
  readonly count: number;
  readonly width: number;
  readonly height: number;
  readonly classes: readonly string[] | undefined;
  readonly labels: Int32Array | undefined;
  readonly names: readonly string[];
  readonly skipped: readonly SkippedImage[];
  /** SHA-256 of the pixels, hex: what a checkpoint remembers of its data. */
  readonly fingerprint: string;
  /** Where the pixels are, for a worker that opens them itself. */
  readonly file: string;
  /** Copies image `index` to `offset` of `target`. */
  copyImage(index: number, target: Uint8Array, offset: number): void;
  close(): void;
}

/**
 * The dataset packed: found in `folder` if it was packed before, else decoded now. source: a text that changes when the files do. decode:
 * bytes of a file to pixels of the preprocessing's size, for images whose own pixels have another size. Images that cannot be read are
 * skipped and listed; INVALID_SETTINGS where none can.
 */
export async function packDataset(options: {
  readonly dataset: ImageDataset;
  readonly source: string;
  readonly preprocessing: PackedPreprocessing;
  readonly decode: (bytes: Uint8Array) => Promise<Pixels>;
  readonly folder: string;
  readonly onProgress?: (done: number, count: number) => void;
}): Promise<PackedDataset> {
  const { dataset, source, folder } = options;
  const { width, height, fit } = options.preprocessing;
  const preprocessing = { width, height, fit };
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
    throw new SearchError('INVALID_SETTINGS', `None of the ${dataset.count} images of ${dataset.name} can be read${example}.`);
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
 * Opens a file of packed pixels by itself, for a worker thread. count, width, height: as the dataset says that made it. isHeld: keeps it in memory
 * where it is not too large, for those who read all of it again and again.
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
      if (index < 0 || index >= size.count) throw new Error(`There is no image ${index} of ${size.count}. This is a bug.`);
      if (whole === undefined) readAt(target, offset, imageBytes, index * imageBytes);
      else target.set(whole.subarray(index * imageBytes, (index + 1) * imageBytes), offset);
    },
    close: () => closeSync(descriptor),
  };
}

/** See {@link openPixels}. */
export type PixelReader = Pick<PackedDataset, 'copyImage' | 'close'>;

function openPacked(file: string, facts: Facts): PackedDataset {
  const { name, count, names, skipped, sha256, preprocessing } = facts;
  const { width, height } = preprocessing;
  const { copyImage, close } = openPixels(file, { count, width, height, isHeld: false });
  const labels = facts.labels === null ? undefined : Int32Array.from(facts.labels);
  const classes = facts.classes ?? undefined;
  return { name, count, width, height, classes, labels, names, skipped, fingerprint: sha256, file, copyImage, close };
}

/** The facts of a packed file that fits and is whole; undefined where it must be made again, which is always safe. */
async function readFacts(
  files: { readonly pixels: string; readonly facts: string },
  wanted: Pick<Facts, 'source' | 'preprocessing'>,
): Promise<Facts | undefined> {
  const text = await readFile(files.facts, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const facts = JSON.parse(text) as Facts; // This version's own writing: its key names the version, and the hash below its pixels.
    const fits = facts.source === wanted.source && JSON.stringify(facts.preprocessing) === JSON.stringify(wanted.preprocessing);
    return fits && (await sha256Of(files.pixels)) === facts.sha256 ? facts : undefined;
  } catch {
    return undefined; // Damaged or half deleted: made again.
  }
}

type Written = { readonly readable: readonly number[]; readonly skipped: readonly SkippedImage[]; readonly sha256: string };

/** Decodes in the dataset's order, some ahead, and writes what can be read. */
async function writePixels(file: string, options: Parameters<typeof packDataset>[0]): Promise<Written> {
  const { dataset, onProgress } = options;
  const readable: number[] = [];
  const skipped: SkippedImage[] = [];
  const hash = createHash('sha256');
  await writeAside(file, async (write) => {
    const ahead: Promise<Pixels | Error>[] = [];
    for (let index = 0; index < dataset.count; index++) {
      for (let next = index + ahead.length; next < Math.min(dataset.count, index + DECODED_AHEAD); next++) {
        const read = readPixels(options, next);
        read.catch(() => undefined); // Told when its turn comes; one before it may end the loop first.
        ahead.push(read);
      }
      const pixels = await ahead.shift()!; // The line above put it there.
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

/** Pixels of the wanted size, or why the image cannot be read. Faults of ours (decoders that cannot start, say) reject. */
async function readPixels(options: Parameters<typeof packDataset>[0], index: number): Promise<Pixels | Error> {
  const { dataset, preprocessing, decode } = options;
  try {
    const own = await dataset.pixels(index);
    const fits = own.width === preprocessing.width && own.height === preprocessing.height;
    return fits ? own : await decode(await dataset.bytes(index));
  } catch (error) {
    const isOfTheImage = error instanceof SearchError && (error.httpStatus < 500 || error.code === 'DECODER_FAILED');
    const isOfTheFile = error instanceof Error && 'syscall' in error;
    return isOfTheImage || isOfTheFile ? (error as Error) : Promise.reject(error); // An Error by either test.
  }
}

/** Writes beside, flushes, renames: whoever finds the name finds all of it. */
async function writeAside(file: string, write: (append: (bytes: Uint8Array) => Promise<unknown>) => Promise<unknown>): Promise<void> {
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
  for await (const bytes of createReadStream(file, { highWaterMark: 2 ** 20 })) hash.update(bytes as Uint8Array); // no encoding is set
  return hash.digest('hex');
}
