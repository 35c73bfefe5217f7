import { type FileHandle, open } from 'node:fs/promises';

/** Pages of 4 KiB that are handed to the disk together. */
const FLUSH_PAGES = 4096;

/**
 * Flushes a growing file from Node's thread pool, so that the flush at its end, which blocks the thread that writes it, finds little left to do.
 * For speed only: a failure shows again in that last flush.
 */
export class CopyFlusher {
  readonly #path: string;
  #flushedPages = 0;
  #flushing: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** To be told how many pages the file has so far. */
  wrote(pages: number): void {
    if (this.#flushing !== undefined || pages - this.#flushedPages < FLUSH_PAGES) return;
    this.#flushedPages = pages;
    this.#flushing = this.#flush().finally(() => {
      this.#flushing = undefined;
    });
  }

  /** Resolves when no flush is going on. */
  async close(): Promise<void> {
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(this.#path, 'r');
      await handle.datasync();
    } catch {
      // The copy's own flush meets the same disk and reports it.
    } finally {
      await handle?.close();
    }
  }
}
