import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { SearchError } from '../errors.js';
import { listPictureFiles } from '../picture-files.js';
import type { ImageDataset } from './image-dataset.js';

/**
 * A folder of pictures as a dataset, in the order of their paths by code unit, the same on every machine. Subfolders
 * are included; hidden entries, links and files without a picture's extension are skipped; an entry that cannot be read
 * counts as a picture that cannot, so that it is listed with the others. Where every picture lies in
 * a subfolder and there are at least two of these, the first folder of its path is its class. INVALID_SETTINGS where
 * the folder cannot be read or holds no picture.
 */
export async function openFolderDataset(folder: string): Promise<ImageDataset> {
  const { names, faults } = await listPictureFiles(folder).catch((cause: unknown) => {
    throw new SearchError('INVALID_SETTINGS', `Cannot read the folder ${folder}. Give a folder of pictures.`, {
      cause,
    });
  });
  if (names.length === 0) {
    throw new SearchError(
      'INVALID_SETTINGS',
      `${folder} holds no picture (JPEG, PNG, WebP, GIF, AVIF, TIFF). Give a folder with pictures in it.`,
    );
  }
  const labelling = classesOfFolders(names);
  const all = [...names, ...faults.map(({ name }) => name)];
  return {
    name: basename(folder),
    count: all.length,
    classes: labelling?.classes,
    labels: labelling && Int32Array.from(all, (_, index) => labelling.labels[index] ?? 0), // 0: faults are never shown
    imageName: (index) => all[index]!,
    bytes: async (index) => {
      const fault = faults[index - names.length];
      if (fault !== undefined) throw new SearchError('UNREADABLE_IMAGE', fault.message);
      return readFile(join(folder, all[index]!));
    },
    heldPixels: () => undefined,
  };
}

function classesOfFolders(
  names: readonly string[],
): { readonly classes: readonly string[]; readonly labels: Int32Array } | undefined {
  const folders = names.map((name) => (name.includes('/') ? name.slice(0, name.indexOf('/')) : undefined));
  if (folders.includes(undefined)) return undefined;
  const classes = [...new Set(folders)].filter((name) => name !== undefined).sort();
  if (classes.length < 2) return undefined;
  const labelOf = new Map(classes.map((name, label) => [name, label]));
  return { classes, labels: Int32Array.from(folders, (name) => labelOf.get(name ?? '')!) };
}
