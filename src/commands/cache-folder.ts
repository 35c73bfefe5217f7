import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where packed pixels and downloads are kept if `--cache` does not say otherwise. */
export const DEFAULT_CACHE = join(homedir(), '.cache', 'likeness');
