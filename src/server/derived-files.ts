import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TSchema } from '@fastify/type-provider-typebox';
import { Check } from 'typebox/schema';

/** What every derived file says of itself. */
export type Derived = { readonly collection: string; readonly encoderId: string };

/** Where and what the files are. */
export type DerivedFilesOptions<Value extends Derived> = {
  /** Made with the first file. */
  readonly folder: string;
  readonly encoderId: string;
  /** First words of each file, a version among them. */
  readonly format: string;
  /** Ending of the names, without the dot. */
  readonly extension: string;
  /** Of {@link Value}, whose type it cannot be since it knows no readonly. */
  readonly schema: TSchema;
  /** Larger files are passed over unread. */
  readonly bytesMax: number;
  /** What the schema cannot say. */
  readonly isSound?: (value: Value) => boolean;
};

/**
 * What was computed of collections, a file each, in a folder that may be removed at any time. Two lines: format and checksum, then the value as JSON. A file is
 * written aside, flushed and renamed; one that gives any doubt is as good as none, and its value is computed anew.
 */
export class DerivedFiles<Value extends Derived> {
  readonly #options: DerivedFilesOptions<Value>;

  constructor(options: DerivedFilesOptions<Value>) {
    this.#options = options;
  }

  /** The collection's value by this encoder, or undefined. Never rejects: whatever is amiss, the value can be made again. */
  async read(collection: string): Promise<Value | undefined> {
    const { schema, bytesMax, encoderId, isSound = () => true } = this.#options;
    try {
      const path = this.#path(collection);
      if ((await stat(path)).size > bytesMax) return undefined;
      const text = await readFile(path, 'utf8');
      const body = text.slice(text.indexOf('\n') + 1);
      if (text !== this.#sealed(body)) return undefined;
      const read: unknown = JSON.parse(body);
      if (!Check(schema, read)) return undefined;
      const value = read as Value; // its schema has checked it
      return value.collection === collection && value.encoderId === encoderId && isSound(value) ? value : undefined;
    } catch {
      return undefined;
    }
  }

  /** Puts a value in the place of the one before. Rejects with what the file system says. */
  async write(value: Value): Promise<void> {
    await mkdir(this.#options.folder, { recursive: true });
    const path = this.#path(value.collection);
    const temporary = `${path}.${randomUUID()}.tmp`;
    try {
      const handle = await open(temporary, 'wx');
      try {
        await handle.writeFile(this.#sealed(JSON.stringify(value)));
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
    await rm(this.#path(collection), { force: true });
  }

  /** Removes the values of all other collections, and what a killed process left half written. */
  async keepOnly(collections: readonly string[]): Promise<void> {
    const kept = new Set(collections.map((collection) => this.#fileName(collection)));
    const names = await readdir(this.#options.folder).catch(() => []); // there is no folder before the first file
    for (const name of names) if (!kept.has(name)) await rm(join(this.#options.folder, name), { force: true });
  }

  #path(collection: string): string {
    return join(this.#options.folder, this.#fileName(collection));
  }

  /** Not the collection's own name: file systems differ in the letters they tell apart. */
  #fileName(collection: string): string {
    return `${createHash('sha256').update(collection).digest('hex').slice(0, 32)}.${this.#options.extension}`;
  }

  #sealed(body: string): string {
    return `${this.#options.format} ${createHash('sha256').update(body).digest('hex')}\n${body}`;
  }
}
