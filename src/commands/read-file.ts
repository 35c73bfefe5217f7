import { readFile, stat } from 'node:fs/promises';

/** The bytes of a file. Throws for a folder, a pipe or a device, of which the latter two might never end. */
export async function readRegularFile(path: string): Promise<Buffer<ArrayBuffer>> {
  const facts = await stat(path);
  if (facts.isDirectory()) throw new Error(`${path} is a folder; give a file.`);
  if (!facts.isFile()) throw new Error(`${path} is not a regular file.`);
  return readFile(path);
}

/** The text of a file in UTF-8, without a byte order mark. */
export async function readTextFile(path: string): Promise<string> {
  return (await readRegularFile(path)).toString('utf8').replace(/^\uFEFF/, '');
}
