import { existsSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomicallySync } from '../../atomic-write.js';

/**
 * A file that only takes up space. Removing images needs some space for SQLite's log: on a full disk the reserve is
 * released for it, and restored when there is room again.
 */
export class DiskReserve {
  readonly #path: string;
  readonly #folder: string;
  readonly #bytes: number;

  constructor(folder: string, bytes: number) {
    this.#folder = folder;
    this.#path = join(folder, 'reserve');
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

  /** Restores the reserve if half as much again stays free. True where it is in place. Cheap while the disk is full. */
  restore(): boolean {
    if (this.isInPlace) return true;
    if (freeBytes(this.#folder) < 1.5 * this.#bytes) return false;
    try {
      writeAtomicallySync(this.#path, new Uint8Array(this.#bytes));
      return true;
    } catch {
      return false; // another process took the space meanwhile: the disk is still full
    }
  }

  /** Removes temporaries of a killed process. */
  removeLeftovers(): void {
    for (const name of readdirSync(this.#folder))
      if (/^reserve\..*tmp$/.test(name)) rmSync(join(this.#folder, name), { force: true });
  }
}

/** Bytes that this process may still write to the disk of a folder. */
export function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
