import type { PickedFile } from './upload-run.js';

/** What a browser hands over of a drop or a paste. */
export type Dropped = { readonly files: readonly File[]; readonly entries: readonly FileSystemEntry[] };

/** The archives that the service unpacks itself. */
const ARCHIVE = /\.(zip|tar|tgz|tar\.gz)$/i;
/** Files that folders hold and nobody means. */
const HIDDEN = /(^|\/)(\.[^/]*|Thumbs\.db|desktop\.ini|__MACOSX)(\/|$)/;

/** True for an archive, by its name. */
export function isArchive({ name }: File): boolean {
  return ARCHIVE.test(name);
}

/** The files of a file or folder field, in the order of their paths. */
export function filesOfField(files: Iterable<File>): PickedFile[] {
  return sorted([...files].map((file) => ({ path: file.webkitRelativePath === '' ? file.name : file.webkitRelativePath, file })));
}

/** The files of what was dropped, those in folders too, in the order of their paths. */
export async function filesOfDrop({ files, entries }: Dropped): Promise<PickedFile[]> {
  if (!entries.some((entry) => entry.isDirectory)) return sorted(files.map((file) => ({ path: file.name, file })));
  const found: PickedFile[] = [];
  const queue = [...entries];
  for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) {
    const path = entry.fullPath.replace(/^\//, '');
    if (isFolder(entry)) queue.push(...(await listFolder(entry)));
    else if (isFile(entry)) found.push({ path, file: await openEntry(entry) });
  }
  return sorted(found);
}

function sorted(files: readonly PickedFile[]): PickedFile[] {
  return files.filter(({ path }) => !HIDDEN.test(path)).toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function isFolder(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function openEntry(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** Browsers hand over a folder in pieces of a hundred until a piece is empty. */
async function listFolder(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const piece = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (piece.length === 0) return all;
    all.push(...piece);
  }
}
