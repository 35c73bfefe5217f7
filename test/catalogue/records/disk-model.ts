import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** One operation that faulty-io.c wrote down. */
export type DiskRecord = {
  readonly op: 'write' | 'sync' | 'syncFolder' | 'rename' | 'unlink' | 'truncate';
  readonly failed: boolean;
  readonly path: string;
  readonly inode: bigint;
  /** Of a write its place, of a truncation the new length. */
  readonly offset: number;
  readonly sizeBefore: number;
  /** What was written; of a rename the new path. */
  readonly data: Buffer;
};

const OPS = [undefined, 'write', 'sync', 'syncFolder', 'rename', 'unlink', 'truncate'] as const;
const HEAD_BYTES = 40;
/** What a disk writes whole or not at all, at most. */
const PAGE_BYTES = 4096;

/** Reads the record of faulty-io.c, in the order in which things happened. */
export function readDiskRecords(path: string): DiskRecord[] {
  const bytes = readFileSync(path);
  const records: DiskRecord[] = [];
  for (let at = 0; at < bytes.length; ) {
    const op = OPS[bytes.readUInt32LE(at)];
    if (op === undefined) throw new Error(`No operation at byte ${at} of ${path}.`);
    const [pathBytes, dataBytes] = [bytes.readUInt32LE(at + 8), bytes.readUInt32LE(at + 12)];
    const text = at + HEAD_BYTES;
    records.push({
      ...{ op, failed: bytes.readUInt32LE(at + 4) !== 0, path: bytes.toString('utf8', text, text + pathBytes) },
      ...{ inode: bytes.readBigUInt64LE(at + 16), offset: Number(bytes.readBigInt64LE(at + 24)) },
      sizeBefore: Number(bytes.readBigInt64LE(at + 32)),
      data: bytes.subarray(text + pathBytes, text + pathBytes + dataBytes),
    });
    at = text + pathBytes + dataBytes;
  }
  return records;
}

type Pending = { readonly offset: number; readonly data: Buffer } | { readonly length: number };
/**
 * A file's content as the disk surely has it, what is on its way there, and how long the running system thinks it is.
 */
type File = { durable: Buffer; pending: Pending[]; size: number };
type NameChange = {
  readonly folder: string;
  readonly path: string;
  readonly file: File | undefined;
  readonly former?: string;
  isDurable: boolean;
};

/**
 * A disk that loses its cache: follows the records of a process and says what is left after a power failure. Content is
 * durable from its file's next flush on; a name, its change or its end from its folder's next flush on. A flush that
 * failed has lost what it should have written: a later one that succeeds does not bring it back, as Linux has it.
 */
export class DiskModel {
  readonly #files = new Map<bigint, File>();
  readonly #names = new Map<string, File>();
  readonly #changes: NameChange[] = [];

  follow({ op, failed, path, inode, offset, sizeBefore, data }: DiskRecord): void {
    if (op === 'syncFolder') {
      if (!failed) for (const change of this.#changes) if (change.folder === path) change.isDurable = true;
      return;
    }
    if (op === 'rename') this.#renamed(path, data.toString('utf8'));
    else if (op === 'unlink') this.#unlinked(path, inode);
    else this.#changed({ op, failed, path, inode, offset, sizeBefore, data });
  }

  #changed({ op, failed, path, inode, offset, sizeBefore, data }: DiskRecord): void {
    const file = this.#fileOf(inode, path);
    if (file.size !== sizeBefore) file.pending.push({ length: sizeBefore }); // opened anew and cut
    if (op === 'write') {
      file.pending.push({ offset, data });
      file.size = Math.max(sizeBefore, offset + data.length);
    } else if (op === 'truncate') {
      file.pending.push({ length: offset });
      file.size = offset;
    } else {
      if (!failed) file.durable = applied(file.durable, file.pending);
      file.pending = [];
      file.size = sizeBefore;
    }
  }

  /**
   * Writes what is left of the files below `from` into the folder `to`. Without `random` everything that was not
   * flushed is gone; with it some of it reached the disk all the same, page by page, and some of the last changes of
   * names, in their order.
   */
  writeTo(to: string, from: string, random?: () => number): void {
    const open = this.#changes.filter(({ isDurable }) => !isDurable);
    const kept = new Set(open.slice(0, random === undefined ? 0 : Math.floor(random() * (open.length + 1))));
    const names = new Map<string, File>();
    for (const change of this.#changes) {
      if (!change.isDurable && !kept.has(change)) continue;
      if (change.former !== undefined) names.delete(change.former);
      if (change.file === undefined) names.delete(change.path);
      else names.set(change.path, change.file);
    }
    for (const [path, { durable, pending }] of names) {
      const place = relative(from, path);
      if (place.startsWith('..')) continue;
      mkdirSync(dirname(join(to, place)), { recursive: true });
      writeFileSync(
        join(to, place),
        random === undefined
          ? durable
          : applied(
              durable,
              pending.flatMap((each) => someOf(each, random)),
            ),
      );
    }
  }

  #fileOf(inode: bigint, path: string): File {
    const known = this.#files.get(inode);
    if (known !== undefined) return known;
    const file: File = { durable: Buffer.alloc(0), pending: [], size: 0 };
    this.#files.set(inode, file);
    this.#names.set(path, file);
    this.#changes.push({ folder: dirname(path), path, file, isDurable: false });
    return file;
  }

  #renamed(from: string, to: string): void {
    const file = this.#names.get(from);
    if (file === undefined) return; // empty until now: a folder, or a file that nothing was written to
    this.#forget(this.#names.get(to));
    this.#names.delete(from);
    this.#names.set(to, file);
    this.#changes.push({ folder: dirname(to), path: to, file, former: from, isDurable: false });
  }

  #unlinked(path: string, inode: bigint): void {
    this.#files.delete(inode);
    this.#names.delete(path);
    this.#changes.push({ folder: dirname(path), path, file: undefined, isDurable: false });
  }

  /** Its number may be given to another file now. */
  #forget(file: File | undefined): void {
    for (const [inode, known] of this.#files) if (known === file) this.#files.delete(inode);
  }
}

function applied(content: Buffer, changes: readonly Pending[]): Buffer {
  const end = (at: number, change: Pending): number =>
    Math.max(at, 'length' in change ? change.length : change.offset + change.data.length);
  const buffer = Buffer.alloc(changes.reduce(end, content.length));
  content.copy(buffer);
  let size = content.length;
  for (const change of changes) {
    if ('length' in change) {
      if (change.length < size) buffer.fill(0, change.length, size);
      size = change.length;
    } else {
      change.data.copy(buffer, change.offset);
      size = Math.max(size, change.offset + change.data.length);
    }
  }
  return buffer.subarray(0, size);
}

/** Each page of a write reached the disk or did not; so did a truncation. */
function someOf(change: Pending, random: () => number): Pending[] {
  if ('length' in change) return random() < 0.5 ? [change] : [];
  const pieces: Pending[] = [];
  for (let at = 0; at < change.data.length; ) {
    const length = PAGE_BYTES - ((change.offset + at) % PAGE_BYTES);
    if (random() < 0.5) pieces.push({ offset: change.offset + at, data: change.data.subarray(at, at + length) });
    at += length;
  }
  return pieces;
}
