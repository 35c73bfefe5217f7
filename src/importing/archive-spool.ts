import { mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { flushFolder } from '../atomic-write.js';
import { SearchError } from '../errors.js';

type SpoolOptions = {
  /** Created on first use. */
  readonly folder: string;
  /** Largest archive. */
  readonly bytesMax: number;
  /** Disk space that is left free for the catalogue. */
  readonly reserveBytes: number;
  /** An archive that arrives more slowly than this for `windowMs` is refused. */
  readonly bytesPerSecondMin: number;
  readonly windowMs: number;
};

/** Free space is checked this often while an archive arrives. */
const CHECK_EVERY_BYTES = 8 * 1024 * 1024;
const ENDING = '.archive';
const UNFINISHED = '.tmp';

/** Uploaded archives on disk, each named by the id of its job. A file with its final name is complete and flushed. */
export class ArchiveSpool {
  readonly #options: SpoolOptions;

  constructor(options: SpoolOptions) {
    this.#options = options;
  }

  pathOf(id: string): string {
    if (!/^[\w-]{1,64}$/.test(id)) throw new Error(`${id} is not the id of a job. This is a bug.`);
    return join(this.#options.folder, `${id}${ENDING}`);
  }

  /**
   * Writes a body to disk. Rejects with UPLOAD_TOO_LARGE, REQUEST_TIMEOUT, DISK_FULL, as the body does, or as the
   * signal says, and then leaves no file.
   */
  async receive(id: string, body: AsyncIterable<unknown>, signal?: AbortSignal): Promise<void> {
    const { folder, bytesMax } = this.#options;
    const path = this.pathOf(id);
    await mkdir(folder, { recursive: true });
    await this.#requireFreeSpace();
    const file = await open(`${path}${UNFINISHED}`, 'wx', 0o600);
    try {
      let bytes = 0;
      let checkAt = CHECK_EVERY_BYTES;
      for await (const chunk of this.#inTime(body, signal)) {
        if (!(chunk instanceof Uint8Array)) throw new Error('A body gave text instead of bytes. This is a bug.');
        bytes += chunk.length;
        if (bytes > bytesMax)
          throw new SearchError(
            'UPLOAD_TOO_LARGE',
            `The archive is larger than ${bytesMax} bytes (--import-max-archive-bytes).`,
          );
        if (bytes >= checkAt) {
          await this.#requireFreeSpace();
          checkAt = bytes + CHECK_EVERY_BYTES;
        }
        await file.writeFile(chunk);
      }
      await file.sync();
      await file.close();
      await rename(`${path}${UNFINISHED}`, path);
      flushFolder(folder);
    } catch (error) {
      await file.close().catch(() => {}); // It is closed where the rename failed.
      await rm(`${path}${UNFINISHED}`, { force: true });
      throw asDiskFull(error, folder);
    }
  }

  /** The chunks of a body; throws where it arrives too slowly, or as the signal says. */
  async *#inTime(body: AsyncIterable<unknown>, signal: AbortSignal | undefined): AsyncGenerator<unknown, void> {
    const { bytesPerSecondMin, windowMs } = this.#options;
    const chunks = body[Symbol.asyncIterator]();
    let bytesInWindow = 0;
    let giveUp = (_reason: unknown): void => {};
    const onAbort = (): void => giveUp(signal?.reason);
    const interval = setInterval(() => {
      if (bytesInWindow < (bytesPerSecondMin * windowMs) / 1000)
        giveUp(
          new SearchError('REQUEST_TIMEOUT', `The archive arrives at less than ${bytesPerSecondMin} bytes a second.`),
        );
      bytesInWindow = 0;
    }, windowMs);
    signal?.addEventListener('abort', onAbort);
    try {
      for (;;) {
        signal?.throwIfAborted();
        const next = await new Promise<IteratorResult<unknown>>((resolve, reject) => {
          giveUp = reject;
          chunks.next().then(resolve, reject);
        });
        if (next.done === true) return;
        if (next.value instanceof Uint8Array) bytesInWindow += next.value.length;
        yield next.value;
      }
    } finally {
      clearInterval(interval);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async has(id: string): Promise<boolean> {
    return (await stat(this.pathOf(id)).catch(() => undefined)) !== undefined;
  }

  async remove(id: string): Promise<void> {
    await rm(this.pathOf(id), { force: true });
  }

  /**
   * Removes what a crash left: unfinished uploads, and archives without a job. Call it before archives are received.
   */
  async sweep(isKnown: (id: string) => boolean): Promise<void> {
    const names = await readdir(this.#options.folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    for (const name of names) {
      const isNeeded = name.endsWith(ENDING) && isKnown(name.slice(0, -ENDING.length));
      if (!isNeeded) await rm(join(this.#options.folder, name), { force: true });
    }
  }

  async #requireFreeSpace(): Promise<void> {
    const { folder, reserveBytes } = this.#options;
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize < reserveBytes)
      throw new SearchError('DISK_FULL', `Less than ${reserveBytes} bytes are free in ${folder}.`);
  }
}

function asDiskFull(error: unknown, folder: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new SearchError('DISK_FULL', `No space is left in ${folder}.`, { cause: error });
}
