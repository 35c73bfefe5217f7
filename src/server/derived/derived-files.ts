import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TSchema } from '@fastify/type-provider-typebox';
import { Check } from 'typebox/schema';
import { writeAtomically } from '../../atomic-write.js';

/** Fields of every derived value. */
export type Derived = { readonly collection: string; readonly encoderId: string };

/** Place and format of the files. */
export type DerivedFilesOptions<Value extends Derived> = {
  /** Made with the first file. */
  readonly folder: string;
  readonly encoderId: string;
  /** First words of each file, a version among them. */
  readonly format: string;
  /** Ending of the names, without the dot. */
  readonly extension: string;
  /** Schema of {@link Value}; typebox knows no readonly, so the types differ. */
  readonly schema: TSchema;
  /** Larger files are ignored. */
  readonly bytesMax: number;
  /** Checks what the schema cannot. */
  readonly isSound?: (value: Value) => boolean;
};

/**
 * What is computed of collections, one file each, in a folder that may be removed at any time. A file has two lines:
 * format and checksum, then the value as JSON. A damaged or foreign file counts as none, and its value is
 * computed again.
 */
export class DerivedFiles<Value extends Derived> {
  readonly #options: DerivedFilesOptions<Value>;

  constructor(options: DerivedFilesOptions<Value>) {
    this.#options = options;
  }

  /** The collection's value by this encoder; undefined where there is none or the file is damaged. Never rejects. */
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

  /** Replaces the collection's value. Rejects with what the file system says. */
  async write(value: Value): Promise<void> {
    await mkdir(this.#options.folder, { recursive: true });
    await writeAtomically(this.#path(value.collection), this.#sealed(JSON.stringify(value)));
  }

  async remove(collection: string): Promise<void> {
    await rm(this.#path(collection), { force: true });
  }

  /** Removes the values of all other collections, and temporary files that a killed process left. */
  async keepOnly(collections: readonly string[]): Promise<void> {
    const kept = new Set(collections.map((collection) => this.#fileName(collection)));
    const names = await readdir(this.#options.folder).catch(() => []); // there is no folder before the first file
    for (const name of names) if (!kept.has(name)) await rm(join(this.#options.folder, name), { force: true });
  }

  #path(collection: string): string {
    return join(this.#options.folder, this.#fileName(collection));
  }

  /** A digest of the collection's name, since some file systems ignore case. */
  #fileName(collection: string): string {
    return `${createHash('sha256').update(collection).digest('hex').slice(0, 32)}.${this.#options.extension}`;
  }

  #sealed(body: string): string {
    return `${this.#options.format} ${createHash('sha256').update(body).digest('hex')}\n${body}`;
  }
}
