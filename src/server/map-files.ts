import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Type } from '@fastify/type-provider-typebox';
import { Check } from 'typebox/schema';

/** A map as it is kept. Its points are numbers of the record store, which alone knows what stands under them now. */
export type KeptMap = {
  readonly collection: string;
  readonly encoderId: string;
  /** Of the collection, when the sample was taken; and the catalogue's latest sequence number then. */
  readonly images: number;
  readonly lastSequence: number;
  /** ISO 8601, UTC. */
  readonly computedAt: string;
  readonly sequences: readonly number[];
  /** 0..1, a place for each sequence. */
  readonly x: readonly number[];
  readonly y: readonly number[];
};

/** Ten times what the largest map has. */
const FILE_BYTES_MAX = 1024 * 1024;
const FORMAT = 'likeness map 1';

const Coordinates = Type.Array(Type.Number({ minimum: 0, maximum: 1 }));
const Kept = Type.Object({
  ...{ collection: Type.String(), encoderId: Type.String(), computedAt: Type.String() },
  ...{ images: Type.Integer({ minimum: 0 }), lastSequence: Type.Integer({ minimum: 0 }) },
  ...{ sequences: Type.Array(Type.Integer({ minimum: 0 })), x: Coordinates, y: Coordinates },
});

/**
 * Maps of collections, a file each, in a folder that may be removed at any time. Two lines: format and checksum, then the map as JSON. A file is written
 * aside, flushed and renamed; one that gives any doubt is as good as none, and the map is computed anew.
 */
export class MapFiles {
  readonly #folder: string;
  readonly #encoderId: string;

  constructor(folder: string, encoderId: string) {
    this.#folder = folder;
    this.#encoderId = encoderId;
  }

  /** The collection's map by this encoder, or undefined. Never rejects: whatever is amiss, the map can be made again. */
  async read(collection: string): Promise<KeptMap | undefined> {
    try {
      const path = join(this.#folder, fileName(collection));
      if ((await stat(path)).size > FILE_BYTES_MAX) return undefined;
      const text = await readFile(path, 'utf8');
      const body = text.slice(text.indexOf('\n') + 1);
      if (text !== sealed(body)) return undefined;
      const map: unknown = JSON.parse(body);
      return Check(Kept, map) && this.#isSound(map, collection) ? map : undefined;
    } catch {
      return undefined;
    }
  }

  #isSound({ collection, encoderId, sequences, x, y }: KeptMap, asked: string): boolean {
    return collection === asked && encoderId === this.#encoderId && x.length === sequences.length && y.length === sequences.length;
  }

  /** Puts a map in the place of the one before. Rejects with what the file system says. */
  async write(map: KeptMap): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const path = join(this.#folder, fileName(map.collection));
    const temporary = `${path}.${randomUUID()}.tmp`;
    try {
      const handle = await open(temporary, 'wx');
      try {
        await handle.writeFile(sealed(JSON.stringify(map)));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  async remove(collection: string): Promise<void> {
    await rm(join(this.#folder, fileName(collection)), { force: true });
  }

  /** Removes the maps of all other collections, and what a killed process left half written. */
  async keepOnly(collections: readonly string[]): Promise<void> {
    const kept = new Set(collections.map(fileName));
    const names = await readdir(this.#folder).catch(() => []); // there is no folder before the first map
    for (const name of names) if (!kept.has(name)) await rm(join(this.#folder, name), { force: true });
  }
}

/** Not the collection's own name: file systems differ in the letters they tell apart. */
function fileName(collection: string): string {
  return `${createHash('sha256').update(collection).digest('hex').slice(0, 32)}.map`;
}

function sealed(body: string): string {
  return `${FORMAT} ${createHash('sha256').update(body).digest('hex')}\n${body}`;
}
