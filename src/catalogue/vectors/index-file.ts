import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { flushFolder, writeAtomicallySync } from '../../atomic-write.js';
import { SearchError } from '../../errors.js';
import { reached } from '../failpoint.js';
import { asStoreError } from '../records/store-errors.js';
import { HnswIndex, type HnswSettings } from './hnsw-index.js';

/** What an index file was made from; all of it must agree with the catalogue before the file is read. */
export type IndexFileFacts = {
  readonly catalogueId: string;
  readonly encoderId: string;
  readonly settings: HnswSettings;
};

/** The small file that describes an index file. An index file without a side-car is not used. */
type SideCar = {
  readonly format: 1;
  readonly file: string;
  readonly generation: string;
  readonly space: 'ip';
  readonly dimensions: number;
  readonly m: number;
  readonly catalogueId: string;
  readonly encoderId: string;
  readonly vectors: number;
  readonly lastSequence: number;
  readonly bytes: number;
  readonly sha256: string;
};

/** A graph read from its file, or why the file was refused; `missing` where there is none. */
export type LoadedIndex =
  | {
      readonly index: HnswIndex;
      readonly labels: readonly number[];
      readonly generation: string;
      readonly refused?: undefined;
    }
  | { readonly index?: undefined; readonly refused: string; readonly missing: boolean };

const HASH_CHUNK_BYTES = 1 << 20;

/**
 * The index files of one catalogue, in a folder of their own. A file is a cache of the record store and is refused at
 * any doubt: hnswlib reads damaged files without an error, or crashes.
 *
 * A save writes a new file, checks its length, hashes what is on disk, flushes, renames, flushes the folder, and then
 * replaces the side-car: after a kill the former file is in use, whole.
 */
export class IndexFiles {
  readonly #folder: string;
  readonly #facts: IndexFileFacts;
  /** Generation of each collection's file in use. */
  readonly #inUse = new Map<number, string>();

  constructor(folder: string, facts: IndexFileFacts) {
    this.#folder = folder;
    this.#facts = facts;
  }

  /**
   * Writes the graph of a collection. `beforeUse` is called when the file is whole and not yet in use, with the new
   * generation and the former one: the record store remembers both, so that a store restored from an older backup does
   * not use a newer index. Throws DISK_FULL or INTERNAL; the former file stays in use then.
   */
  async save(
    key: number,
    index: HnswIndex,
    beforeUse: (generation: string, former: string | undefined) => void,
  ): Promise<void> {
    const generation = randomUUID();
    const file = `${key}-${generation}.hnsw`;
    const path = join(this.#folder, file);
    const temporary = `${path}.tmp`;
    const { dimensions, m } = index.settings;
    const vectors = index.count;
    const lastSequence = index.highest;
    // Read before writing: the graph may change again while the file is being hashed.
    const leastBytes = smallestFileBytes(index);
    try {
      const writing = index.write(temporary);
      reached('index file being written');
      await writing;
      reached('index file written');
      const { bytes, sha256 } = await hashAndFlush(temporary);
      if (bytes < leastBytes) {
        throw new SearchError(
          'DISK_FULL',
          `Index file of ${vectors} vectors was cut at ${bytes} bytes. Free disk space; it is saved again later.`,
        );
      }
      reached('index file before its rename');
      renameSync(temporary, path);
      reached('index file renamed');
      flushFolder(this.#folder);
      beforeUse(generation, this.#inUse.get(key));
      reached('index file remembered');
      const { catalogueId, encoderId } = this.#facts;
      const sideCar: SideCar = {
        ...{ format: 1, file, generation, space: 'ip', dimensions, m, catalogueId, encoderId },
        ...{ vectors, lastSequence, bytes, sha256 },
      };
      this.#writeSideCar(key, sideCar);
      this.#inUse.set(key, generation);
    } catch (error) {
      rmSync(temporary, { force: true });
      rmSync(path, { force: true });
      throw asStoreError(error, this.#folder);
    }
    for (const name of readdirSync(this.#folder))
      if (name.startsWith(`${key}-`) && name !== file) rmSync(join(this.#folder, name), { force: true });
  }

  /** Removes the files of a removed collection. */
  remove(key: number): void {
    this.#inUse.delete(key);
    rmSync(this.#sideCarPath(key), { force: true });
    for (const name of readdirSync(this.#folder))
      if (name.startsWith(`${key}-`)) rmSync(join(this.#folder, name), { force: true });
  }

  /**
   * Reads the graph of a collection if every check holds; a bad file is refused, not thrown. `isKnown`: whether the
   * record store knows a generation.
   */
  load(key: number, isKnown: (generation: string) => boolean): LoadedIndex {
    const sideCarPath = this.#sideCarPath(key);
    if (!existsSync(sideCarPath)) return { refused: 'there is no index file', missing: true };
    const refused = (reason: string): LoadedIndex => ({ refused: reason, missing: false });
    let sideCar: SideCar;
    try {
      // every field is compared below before it is used
      sideCar = JSON.parse(readFileSync(sideCarPath, 'utf8')) as SideCar;
    } catch (error) {
      return refused(`its side-car cannot be read: ${String(error)}`);
    }
    const fault = this.#faultOf(sideCar, key);
    if (fault !== undefined) return refused(fault);
    if (!isKnown(sideCar.generation)) return refused('it was written for another state of the record store');
    const path = join(this.#folder, sideCar.file);
    try {
      if (statSync(path).size !== sideCar.bytes)
        return refused(`it has ${statSync(path).size} bytes instead of ${sideCar.bytes}`);
      if (hashFile(path) !== sideCar.sha256) return refused('its SHA-256 is not the one of its side-car');
      const { index, labels } = HnswIndex.read(path, this.#facts.settings);
      if (labels.length !== sideCar.vectors || index.highest !== sideCar.lastSequence)
        return refused('it holds other vectors than its side-car says');
      this.#inUse.set(key, sideCar.generation);
      return { index, labels, generation: sideCar.generation };
    } catch (error) {
      return refused(`it cannot be read: ${String(error)}`);
    }
  }

  /**
   * Copies the files in use into a new folder, as links where possible: a file never changes once it has its name. Does
   * not verify them.
   */
  copyTo(folder: string): void {
    mkdirSync(folder);
    for (const sideCar of readdirSync(this.#folder)) {
      const key = /^(\d+)\.json$/.exec(sideCar)?.[1];
      const file = key === undefined ? undefined : namedFile(join(this.#folder, sideCar));
      // Without its file a side-car is useless; the index is rebuilt from the records.
      if (
        file === undefined ||
        !new RegExp(`^${key}-[0-9a-f-]{36}\\.hnsw$`).test(file) ||
        !existsSync(join(this.#folder, file))
      )
        continue;
      for (const name of [file, sideCar]) linkOrCopy(join(this.#folder, name), join(folder, name));
    }
  }

  /** Removes temporaries of a killed save, and files that no side-car names. */
  removeLeftovers(): void {
    const names = readdirSync(this.#folder);
    const named = new Set<string>();
    for (const name of names.filter((name) => name.endsWith('.json'))) {
      named.add(name);
      const file = namedFile(join(this.#folder, name));
      if (file !== undefined) named.add(file);
    }
    for (const name of names) if (!named.has(name)) rmSync(join(this.#folder, name), { force: true, recursive: true });
  }

  #faultOf(sideCar: SideCar | null, key: number): string | undefined {
    if (sideCar === null || typeof sideCar !== 'object' || sideCar.format !== 1)
      return 'its side-car is of another format';
    const { settings, catalogueId, encoderId } = this.#facts;
    if (sideCar.file !== `${key}-${sideCar.generation}.hnsw` || !/^[0-9a-f-]{36}$/.test(sideCar.generation))
      return 'its side-car names another file';
    if (sideCar.dimensions !== settings.dimensions)
      return `it holds vectors of ${sideCar.dimensions} dimensions instead of ${settings.dimensions}`;
    if (sideCar.space !== 'ip') return `it measures by ${sideCar.space} instead of ip`;
    if (sideCar.m !== settings.m) return `it was built with M ${sideCar.m} instead of ${settings.m}`;
    if (sideCar.encoderId !== encoderId) return `it was made by encoder ${sideCar.encoderId}`;
    if (sideCar.catalogueId !== catalogueId) return 'it belongs to another catalogue';
    return undefined;
  }

  #writeSideCar(key: number, sideCar: SideCar): void {
    const text = `${JSON.stringify(sideCar, null, 2)}\n`;
    writeAtomicallySync(this.#sideCarPath(key), text, {
      beforeRename: () => reached('side-car before its rename'),
      afterRename: () => reached('side-car renamed'),
    });
  }

  #sideCarPath(key: number): string {
    return join(this.#folder, `${key}.json`);
  }
}

/** The file that a side-car names, unchecked; undefined where the side-car is unreadable, which load() reports. */
function namedFile(sideCarPath: string): string | undefined {
  try {
    // compared with names before it is used
    return String((JSON.parse(readFileSync(sideCarPath, 'utf8')) as SideCar).file);
  } catch {
    return undefined;
  }
}

/** Not every file system has links. */
function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to); // throws the real error
  }
}

/**
 * hnswlib's file has a header of 96 bytes and, for each node, vector, links of level 0 and label; upper levels add
 * to that.
 */
function smallestFileBytes(index: HnswIndex): number {
  const { dimensions, m } = index.settings;
  return 96 + index.count * (4 * dimensions + 4 * (2 * m + 1) + 12);
}

async function hashAndFlush(path: string): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const handle = await open(path, 'r+');
  try {
    const hash = createHash('sha256');
    const chunk = new Uint8Array(HASH_CHUNK_BYTES);
    let bytes = 0;
    for (;;) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, bytes);
      if (bytesRead === 0) break;
      hash.update(chunk.subarray(0, bytesRead));
      bytes += bytesRead;
    }
    await handle.sync();
    return { bytes, sha256: hash.digest('hex') };
  } finally {
    await handle.close();
  }
}

function hashFile(path: string): string {
  const descriptor = openSync(path, 'r');
  try {
    const hash = createHash('sha256');
    const chunk = new Uint8Array(HASH_CHUNK_BYTES);
    for (let read = readSync(descriptor, chunk); read > 0; read = readSync(descriptor, chunk))
      hash.update(chunk.subarray(0, read));
    return hash.digest('hex');
  } finally {
    closeSync(descriptor);
  }
}
