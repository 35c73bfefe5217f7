import Database from 'better-sqlite3';
import { SearchError } from '../../errors.js';

/**
 * Converts an error of SQLite or the file system: DISK_FULL, CATALOGUE_LOCKED, CATALOGUE_DAMAGED (also I/O errors) or
 * NATIVE_MODULE_MISSING. A SearchError is returned as it is; anything else becomes INTERNAL with its cause.
 */
export function asStoreError(error: unknown, folder: string): SearchError {
  if (error instanceof SearchError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const words = error instanceof Error ? error.message : String(error);
  if (error instanceof Database.SqliteError) {
    if (code === 'SQLITE_FULL')
      return fault(
        'DISK_FULL',
        `No space is left in ${folder}. Free disk space; the service goes on by itself.`,
        error,
      );
    if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
      return fault(
        'CATALOGUE_LOCKED',
        `Another process uses the data folder ${folder}. Stop it, or use another folder.`,
        error,
      );
    }
    if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') {
      return fault(
        'CATALOGUE_DAMAGED',
        `The record store in ${folder} is damaged (${words}). Restore the data folder from a backup.`,
        error,
      );
    }
    if (code.startsWith('SQLITE_IOERR') || code.startsWith('SQLITE_CANTOPEN') || code.startsWith('SQLITE_READONLY')) {
      return fault(
        'CATALOGUE_DAMAGED',
        `The record store in ${folder} cannot be read or written (${code}: ${words}). Check disk and rights, then start again.`,
        error,
      );
    }
  }
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return fault('DISK_FULL', `No space is left in ${folder}. Free disk space and start again.`, error);
  if (code === 'EIO' || code === 'EROFS') {
    return fault(
      'CATALOGUE_DAMAGED',
      `The data folder ${folder} cannot be written (${code}: ${words}). Check disk and rights, then start again.`,
      error,
    );
  }
  const native = asNativeModuleError(error);
  if (native !== undefined) return native;
  return fault('INTERNAL', words, error);
}

/** NATIVE_MODULE_MISSING where the compiled file of a native module is missing; undefined for any other error. */
export function asNativeModuleError(error: unknown): SearchError | undefined {
  const words = error instanceof Error ? error.message : String(error);
  const isMissing = error instanceof Error && 'code' in error && error.code === 'ERR_DLOPEN_FAILED';
  if (!isMissing && !words.startsWith('Could not locate the bindings file')) return undefined;
  const message = `A native module is not compiled for this Node (${words.split('\n')[0]}). Run: npm rebuild better-sqlite3 hnswlib-node`;
  return fault('NATIVE_MODULE_MISSING', message, error);
}

function fault(code: SearchError['code'], message: string, cause: unknown): SearchError {
  return new SearchError(code, message, { cause });
}
