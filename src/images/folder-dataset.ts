import { readdir, readFile } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { SearchError } from '../errors.js';
import type { ImageDataset } from './image-dataset.js';
import type { Pixels } from './pixels.js';

const PICTURE_NAME = /\.(jpe?g|jfif|png|webp|gif|avif|tiff?)$/i;

/**
 * A folder of pictures as a dataset, in the order of their paths by code unit, the same on every machine. Subfolders are walked whole;
 * hidden entries, links and files without a picture's ending are passed over. Where every picture lies in a subfolder and there are at
 * least two of these, the first folder of its path is its class (`classes: 'ignore'` leaves the labels out). Nothing is decoded before it is asked for; `decode` decides limits and
 * size. INVALID_SETTINGS where the folder cannot be read or holds no picture.
 */
export async function openFolderDataset(options: {
  readonly folder: string;
  readonly decode: (bytes: Uint8Array) => Promise<Pixels>;
  readonly classes?: 'from-folders' | 'ignore';
}): Promise<ImageDataset> {
  const { folder, decode } = options;
  const names = await pictureNames(folder);
  if (names.length === 0) {
    throw new SearchError(
      'INVALID_SETTINGS',
      `${folder} holds no picture (JPEG, PNG, WebP, GIF, AVIF, TIFF). Give a folder with pictures in it.`,
    );
  }
  const labelling = options.classes === 'ignore' ? undefined : classesOfFolders(names);
  const bytes = (index: number): Promise<Uint8Array> => readFile(join(folder, names[index]!));
  return {
    name: basename(folder),
    count: names.length,
    classes: labelling?.classes,
    labels: labelling?.labels,
    imageName: (index) => names[index]!,
    bytes,
    pixels: async (index) => decode(await bytes(index)),
  };
}

async function pictureNames(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((cause: unknown) => {
    throw new SearchError('INVALID_SETTINGS', `Cannot read the folder ${folder}. Give a folder of pictures.`, { cause });
  });
  return entries
    .filter((entry) => entry.isFile() && PICTURE_NAME.test(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((name) => !name.split('/').some((part) => part.startsWith('.')))
    .sort();
}

function classesOfFolders(names: readonly string[]): { readonly classes: readonly string[]; readonly labels: Int32Array } | undefined {
  const folders = names.map((name) => (name.includes('/') ? name.slice(0, name.indexOf('/')) : undefined));
  if (folders.includes(undefined)) return undefined;
  const classes = [...new Set(folders)].filter((name) => name !== undefined).sort();
  if (classes.length < 2) return undefined;
  const labelOf = new Map(classes.map((name, label) => [name, label]));
  return { classes, labels: Int32Array.from(folders, (name) => labelOf.get(name ?? '')!) };
}
