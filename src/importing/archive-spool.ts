import { mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { flushFolder } from '../catalogue/index-file.js';
import { SearchError } from '../errors.js';

/** Bounds of the spool. */
export type SpoolOptions = {
  /** Made when it is needed, on the disk of the data folder. */
  readonly folder: string;
  /** Largest archive. */
  readonly bytesMax: number;
  /** Disk that is left free for the catalogue. */
  readonly reserveBytes: number;
};

/** How often free space is looked at while an archive arrives. */
const LOOK_EVERY_BYTES = 8 * 1024 * 1024;
const ENDING = '.archive';
const UNFINISHED = '.tmp';

/** Uploaded archives on disk, each under the id of its job and no name that a stranger chose. A file that has its name is whole and flushed. */
export class ArchiveSpool {
  readonly #options: SpoolOptions;

  constructor(options: SpoolOptions) {
    this.#options = options;
  }

  pathOf(id: string): string {
    if (!/^[\w-]{1,64}$/.test(id)) throw new Error(`${id} is no id of a job. This is a bug.`);
    return join(this.#options.folder, `${id}${ENDING}`);
  }

  /** Writes a body to disk. Rejects with UPLOAD_TOO_LARGE, DISK_FULL, or as the body does; nothing is left of it then. */
  async receive(id: string, body: AsyncIterable<unknown>): Promise<void> {
    const { folder, bytesMax } = this.#options;
    const path = this.pathOf(id);
    await mkdir(folder, { recursive: true });
    await this.#refuseWithoutRoom();
    const file = await open(`${path}${UNFINISHED}`, 'wx', 0o600);
    try {
      let bytes = 0;
      let lookAt = LOOK_EVERY_BYTES;
      for await (const chunk of body) {
        if (!(chunk instanceof Uint8Array)) throw new Error('A body gave text instead of bytes. This is a bug.');
        bytes += chunk.length;
        if (bytes > bytesMax)
          throw new SearchError('UPLOAD_TOO_LARGE', `The archive is larger than ${bytesMax} bytes (--import-max-archive-bytes).`);
        if (bytes >= lookAt) {
          await this.#refuseWithoutRoom();
          lookAt = bytes + LOOK_EVERY_BYTES;
        }
        await file.writeFile(chunk);
      }
      await file.sync();
      await file.close();
      await rename(`${path}${UNFINISHED}`, path);
      flushFolder(folder);
    } catch (error) {
      await file.close().catch(() => {}); // closed already where the flush or the rename failed
      await rm(`${path}${UNFINISHED}`, { force: true });
      throw asDiskFull(error, folder);
    }
  }

  async has(id: string): Promise<boolean> {
    return (await stat(this.pathOf(id)).catch(() => undefined)) !== undefined;
  }

  async remove(id: string): Promise<void> {
    await rm(this.pathOf(id), { force: true });
  }

  /** Removes what a kill left: unfinished uploads, and archives of jobs that are none. To be called by who holds the data folder, while nothing is received. */
  async sweep(isKnown: (id: string) => boolean): Promise<void> {
    const names = await readdir(this.#options.folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    for (const name of names) {
      const isWanted = name.endsWith(ENDING) && isKnown(name.slice(0, -ENDING.length));
      if (!isWanted) await rm(join(this.#options.folder, name), { force: true });
    }
  }

  async #refuseWithoutRoom(): Promise<void> {
    const { folder, reserveBytes } = this.#options;
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize < reserveBytes) throw new SearchError('DISK_FULL', `Less than ${reserveBytes} bytes are free in ${folder}.`);
  }
}

function asDiskFull(error: unknown, folder: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new SearchError('DISK_FULL', `No space is left in ${folder}.`, { cause: error });
}
