import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { dirname, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { checkCatalogue } from '../catalogue/snapshots/check.js';
import { snapshotFolder } from '../catalogue/snapshots/pack-snapshot.js';
import { restoreSnapshot } from '../catalogue/snapshots/restore.js';
import { verifySnapshot } from '../catalogue/snapshots/snapshot-file.js';
import type { SnapshotManifest } from '../catalogue/snapshots/snapshot-manifest.js';
import { createClient } from '../client/client.js';
import { readServiceAddress } from '../config.js';

/** Flags of `likeness snapshot`. */
type SnapshotFlags = {
  readonly url?: string;
  readonly apiKey?: string;
  readonly data?: string;
  readonly out: string;
  readonly keep: boolean;
};

/** Flags of `likeness restore`. */
type RestoreFlags = { readonly data: string; readonly maxBytes: number };

/**
 * Writes a snapshot of a running service (--url), or of a folder without a running service (--data), to a file. An
 * existing file is replaced when the new one is complete. Returns the exit code.
 */
export async function runSnapshot(flags: SnapshotFlags): Promise<number> {
  const { data, out } = flags;
  await mkdir(dirname(resolve(out)), { recursive: true });
  const manifest = data === undefined ? await download(flags) : await snapshotFolder({ folder: data, out });
  console.log(`${out}: ${describe(manifest)}`);
  return 0;
}

/** Creates a data folder from a snapshot after verifying every byte of it. Returns the exit code. */
export async function runRestore(file: string, { data, maxBytes }: RestoreFlags): Promise<number> {
  const manifest = await restoreSnapshot({ file, folder: data, maxBytes });
  console.log(`${data}: ${describe(manifest)}`);
  return 0;
}

async function download(flags: SnapshotFlags): Promise<SnapshotManifest> {
  const client = createClient({ ...readServiceAddress(flags), fetch: fetchWithoutTimeout });
  const { name } = await client.makeSnapshot();
  const temporary = `${flags.out}.tmp`;
  try {
    const { body } = await client.snapshot(name);
    if (body === null) throw new Error(`The service sent no bytes of the snapshot ${name}.`);
    await pipeline(Readable.fromWeb(body), createWriteStream(temporary, { flush: true }));
    const manifest = await verifySnapshot(temporary, { maxBytes: Number.POSITIVE_INFINITY });
    await rename(temporary, flags.out);
    if (!flags.keep) await client.removeSnapshot(name);
    return manifest;
  } finally {
    await rm(temporary, { force: true });
  }
}

/**
 * Sends a request without a body. It waits for the response as long as necessary; the global fetch gives up after
 * five minutes.
 */
async function fetchWithoutTimeout(url: URL, { method, headers }: RequestInit): Promise<Response> {
  const { request } = url.protocol === 'https:' ? https : http;
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    request(url, { method, headers: headers as Record<string, string> }, resolve)
      .on('error', reject)
      .end(); // set by our client
  });
  const { statusCode: status = 0 } = response;
  const body = status === 204 ? null : (Readable.toWeb(response) as ReadableStream);
  return new Response(body, {
    status,
    headers: Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
  });
}

function describe({ images, collections, lastSequence, encoderId, created }: SnapshotManifest): string {
  const sizes = `${images} images in ${collections.length} collections`;
  return `${sizes}, up to number ${lastSequence}, encoder ${encoderId.slice(0, 12)}, of ${created}`;
}

/** Flags of `likeness check`. */
type CheckFlags = { readonly data: string; readonly deep: boolean; readonly hnswM: number };

/**
 * Verifies a data folder and prints what it found, collection by collection. Returns the exit code: 1 where records
 * are damaged.
 */
export async function runCheck(flags: CheckFlags): Promise<number> {
  const result = checkCatalogue(flags.data, { deep: flags.deep, m: flags.hnswM });
  console.log(
    `${flags.data}: encoder ${result.encoderId?.slice(0, 12) ?? 'unknown'}, ${result.dimensions ?? 0} dimensions`,
  );
  const { format, newestFormat } = result;
  if (format !== undefined && format < newestFormat)
    console.log(`The record store has format ${format}; a start migrates it to format ${newestFormat}.`);
  for (const { name, images, index, indexProblem, notYetIndexed } of result.collections) {
    const state = index === 'refused' ? `refused, the next start builds it anew (${indexProblem})` : index;
    console.log(
      `collection ${name}: ${images} images; index ${state}; ${notYetIndexed} images to be added to it at the next start`,
    );
  }
  for (const problem of result.storeProblems) console.error(`damaged: ${problem}`);
  console.log(result.ok ? 'The records are whole.' : 'Records are damaged: restore the folder from a backup.');
  return result.ok ? 0 : 1;
}
