/** A large file from a server that the user trusts: goes on where a connection was cut, and proves what came. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** What to fetch. `digest` in lower-case hexadecimal; git-sha1: git's digest of the content. */
export type Download = {
  readonly url: string;
  readonly bytes: number;
  readonly algorithm: 'sha256' | 'git-sha1';
  readonly digest: string;
};

/** A server's answer or a network that fails tells why; the caller knows the remedy. */
export class DownloadError extends Error {}

/** Cut connections in a row without a byte gained, after which it is given up. */
const TRIES = 5;
const PAUSE_MS = 1000;

/**
 * Fetches into `target`, by way of `target`.partial, from whose end a later call goes on. Rejects with DownloadError
 * where the server refuses, cannot be reached, or sends other bytes than `digest` says.
 */
export async function downloadFile(options: {
  readonly download: Download;
  readonly target: string;
  readonly pauseMs?: number | undefined;
  readonly onProgress?: (bytes: number, total: number) => void;
}): Promise<void> {
  const { download, target, pauseMs = PAUSE_MS, onProgress } = options;
  const { url, bytes, digest } = download;
  const partial = `${target}.partial`;
  await mkdir(dirname(target), { recursive: true });
  for (let tries = 0; (await sizeOf(partial)) < bytes; ) {
    const before = await sizeOf(partial);
    try {
      await append({ url, partial, from: before, bytes, onProgress });
    } catch (cause) {
      if (cause instanceof DownloadError) throw cause;
      tries = (await sizeOf(partial)) > before ? 0 : tries + 1;
      if (tries >= TRIES) throw new DownloadError(`cannot be reached: ${reasonOf(cause)}`, { cause });
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
  const found = await digestOf(partial, download);
  if (found !== digest) {
    await rm(partial);
    throw new DownloadError(`sent ${found}, not ${digest}: it was damaged or replaced on its way`);
  }
  await rename(partial, target);
}

/** Appends the bytes from `from` on. An answer that begins at 0 begins the file anew. Rejects where it is cut off. */
async function append(options: {
  readonly url: string;
  readonly partial: string;
  readonly from: number;
  readonly bytes: number;
  readonly onProgress: ((bytes: number, total: number) => void) | undefined;
}): Promise<void> {
  const { url, partial, from, bytes, onProgress } = options;
  // Not compressed: a range counts the bytes of the file.
  const headers = { 'accept-encoding': 'identity', ...(from > 0 && { range: `bytes=${from}-` }) };
  const response = await fetch(url, { headers });
  if (!response.ok || response.body === null)
    throw new DownloadError(`answered ${response.status} ${response.statusText}`);
  const isContinued = response.status === 206;
  let received = isContinued ? from : 0;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      received += chunk.length;
      onProgress?.(received, bytes);
      done(
        received > bytes ? new DownloadError(`sends more than the ${bytes} bytes that it should have`) : null,
        chunk,
      );
    },
  });
  // fetch returns the stream type that Readable.fromWeb takes; only their declarations differ
  const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
  await pipeline(body, counted, createWriteStream(partial, { flags: isContinued ? 'a' : 'w' })).catch(async (cause) => {
    if (cause instanceof DownloadError) await rm(partial, { force: true }); // another file than was wanted
    throw cause;
  });
  if (received < bytes) throw new Error(`it ended after ${received} of ${bytes} bytes`);
}

async function digestOf(path: string, { algorithm, bytes }: Download): Promise<string> {
  const hash = algorithm === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`);
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** 0 where there is none. */
async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

/** fetch hides the reason of a failure in its cause. */
export function reasonOf(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return inner instanceof Error ? inner.message : String(inner);
}
