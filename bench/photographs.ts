import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const FOLDER = '../shared/data/photos/caltech101';

/** The first so many photographs of Caltech-101, as files; throws where ../shared is absent. */
export async function readPhotos(count: number): Promise<Buffer[]> {
  const names = (await readdir(FOLDER, { recursive: true })).filter((name) => name.endsWith('.jpg'));
  return Promise.all(names.slice(0, count).map((name) => readFile(join(FOLDER, name))));
}
