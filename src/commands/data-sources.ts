/** `--data`: where pictures come from, as datasets to learn from and to be asked about. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { openFolderDataset } from '../images/folder-dataset.js';
import { type ImageDataset, pixelDataset, subset } from '../images/image-dataset.js';
import type { Pixels } from '../images/pixels.js';
import { CIFAR10_CLASSES, readCifar10 } from '../training/cifar.js';
import { downloadCifar10, holdsCifar10 } from '../training/cifar-download.js';

/**
 * Pictures, split: `database` to learn from and to search in, `queries` held out (undefined where none are). source: a text that changes when the files of
 * the database do. description: for a model card.
 */
export type DataSource = {
  readonly database: ImageDataset;
  readonly queries: ImageDataset | undefined;
  readonly source: string;
  readonly description: string;
};

/**
 * Opens a folder of pictures, a folder of CIFAR-10's binary batches (its test split held out), or `cifar10`: that folder if it is there, else the one
 * in the cache, downloaded where it is not. heldOut: share of a folder's pictures that stays out, chosen by their names, so that adding
 * pictures moves none. decode: bytes to pixels of the encoder's size.
 */
export async function openDataSource(options: {
  readonly data: string;
  readonly cache: string;
  readonly heldOut: number;
  readonly decode: (bytes: Uint8Array) => Promise<Pixels>;
  readonly onNote?: (note: string) => void;
}): Promise<DataSource> {
  const { data, cache, heldOut, decode, onNote } = options;
  const cifarFolder = await cifarFolderOf(data, cache, onNote);
  if (cifarFolder !== undefined) return openCifar(cifarFolder);
  const whole = await openFolderDataset({ folder: data, decode });
  const isHeldOut = Array.from({ length: whole.count }, (_, index) => shareOf(whole.imageName(index)) < heldOut);
  const indices = (wanted: boolean): number[] => isHeldOut.flatMap((out, index) => (out === wanted ? [index] : []));
  const database = heldOut > 0 ? subset(whole, indices(false)) : whole;
  return {
    database,
    queries: heldOut > 0 && isHeldOut.includes(true) ? subset(whole, indices(true)) : undefined,
    source: await folderSource(data, database),
    description: `pictures of the folder ${whole.name}${heldOut > 0 ? `, without ${Math.round(heldOut * 100)} % held out by name` : ''}`,
  };
}

/** At most `limit` images of a dataset, evenly spread, so that every class of a sorted folder keeps its share. */
export function atMost(dataset: ImageDataset, limit: number): ImageDataset {
  if (dataset.count <= limit) return dataset;
  return subset(
    dataset,
    Array.from({ length: limit }, (_, index) => Math.floor((index * dataset.count) / limit)),
  );
}

async function cifarFolderOf(data: string, cache: string, onNote?: (note: string) => void): Promise<string | undefined> {
  if (holdsCifar10(data)) return data;
  if (data !== 'cifar10' || existsSync(data)) return undefined;
  const folder = join(cache, 'cifar10');
  if (!holdsCifar10(folder)) onNote?.(`Downloading CIFAR-10 (162 MiB) into ${folder}.`);
  return downloadCifar10({ folder });
}

async function openCifar(folder: string): Promise<DataSource> {
  const read = async (split: 'train' | 'test'): Promise<ImageDataset> => {
    const images: Pixels[] = [];
    const labels: number[] = [];
    for await (const { pixels, label } of readCifar10({ folder, split })) {
      images.push(pixels);
      labels.push(label);
    }
    return pixelDataset({ name: 'CIFAR-10', images, labels, classes: CIFAR10_CLASSES });
  };
  const [database, queries] = [await read('train'), await read('test')];
  const sizes = await Promise.all([1, 2, 3, 4, 5].map(async (batch) => fileFacts(join(folder, `data_batch_${batch}.bin`))));
  return {
    database,
    queries,
    source: `cifar10 train ${sizes.join(' ')}`,
    description: 'CIFAR-10, training split (Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images)',
  };
}

/** Names, sizes and times of change of all files: reading them all would take as long as decoding. */
async function folderSource(folder: string, dataset: ImageDataset): Promise<string> {
  const hash = createHash('sha256');
  for (let index = 0; index < dataset.count; index++) {
    const name = dataset.imageName(index);
    hash.update(`${name}\0${await fileFacts(join(folder, name))}\n`);
  }
  return `folder ${resolve(folder)} ${hash.digest('hex')}`;
}

async function fileFacts(path: string): Promise<string> {
  const facts = await stat(path).catch(() => undefined); // Gone meanwhile: reading it will say so.
  return facts === undefined ? 'absent' : `${facts.size}@${Math.floor(facts.mtimeMs)}`;
}

/** 0..1 by the name alone. */
function shareOf(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE(0) / 2 ** 32;
}
