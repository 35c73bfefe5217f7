import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { json } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { snapshotFolder } from '../catalogue/pack-snapshot.js';
import { restoreSnapshot } from '../catalogue/restore.js';
import { verifySnapshot } from '../catalogue/snapshot-file.js';
import type { SnapshotManifest } from '../catalogue/snapshot-manifest.js';
import { readServiceAddress } from '../config.js';
import { requestService, type ServiceAddress } from '../importing/service-client.js';

/** Flags of `likeness snapshot`. */
export type SnapshotFlags = {
  readonly url?: string;
  readonly apiKey?: string;
  readonly data?: string;
  readonly out: string;
  readonly keep: boolean;
};

/** Flags of `likeness restore`. */
export type RestoreFlags = { readonly data: string; readonly maxBytes: number };

/**
 * Writes a snapshot of a running service (--url), or of a folder that none runs on (--data), to a file, which is replaced where it exists and only when the new one is whole.
 * Returns the exit code.
 */
export async function runSnapshot(flags: SnapshotFlags): Promise<number> {
  const { data, out } = flags;
  await mkdir(dirname(resolve(out)), { recursive: true });
  const manifest = data === undefined ? await download(flags) : await snapshotFolder({ folder: data, out });
  console.log(`${out}: ${describe(manifest)}`);
  return 0;
}

/** Makes a data folder of a snapshot, every byte of it verified first. Returns the exit code. */
export async function runRestore(file: string, { data, maxBytes }: RestoreFlags): Promise<number> {
  const manifest = await restoreSnapshot({ file, folder: data, maxBytes });
  console.log(`${data}: ${describe(manifest)}`);
  return 0;
}

async function download(flags: SnapshotFlags): Promise<SnapshotManifest> {
  const service: ServiceAddress = { ...readServiceAddress(flags), collection: 'default' };
  const made = (await json(await requestService(service, { method: 'POST', path: '/snapshots' }))) as { name: string };
  const path = `/snapshots/${encodeURIComponent(made.name)}`;
  const temporary = `${flags.out}.tmp`;
  try {
    await pipeline(await requestService(service, { method: 'GET', path }), createWriteStream(temporary, { flush: true }));
    const manifest = await verifySnapshot(temporary, { maxBytes: Number.POSITIVE_INFINITY });
    await rename(temporary, flags.out);
    if (!flags.keep) (await requestService(service, { method: 'DELETE', path })).resume();
    return manifest;
  } finally {
    await rm(temporary, { force: true });
  }
}

function describe({ images, collections, lastSequence, encoderId, created }: SnapshotManifest): string {
  const sizes = `${images} images in ${collections.length} collections`;
  return `${sizes}, up to number ${lastSequence}, encoder ${encoderId.slice(0, 12)}, of ${created}`;
}
