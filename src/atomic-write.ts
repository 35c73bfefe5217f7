import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What a file shall hold: its content, or a function that writes it, piece by piece, through the handle. */
export type FileContent = string | Uint8Array | ((file: FileHandle) => Promise<void>);

/**
 * Replaces a file in one step: writes a temporary file in the same folder, flushes it, renames it, flushes the folder.
 * After a kill or a power failure the file has its former content or the new one, and at most a temporary
 * (`PATH.UUID.tmp`) is left over. Rejects with the file system's error, or the content function's; the temporary is
 * removed then.
 */
export async function writeAtomically(path: string, content: FileContent): Promise<void> {
  const temporary = temporaryOf(path);
  try {
    const file = await open(temporary, 'wx');
    try {
      await (typeof content === 'function' ? content(file) : file.writeFile(content));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  flushFolder(dirname(path));
}

/**
 * As {@link writeAtomically}, for threads that may block. The hooks run before and after the rename, the second before
 * the last flush.
 */
export function writeAtomicallySync(
  path: string,
  content: string | Uint8Array,
  hooks: { readonly beforeRename?: () => void; readonly afterRename?: () => void } = {},
): void {
  const temporary = temporaryOf(path);
  try {
    const file = openSync(temporary, 'wx');
    try {
      const bytes = typeof content === 'string' ? Buffer.from(content) : content;
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    hooks.beforeRename?.();
    renameSync(temporary, path);
    hooks.afterRename?.();
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  flushFolder(dirname(path));
}

/** Makes new names in a folder (files made, renamed or removed) survive a power failure. */
export function flushFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function temporaryOf(path: string): string {
  return `${path}.${randomUUID()}.tmp`;
}
