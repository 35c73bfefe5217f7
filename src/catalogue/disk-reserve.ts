import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statfsSync, writeSync } from 'node:fs';

/**
 * A file of a few megabytes that only takes up space. Even removing needs some space in SQLite's log, so that on a full disk nothing could be
 * removed any more: then the reserve is given up for it, and put back when there is room again.
 */
export class DiskReserve {
  readonly #path: string;
  readonly #folder: string;
  readonly #bytes: number;

  constructor(folder: string, bytes: number) {
    this.#folder = folder;
    this.#path = `${folder}/reserve`;
    this.#bytes = bytes;
  }

  get isInPlace(): boolean {
    return existsSync(this.#path);
  }

  /** Frees the space. False where there was none to free. */
  release(): boolean {
    if (!this.isInPlace) return false;
    rmSync(this.#path);
    return true;
  }

  /** Puts the reserve back if half as much again stays free. True where it is in place. Cheap while the disk is full. */
  restore(): boolean {
    if (this.isInPlace) return true;
    if (freeBytes(this.#folder) < 1.5 * this.#bytes) return false;
    const temporary = `${this.#path}.tmp`;
    try {
      const descriptor = openSync(temporary, 'w');
      try {
        const zeros = new Uint8Array(this.#bytes);
        for (let at = 0; at < zeros.length; ) at += writeSync(descriptor, zeros, at);
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      renameSync(temporary, this.#path);
      return true;
    } catch {
      rmSync(temporary, { force: true }); // the space went to another meanwhile: the disk is still full, which false says
      return false;
    }
  }
}

/** Bytes that this process may still write to the disk a folder lies on. */
export function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
