import { type FileHandle, open } from 'node:fs/promises';

/** Pages of 4 KiB that are flushed together. */
const FLUSH_PAGES = 4096;

/**
 * Flushes a growing file in Node's thread pool, so that the last flush, which blocks its writer's thread, has little
 * to do.
 */
export class CopyFlusher {
  readonly #path: string;
  #flushedPages = 0;
  #flushing: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Call with the number of pages that the file has so far. */
  wrote(pages: number): void {
    if (this.#flushing !== undefined || pages - this.#flushedPages < FLUSH_PAGES) return;
    this.#flushedPages = pages;
    this.#flushing = this.#flush().finally(() => {
      this.#flushing = undefined;
    });
  }

  /** Waits for the present flush. */
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
