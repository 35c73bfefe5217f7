import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import { SearchError } from '../../errors.js';
import { MANIFEST_BYTES_MAX, parseManifest, type SnapshotManifest, type SnapshotMember } from './snapshot-manifest.js';

/**
 * The snapshot file: a tar that any tar program unpacks, of manifest.json, its SHA-256, and the members in the
 * manifest's order.
 *
 * Reading is stricter than for a tar: every byte must be content that a checksum covers, or exactly the byte that
 * writing puts there. So links, `../` and second headers need no rules of their own.
 */

const MANIFEST = 'manifest.json';
const MANIFEST_DIGEST = 'manifest.json.sha256';
const BLOCK = 512;
const END_OF_TAR = Buffer.alloc(2 * BLOCK);
const CHUNK_BYTES = 1 << 20;

/**
 * Writes a snapshot of the members in `folder` and flushes it; the file must not exist. Throws where a member
 * changes meanwhile.
 */
export async function writeSnapshotFile(path: string, folder: string, manifest: SnapshotManifest): Promise<void> {
  const text = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
  const mtime = new Date(manifest.created);
  const tar = pack();
  const adding = (async () => {
    tar.entry(header({ name: MANIFEST, bytes: text.length, mtime }), text);
    const digest = digestLine(text);
    tar.entry(header({ name: MANIFEST_DIGEST, bytes: digest.length, mtime }), digest);
    for (const { name, bytes, sha256 } of manifest.members) {
      const hash = createHash('sha256');
      const content = createReadStream(join(folder, name), { highWaterMark: CHUNK_BYTES }).on('data', (chunk) =>
        hash.update(chunk),
      );
      await pipeline(content, tar.entry(header({ name, bytes, mtime })));
      if (hash.digest('hex') !== sha256)
        throw new Error(`${name} changed while it was copied into a snapshot. This is a bug.`);
    }
    tar.finalize();
  })().catch((error: unknown) => {
    tar.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  });
  await Promise.all([adding, pipeline(tar, createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true }))]);
}

/**
 * Reads a snapshot's manifest and verifies its checksum, not the members. Throws SNAPSHOT_DAMAGED or SNAPSHOT_FORMAT.
 */
export async function readManifest(path: string): Promise<SnapshotManifest> {
  return withReader(path, async (reader) => reader.manifest());
}

/**
 * Verifies every byte of a snapshot. With `into`, an empty folder, the members are written there and flushed; after a
 * throw its content must not be used. Throws SNAPSHOT_DAMAGED, SNAPSHOT_FORMAT, or SNAPSHOT_TOO_LARGE where the members
 * exceed `maxBytes` together.
 */
export async function verifySnapshot(
  path: string,
  options: { readonly maxBytes: number; readonly into?: string },
): Promise<SnapshotManifest> {
  return withReader(path, async (reader) => {
    const manifest = await reader.manifest();
    const total = manifest.members.reduce((sum, { bytes }) => sum + bytes, 0);
    if (total > options.maxBytes) {
      const message = `The snapshot unpacks to ${total} bytes; the limit is ${options.maxBytes} (--max-bytes).`;
      throw new SearchError('SNAPSHOT_TOO_LARGE', message);
    }
    await reader.expectLength(manifest.members);
    const mtime = new Date(manifest.created);
    for (const member of manifest.members) await reader.member(member, mtime, options.into);
    await reader.expect(END_OF_TAR, 'its end');
    return manifest;
  });
}

async function withReader<T>(path: string, read: (reader: Reader) => Promise<T>): Promise<T> {
  const handle = await open(path, 'r');
  try {
    return await read(new Reader(handle));
  } finally {
    await handle.close();
  }
}

/** Reads a snapshot from front to back. */
class Reader {
  readonly #handle: FileHandle;
  #at = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async manifest(): Promise<SnapshotManifest> {
    const first = await this.#take(BLOCK);
    const size = /^([0-7]{11})[ \0]$/.exec(first.toString('latin1', 124, 136))?.[1];
    const bytes = size === undefined ? Number.NaN : Number.parseInt(size, 8);
    if (!first.toString('latin1', 0, 100).startsWith(`${MANIFEST}\0`) || !(bytes <= MANIFEST_BYTES_MAX))
      throw damaged(`it does not begin with ${MANIFEST}`);
    const text = await this.#take(bytes);
    const digestAt = this.#at + paddingOf(bytes) + BLOCK;
    const digest = digestLine(text);
    if (!(await this.#peek(digestAt, digest.length)).equals(digest))
      throw damaged(`its ${MANIFEST} is not the one that was written`);
    const manifest = parseManifest(text.toString('utf8'));
    const mtime = new Date(manifest.created);
    if (!first.equals(await headerBlock({ name: MANIFEST, bytes, mtime })))
      throw damaged(`the header of ${MANIFEST} was changed`);
    await this.#expectPadding(bytes, MANIFEST);
    await this.expect(await headerBlock({ name: MANIFEST_DIGEST, bytes: digest.length, mtime }), MANIFEST_DIGEST);
    await this.expect(digest, MANIFEST_DIGEST);
    await this.#expectPadding(digest.length, MANIFEST_DIGEST);
    return manifest;
  }

  /** Throws where the file's size is not the one that these members make. */
  async expectLength(members: readonly SnapshotMember[]): Promise<void> {
    const rest = members.reduce((sum, { bytes }) => sum + BLOCK + bytes + paddingOf(bytes), END_OF_TAR.length);
    const { size } = await this.#handle.stat();
    if (size !== this.#at + rest) throw damaged(`it has ${size} bytes instead of ${this.#at + rest}`);
  }

  async member({ name, bytes, sha256 }: SnapshotMember, mtime: Date, into: string | undefined): Promise<void> {
    await this.expect(await headerBlock({ name, bytes, mtime }), name);
    const target = into === undefined ? undefined : await createMember(join(into, name));
    try {
      const hash = createHash('sha256');
      for (let left = bytes; left > 0; ) {
        const chunk = await this.#take(Math.min(left, CHUNK_BYTES));
        hash.update(chunk);
        await target?.writeFile(chunk); // goes on where the former ended
        left -= chunk.length;
      }
      if (hash.digest('hex') !== sha256) throw damaged(`the SHA-256 of ${name} is not the one of the manifest`);
      await target?.sync();
    } finally {
      await target?.close();
    }
    await this.#expectPadding(bytes, name);
  }

  async expect(wanted: Buffer, name: string): Promise<void> {
    if (!(await this.#take(wanted.length)).equals(wanted))
      throw damaged(`the bytes at ${name} were not written by Likeness`);
  }

  async #expectPadding(bytes: number, name: string): Promise<void> {
    await this.expect(Buffer.alloc(paddingOf(bytes)), `the end of ${name}`);
  }

  async #take(bytes: number): Promise<Buffer> {
    const taken = await this.#peek(this.#at, bytes);
    this.#at += bytes;
    return taken;
  }

  async #peek(at: number, bytes: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(bytes);
    for (let read = 0; read < bytes; ) {
      const { bytesRead } = await this.#handle.read(buffer, read, bytes - read, at + read);
      if (bytesRead === 0) throw damaged(`it ends after ${at + read} bytes`);
      read += bytesRead;
    }
    return buffer;
  }
}

async function createMember(path: string): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true });
  return open(path, 'wx');
}

type Entry = { readonly name: string; readonly bytes: number; readonly mtime: Date };

function header({ name, bytes, mtime }: Entry) {
  return { name, size: bytes, mtime, mode: 0o600, type: 'file' as const };
}

/** The 512 bytes before a member. */
async function headerBlock(entry: Entry): Promise<Buffer> {
  const tar = pack();
  tar.entry(header(entry)).on('error', () => undefined); // it ends after its header
  for await (const chunk of tar) return Buffer.from(chunk as Uint8Array); // what a tar is made of
  throw new Error('A tar begins with a header. This is a bug.');
}

function paddingOf(bytes: number): number {
  return (BLOCK - (bytes % BLOCK)) % BLOCK;
}

function digestLine(text: Uint8Array): Buffer {
  return Buffer.from(`${createHash('sha256').update(text).digest('hex')}  ${MANIFEST}\n`);
}

function damaged(what: string): SearchError {
  return new SearchError('SNAPSHOT_DAMAGED', `The snapshot is damaged: ${what}. Nothing was restored.`);
}
