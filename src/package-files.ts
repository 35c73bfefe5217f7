import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the installed package; this file runs from its dist/src. */
const PACKAGE = fileURLToPath(new URL('../../', import.meta.url));

/**
 * A path that may name a folder of the package, such as models/photos: relative to the working folder where it exists
 * there, otherwise to the package.
 */
export function findInPackage(path: string): string {
  const packaged = join(PACKAGE, path);
  return !existsSync(path) && existsSync(packaged) ? packaged : path;
}
