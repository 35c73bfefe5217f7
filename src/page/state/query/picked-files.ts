import type { PickedFile } from '../upload-run.js';

/** Files and folder entries of a drop or paste. */
type Dropped = { readonly files: readonly File[]; readonly entries: readonly FileSystemEntry[] };

/** Archives that the service unpacks. */
const ARCHIVE = /\.(zip|tar|tgz|tar\.gz)$/i;
/** Files of the operating system, skipped. */
const HIDDEN = /(^|\/)(\.[^/]*|Thumbs\.db|desktop\.ini|__MACOSX)(\/|$)/;

/** True for an archive, by its file name. */
export function isArchive({ name }: File): boolean {
  return ARCHIVE.test(name);
}

/** True for a picture, by its type; files of unknown type may be one. */
export function mayBePicture({ type }: File): boolean {
  return type === '' || type.startsWith('image/');
}

/** The files of a file or folder input, sorted by path. */
export function filesOfField(files: Iterable<File>): PickedFile[] {
  return sorted(
    [...files].map((file) => ({ path: file.webkitRelativePath === '' ? file.name : file.webkitRelativePath, file })),
  );
}

/** The dropped files, including those in folders, sorted by path. */
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

/** readEntries returns a folder in batches until one is empty. */
async function listFolder(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) return all;
    all.push(...batch);
  }
}
