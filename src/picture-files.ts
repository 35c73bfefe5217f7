import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { sep } from 'node:path';
import { systemErrorMessage } from './errors.js';

const PICTURE_NAME = /\.(jpe?g|jfif|png|webp|gif|avif|tiff?|hei[cf]|bmp)$/i;
const ARCHIVE_NAME = /\.(zip|tar|t?gz)$/i;
const SEPARATOR = Buffer.from(sep);

/** Why a file is skipped without being read. */
export type SkipReason = 'hidden' | 'system file' | 'not a picture by its name' | 'link' | 'special file';
/** Number of skipped files by reason. */
export type SkipCounts = { [reason in SkipReason]?: number };

/** True for a file name with the ending of a picture format, whether or not the service reads that format. */
export function isPictureName(name: string): boolean {
  return PICTURE_NAME.test(name);
}

/**
 * Why an entry of an archive or folder is skipped, by its path with forward slashes; undefined for what may be a
 * picture. A name with the ending of another format is not one; a name without an ending may be, and an archive inside
 * an archive is reported.
 */
export function skipReasonOf(name: string): SkipReason | undefined {
  const parts = name.split('/');
  const last = parts.at(-1) ?? '';
  if (parts.some((part) => /^\.[^.]/.test(part))) return 'hidden';
  if (parts.includes('__MACOSX') || /^(thumbs\.db|desktop\.ini)$/i.test(last)) return 'system file';
  if (isPictureName(last) || ARCHIVE_NAME.test(last)) return undefined;
  return /\.[a-z0-9]{1,5}$/i.test(last) ? 'not a picture by its name' : undefined;
}

/** Counts one skipped file. */
export function countSkipped(counts: SkipCounts, reason: SkipReason): void {
  counts[reason] = (counts[reason] ?? 0) + 1;
}

/** The pictures of a folder. */
export type PictureListing = {
  /** Relative paths with forward slashes, in the order of their code units: the same on every machine. */
  readonly names: readonly string[];
  /** Entries that cannot be read: a folder without permission, a name that is not UTF-8. */
  readonly faults: readonly { readonly name: string; readonly message: string }[];
  readonly skipped: SkipCounts;
};

/**
 * Lists the pictures in a folder and its subfolders. An entry that cannot be read is listed among the faults and does
 * not stop the others; hidden entries, links and files without the ending of a picture are counted as skipped. Rejects
 * where the folder itself cannot be read.
 */
export async function listPictureFiles(folder: string): Promise<PictureListing> {
  const names: string[] = [];
  const faults: { name: string; message: string }[] = [];
  const skipped: SkipCounts = {};
  const pending: { readonly path: Buffer; readonly prefix: string }[] = [{ path: Buffer.from(folder), prefix: '' }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { path, prefix } = next;
    // The types of Node.js 20 lack names as bytes.
    const entries = (await readdir(path, { withFileTypes: true, encoding: 'buffer' as 'utf8' }).catch(
      (error: unknown) => {
        if (prefix === '') throw error;
        faults.push({ name: prefix.slice(0, -1), message: systemErrorMessage(error) ?? String(error) });
        return [];
      },
    )) as unknown as (Omit<Dirent, 'name'> & { readonly name: Buffer })[];
    for (const entry of entries) {
      const name = prefix + entry.name.toString();
      if (!Buffer.from(entry.name.toString()).equals(entry.name))
        faults.push({ name, message: 'The name is not valid UTF-8; rename the file.' });
      else if (/^\./.test(entry.name.toString())) countSkipped(skipped, 'hidden');
      else if (entry.isDirectory())
        pending.push({ path: Buffer.concat([path, SEPARATOR, entry.name]), prefix: `${name}/` });
      else if (entry.isSymbolicLink()) countSkipped(skipped, 'link');
      else if (!entry.isFile()) countSkipped(skipped, 'special file');
      else if (isPictureName(name)) names.push(name);
      else countSkipped(skipped, skipReasonOf(name) ?? 'not a picture by its name');
    }
  }
  return { names: names.sort(), faults, skipped };
}
