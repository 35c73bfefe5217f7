/** Imports every file of a source into a running service: bounded concurrency, one bad file never stops the rest, each is accounted for. */
import type { ImageFile, ImportSource } from './image-files.js';
import { indexImage, RefusedError, type ServiceAddress } from './service-client.js';

/** Why one file is not in the catalogue. */
export type ImportFailure = { readonly file: string; readonly code: string; readonly message: string };

/** The account at any moment: read = added + replaced + existing + failed + in flight. */
export type ImportProgress = {
  readonly total: number | undefined;
  readonly added: number;
  readonly replaced: number;
  readonly existing: number;
  readonly failed: number;
};

/** What to import and how. */
export type ImportOptions = {
  readonly source: ImportSource;
  readonly service: ServiceAddress;
  /** Files on their way at once. */
  readonly concurrency: number;
  readonly replace: boolean;
  /** path: the file's relative name is its id; hash: the catalogue makes one from the content. */
  readonly ids: 'path' | 'hash';
  readonly metadataOf: (file: string) => Record<string, unknown>;
  readonly onProgress?: (progress: ImportProgress) => void;
  readonly onFailure?: (failure: ImportFailure) => void;
  readonly signal?: AbortSignal;
};

/**
 * Runs the import to its end and returns the account. An import is resumed by running it again: what is stored already is answered as
 * existing without being decoded. Rejects only where going on makes no sense: the service is gone, the key is refused, the archive is
 * damaged, or the caller aborts.
 */
export async function importImages(options: ImportOptions): Promise<ImportProgress> {
  const { source, service, concurrency, replace, ids, metadataOf, onProgress, onFailure, signal } = options;
  const account = { total: source.total, added: 0, replaced: 0, existing: 0, failed: 0 };
  const stop = new AbortController();
  const anySignal = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const files = source.files[Symbol.asyncIterator]();

  const importOne = async (file: ImageFile, bytes: Uint8Array): Promise<void> => {
    const image = { name: file.name, bytes, id: ids === 'path' ? file.name : undefined, metadata: metadataOf(file.name) };
    const { status } = await indexImage(service, image, { replace, signal: anySignal });
    account[status === 'exists' ? 'existing' : status]++;
  };

  const fail = (file: ImageFile, error: unknown): void => {
    account.failed++;
    const code = error instanceof RefusedError ? error.code : 'UNREADABLE_FILE';
    onFailure?.({ file: file.name, code, message: error instanceof Error ? error.message : String(error) });
  };

  const lane = async (): Promise<void> => {
    for (;;) {
      anySignal.throwIfAborted();
      const next = await files.next();
      if (next.done) return;
      const file: ImageFile = next.value;
      const bytes = await file.read().catch((error: unknown) => fail(file, error));
      if (bytes !== undefined)
        await importOne(file, bytes).catch((error: unknown) => (isFileFault(error) ? fail(file, error) : Promise.reject(error)));
      onProgress?.({ ...account });
    }
  };

  try {
    await Promise.all(Array.from({ length: concurrency }, lane));
  } catch (error) {
    // One lane met something final: the others end too, and the source is closed before the error goes up.
    stop.abort(error);
    await files.return?.();
    throw error;
  }
  return { ...account };
}

/** A fault of this one file, in contrast to a service that is gone or a key that is refused. */
function isFileFault(error: unknown): boolean {
  return error instanceof RefusedError && error.statusCode !== 401 && error.statusCode !== 403 && error.statusCode !== 404;
}
