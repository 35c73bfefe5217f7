/** The source named by `--data`, opened as datasets to learn from and to search with. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Pixels } from '../images/pixels.js';
import type { Preprocessing } from '../images/preprocessing.js';
import { CIFAR10_CLASSES, readCifar10 } from './cifar.js';
import { downloadCifar10, holdsCifar10 } from './cifar-download.js';
import { openDecoding } from './decoding.js';
import { openFolderDataset } from './folder-dataset.js';
import { findIdxFiles, type IdxFiles, readIdxDataset } from './idx-dataset.js';
import { type ImageDataset, pixelDataset, subset } from './image-dataset.js';
import { type PackedDataset, packDataset } from './packed-dataset.js';

/**
 * Receiver of progress. `stage`: `done` of `total` items of the named stage; `note`: a message; `skip`: a file or
 * folder that is left out, and why (several stages may name one).
 */
export type Progress = {
  readonly stage: (name: string, done: number, total: number) => void;
  readonly note: (text: string) => void;
  readonly skip: (name: string, reason: string) => void;
};

/**
 * Pictures, split: `database` to learn from and to search in, `queries` held out (undefined where there are none).
 * `source`: a text that changes when the files of the database change. `description`: for a model card.
 */
export type DataSource = {
  readonly database: ImageDataset;
  readonly queries: ImageDataset | undefined;
  readonly source: string;
  readonly description: string;
};

/**
 * Opens a folder of pictures; a folder or an images file in the IDX format (MNIST); a folder of CIFAR-10's binary
 * batches; or `cifar10`: that folder where it exists, else the one in the cache, downloaded once. The test splits of
 * CIFAR-10 and of IDX folders are held out. `heldOut`: share of a folder's pictures that is held out, chosen by their
 * names, so that adding pictures moves none.
 */
export async function openDataSource(options: {
  readonly data: string;
  readonly cache: string;
  readonly heldOut: number;
  readonly progress?: Pick<Progress, 'note'>;
}): Promise<DataSource> {
  const { data, cache, heldOut, progress } = options;
  const cifarFolder = await cifarFolderOf(data, cache, progress?.note);
  if (cifarFolder !== undefined) return openCifar(cifarFolder);
  const idxFiles = await findIdxFiles(data);
  if (idxFiles !== undefined) return openIdx(idxFiles);
  const whole = await openFolderDataset(data);
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

/** Training pictures, decoded and packed, with the source for measuring. */
export type PackedSource = { readonly source: DataSource; readonly dataset: PackedDataset };

/**
 * Opens `data` and packs its database in the cache at the size of `preprocessing`; the decoder processes end when all
 * is packed. Files that cannot be read are skipped. `trainLimit`: most pictures to learn from, evenly
 * spread; they are then also the database.
 */
export async function openPackedSource(
  flags: { readonly data: string; readonly cache: string; readonly heldOut: number; readonly trainLimit?: number },
  options: { readonly preprocessing: Preprocessing; readonly progress: Progress },
): Promise<PackedSource> {
  const { preprocessing, progress } = options;
  const source = limited(await openDataSource({ ...flags, progress }), flags.trainLimit);
  const decoding = openDecoding(preprocessing);
  try {
    const dataset = await packDataset({
      dataset: source.database,
      source: source.source,
      preprocessing,
      decode: decoding.decode,
      folder: join(flags.cache, 'packed'),
      onProgress: (done, total) => progress.stage('decode', done, total),
    });
    for (const { name, reason } of dataset.skipped) progress.skip(name, reason);
    return { source, dataset };
  } finally {
    await decoding.close();
  }
}

function limited(source: DataSource, limit: number | undefined): DataSource {
  const { count } = source.database;
  if (limit === undefined || limit >= count) return source;
  return {
    ...source,
    database: atMost(source.database, limit),
    source: `${source.source}, ${limit} of ${count}`,
    description: `${source.description}, ${limit} of its ${count} images, evenly spread`,
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

async function cifarFolderOf(
  data: string,
  cache: string,
  onNote?: (note: string) => void,
): Promise<string | undefined> {
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
  const sizes = await Promise.all(
    [1, 2, 3, 4, 5].map(async (batch) => fileFacts(join(folder, `data_batch_${batch}.bin`))),
  );
  return {
    database,
    queries,
    source: `cifar10 train ${sizes.join(' ')}`,
    description: 'CIFAR-10, training split (Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images)',
  };
}

async function openIdx({ train, test }: IdxFiles): Promise<DataSource> {
  const database = await readIdxDataset(train);
  return {
    database,
    queries: test && (await readIdxDataset(test)),
    source: `idx ${resolve(train.imagesFile)} ${await fileFacts(train.imagesFile)}`,
    description: `images of ${basename(train.imagesFile)}`,
  };
}

/** Hash of the names, sizes and modification times of all files: reading them all would take as long as decoding. */
async function folderSource(folder: string, dataset: ImageDataset): Promise<string> {
  const hash = createHash('sha256');
  for (let index = 0; index < dataset.count; index++) {
    const name = dataset.imageName(index);
    hash.update(`${name}\0${await fileFacts(join(folder, name))}\n`);
  }
  return `folder ${resolve(folder)} ${hash.digest('hex')}`;
}

async function fileFacts(path: string): Promise<string> {
  const facts = await stat(path).catch(() => undefined); // Deleted meanwhile: reading it reports that.
  return facts === undefined ? 'absent' : `${facts.size}@${Math.floor(facts.mtimeMs)}`;
}

/** A number in [0, 1) that depends on the name alone. */
function shareOf(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE(0) / 2 ** 32;
}
