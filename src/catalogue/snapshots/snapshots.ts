import type { ReadStream } from 'node:fs';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { flushFolder } from '../../atomic-write.js';
import { CallPort, workerChannel } from '../../call-port.js';
import { SearchError } from '../../errors.js';
import { reached } from '../failpoint.js';
import type { PackOptions } from './pack-snapshot.js';
import { readManifest } from './snapshot-file.js';
import type { SnapshotManifest } from './snapshot-manifest.js';
import type { SnapshotWorkerMethods } from './snapshot-worker.js';

/** A snapshot as it is listed; `manifest` is undefined where the file is damaged. */
export type Snapshot = {
  readonly name: string;
  readonly bytes: number;
  readonly manifest: SnapshotManifest | undefined;
};

/** Name of a snapshot without its file ending: the time of the request, to the millisecond. */
const NAME = /^\d{8}T\d{9}Z$/;
const ENDING = '.tar';
const STAGE = 'copy.tmp';

/**
 * The snapshots of one data folder, one file each. Creating one copies the catalogue, packs the copy in a thread, and
 * names the file when it is whole and flushed. A kill leaves former snapshots as they are, and temporaries
 * for `removeLeftovers`.
 */
export class Snapshots {
  readonly #folder: string;
  readonly #copyTo: (folder: string) => Promise<void>;
  #isMaking = false;

  /** `folder`: made when it is needed; must be on the disk of the data folder. `copyTo`: the catalogue's method. */
  constructor(options: { readonly folder: string; readonly copyTo: (folder: string) => Promise<void> }) {
    this.#folder = options.folder;
    this.#copyTo = options.copyTo;
  }

  /**
   * Makes a snapshot of the present state. Rejects with SNAPSHOT_IN_PROGRESS, DISK_FULL, CATALOGUE_DAMAGED or
   * SHUTTING_DOWN and leaves nothing.
   */
  async create(): Promise<Snapshot> {
    if (this.#isMaking)
      throw new SearchError('SNAPSHOT_IN_PROGRESS', 'Another snapshot is being made. Try again when it is done.');
    this.#isMaking = true;
    const stage = join(this.#folder, STAGE);
    try {
      await this.removeLeftovers();
      await mkdir(stage, { recursive: true });
      const created = new Date().toISOString();
      const name = created.replace(/[-:.]/g, '');
      await this.#copyTo(stage);
      reached('snapshot copied');
      await packInThread({ stage, folder: this.#folder, file: `${name}${ENDING}`, created });
      return await this.#describe(name);
    } finally {
      await rm(stage, { recursive: true, force: true });
      this.#isMaking = false;
    }
  }

  /** All snapshots, oldest first. */
  async list(): Promise<Snapshot[]> {
    const names = await readdir(this.#folder).catch(emptyWhereMissing);
    const known = names.filter((name) => name.endsWith(ENDING) && NAME.test(name.slice(0, -ENDING.length))).sort();
    return Promise.all(known.map((name) => this.#describe(name.slice(0, -ENDING.length))));
  }

  /** Opens a snapshot's file, which can be read to its end even if it is removed meanwhile. Rejects with NOT_FOUND. */
  async open(name: string): Promise<{ readonly bytes: number; readonly content: ReadStream }> {
    const handle = await open(this.#pathOf(name), 'r').catch(notFoundWhereMissing(name));
    try {
      const { size } = await handle.stat();
      return { bytes: size, content: handle.createReadStream({ highWaterMark: 1 << 18 }) };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Rejects with NOT_FOUND. */
  async remove(name: string): Promise<void> {
    await rm(this.#pathOf(name)).catch(notFoundWhereMissing(name));
    flushFolder(this.#folder);
  }

  /** Removes the temporaries of a killed process. Only for the owner of the data folder. */
  async removeLeftovers(): Promise<void> {
    const names = await readdir(this.#folder).catch(emptyWhereMissing);
    for (const name of names.filter((name) => name.endsWith('.tmp')))
      await rm(join(this.#folder, name), { recursive: true, force: true });
  }

  async #describe(name: string): Promise<Snapshot> {
    const path = this.#pathOf(name);
    const { size: bytes } = await stat(path).catch(notFoundWhereMissing(name));
    const manifest = await readManifest(path).catch((error: unknown) => {
      if (error instanceof SearchError) return undefined; // damaged on the disk: listed as such
      throw error;
    });
    return { name, bytes, manifest };
  }

  #pathOf(name: string): string {
    if (!NAME.test(name)) throw notFound(name);
    return join(this.#folder, `${name}${ENDING}`);
  }
}

async function packInThread(options: PackOptions): Promise<SnapshotManifest> {
  const worker = new Worker(new URL('./snapshot-worker.js', import.meta.url));
  try {
    return await new CallPort<SnapshotWorkerMethods>(workerChannel(worker)).call('packSnapshot', [options]);
  } finally {
    await worker.terminate();
  }
}

function emptyWhereMissing(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}

function notFoundWhereMissing(name: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    throw error.code === 'ENOENT' ? notFound(name) : error;
  };
}

function notFound(name: string): SearchError {
  return new SearchError('NOT_FOUND', `There is no snapshot ${JSON.stringify(name)}.`);
}
