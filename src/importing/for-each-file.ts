import type { Permits } from './permits.js';

/**
 * Reads files and hands them to `work`, as many at once as there are permits; a sequential source is read one file at a
 * time. `reading` is the first attempt to read a file, and rejects with the error of that file. Where `work` rejects,
 * no further file is begun, and the error is thrown when those in progress have ended.
 */
export async function forEachFile<Read, File extends { read(): Promise<Read> }>(options: {
  readonly files: AsyncIterable<File>;
  readonly isSequential: boolean;
  readonly permits: Permits;
  /** Permits are shared fairly between callers. */
  readonly caller?: string;
  readonly signal: AbortSignal;
  /** Awaited before each file, without a permit. */
  readonly before?: () => Promise<void>;
  readonly work: (file: File, reading: Promise<Read>) => Promise<void>;
}): Promise<void> {
  const { files, isSequential, permits, caller = '', signal, before, work } = options;
  const tasks = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  try {
    for await (const file of files) {
      await before?.();
      const release = await permits.acquire(signal, caller);
      const reading = file.read();
      if (isSequential) await reading.catch(() => {}); // `work` handles it.
      const task = work(file, reading)
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => {
          release();
          tasks.delete(task);
        });
      tasks.add(task);
      if (failure !== undefined) break;
    }
  } finally {
    await Promise.all(tasks);
  }
  if (failure !== undefined) throw failure.error;
}
