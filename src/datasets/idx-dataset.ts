/**
 * Reader of IDX files, the format of MNIST and its descendants (Fashion-MNIST, EMNIST). Source: LeCun, "The MNIST
 * Database", file formats.
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { SearchError } from '../errors.js';
import type { Pixels } from '../images/pixels.js';
import { type ImageDataset, pixelDataset } from './image-dataset.js';

/** Largest unpacked size of a compressed file: ten times Fashion-MNIST's. */
const UNPACKED_BYTES_MAX = 512 * 1024 * 1024;
const UNSIGNED_BYTES = 8;
const IMAGES_NAME = /images.*\.?idx[34][-.]ubyte(\.gz)?$/;

/** An images file with the labels file of the same split, where there is one. */
type IdxPair = { readonly imagesFile: string; readonly labelsFile?: string };

/** The splits of an IDX dataset. */
export type IdxFiles = { readonly train: IdxPair; readonly test: IdxPair | undefined };

/**
 * The IDX files that `path` names: an images file such as train-images-idx3-ubyte.gz, or a folder of such files, where
 * those of t10k or test are the test split. Labels lie beside their images (train-labels-idx1-ubyte). Undefined where
 * `path` is anything else.
 */
export async function findIdxFiles(path: string): Promise<IdxFiles | undefined> {
  const folder = IMAGES_NAME.test(path) ? dirname(path) : path;
  const names = await readdir(folder).catch((): string[] => []); // not a folder: opening it as one reports that
  const pairOf = (images: string): IdxPair => {
    const labels = images.replace('images', 'labels').replace(/idx[34]/, 'idx1');
    const found = [labels, `${labels}.gz`, labels.replace(/\.gz$/, '')].find((name) => names.includes(name));
    return { imagesFile: join(folder, images), ...(found !== undefined && { labelsFile: join(folder, found) }) };
  };
  if (folder !== path) return { train: pairOf(basename(path)), test: undefined };
  const images = names.filter((name) => IMAGES_NAME.test(name)).sort();
  const isTest = (name: string): boolean => /^(t10k|test)/.test(name);
  const [train, test] = [images.find((name) => !isTest(name)), images.find(isTest)];
  return train === undefined
    ? undefined
    : { train: pairOf(train), test: test === undefined ? undefined : pairOf(test) };
}

/**
 * Reads images ([count, height, width] grey or [count, height, width, 3]) and, where given, labels ([count]), plain or
 * gzipped. Grey becomes three equal channels. classes: names of the labels; without them, the numbers themselves.
 * INVALID_SETTINGS names a file that cannot be read or is no such IDX file.
 */
export async function readIdxDataset(options: {
  readonly imagesFile: string;
  readonly labelsFile?: string;
  readonly classes?: readonly string[];
}): Promise<ImageDataset> {
  const { imagesFile, labelsFile } = options;
  const file = await readIdx(imagesFile);
  const [count = 0, height = 0, width = 0, channels = 1] = file.shape;
  if (file.shape.length < 3 || file.shape.length > 4 || (channels !== 1 && channels !== 3)) {
    throw invalid(
      imagesFile,
      `has the shape [${file.shape.join(', ')}], not [count, height, width] or [count, height, width, 3]`,
    );
  }
  const size = height * width * channels;
  const images: Pixels[] = Array.from({ length: count }, (_, index) => {
    const values = file.values.subarray(index * size, (index + 1) * size);
    return { width, height, rgb: channels === 3 ? values : greyToRgb(values) };
  });
  const labels = labelsFile === undefined ? undefined : await readLabels(labelsFile, count);
  const highest = labels?.reduce((most, label) => Math.max(most, label), -1) ?? -1;
  if (labelsFile !== undefined && options.classes && highest >= options.classes.length) {
    throw invalid(labelsFile, `holds the label ${highest}, but only ${options.classes.length} classes are named`);
  }
  const classes = labels && (options.classes ?? Array.from({ length: highest + 1 }, (_, label) => String(label)));
  return pixelDataset({ name: basename(imagesFile), images, labels, classes });
}

type IdxFile = { readonly shape: readonly number[]; readonly values: Uint8Array };

async function readLabels(path: string, count: number): Promise<Uint8Array> {
  const { shape, values } = await readIdx(path);
  if (shape.length !== 1 || shape[0] !== count)
    throw invalid(path, `has the shape [${shape.join(', ')}], not [${count}], one label per image`);
  return values;
}

/**
 * Parses a file: two zero bytes, element type, number of dimensions; each dimension as a big-endian uint32; then the
 * values.
 */
async function readIdx(path: string): Promise<IdxFile> {
  const bytes = await unpacked(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint16(0) !== 0)
    throw invalid(path, 'is no IDX file (it does not begin with two zero bytes)');
  if (bytes[2] !== UNSIGNED_BYTES) throw invalid(path, `has elements of type ${bytes[2]}, not unsigned bytes (8)`);
  const rank = bytes[3]!;
  const start = 4 + 4 * rank;
  if (bytes.length < start) throw invalid(path, 'ends within its header');
  const shape = Array.from({ length: rank }, (_, dimension) => view.getUint32(4 + 4 * dimension));
  const size = shape.reduce((product, length) => product * length, 1);
  if (bytes.length - start !== size)
    throw invalid(path, `holds ${bytes.length - start} values, not the ${size} of [${shape.join(', ')}]`);
  return { shape, values: bytes.subarray(start) };
}

async function unpacked(path: string): Promise<Uint8Array> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new SearchError(
      'INVALID_SETTINGS',
      `Cannot read ${path}. Give an IDX file, such as train-images-idx3-ubyte.gz.`,
      { cause },
    );
  });
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  return await promisify(gunzip)(bytes, { maxOutputLength: UNPACKED_BYTES_MAX }).catch((cause: unknown) => {
    throw invalid(path, `cannot be unpacked, or is larger than ${UNPACKED_BYTES_MAX} bytes unpacked`, cause);
  });
}

function greyToRgb(grey: Uint8Array): Uint8Array {
  const rgb = new Uint8Array(grey.length * 3);
  for (let i = 0; i < grey.length; i++) rgb.fill(grey[i]!, i * 3, i * 3 + 3);
  return rgb;
}

function invalid(path: string, what: string, cause?: unknown): SearchError {
  return new SearchError('INVALID_SETTINGS', `${path} ${what}. Give IDX files as MNIST's site describes them.`, {
    cause,
  });
}
