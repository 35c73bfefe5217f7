/**
 * A service with a catalogue of many images, filled without decoding any: for tests of load, where what is stored only
 * has to be there.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCatalogue } from '../../src/catalogue/open-catalogue.js';
import { readSavedEncoder } from '../../src/encoder/saved-encoder.js';
import { SETTINGS } from '../../src/settings.js';
import { newImage } from '../catalogue/example-images.js';
import { clusteredVectors } from '../catalogue/vectors/synthetic-vectors.js';
import { REPOSITORY, type ServiceProcess, startService } from '../service-process.js';
import type { Shot } from './load.js';

/**
 * Starts a service over so many stored images, of 200 clusters drawn from the seed, and ends both afterwards,
 * whatever happened.
 */
export async function withFilledService(
  options: { readonly images: number; readonly seed: number; readonly flags?: readonly string[] },
  use: (service: ServiceProcess) => Promise<void>,
): Promise<void> {
  const data = await mkdtemp(join(tmpdir(), 'likeness-filled-'));
  try {
    await fill(data, options);
    const service = await startService({ data, flags: options.flags ?? [] });
    try {
      await use(service);
    } finally {
      if (service.process.exitCode === null && service.process.signalCode === null) await service.stop();
    }
  } finally {
    await rm(data, { recursive: true, force: true });
  }
}

/** The pictures that ship with the product, all different: what clients of a load send. */
export function demoPictures(): readonly Buffer[] {
  const folder = join(REPOSITORY, 'examples', 'demo');
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.jpg'));
  return names.sort().map((name) => readFileSync(join(folder, name)));
}

/** POST /search of one picture after the other, again and again. */
export function searches(
  pictures: readonly Buffer[],
  headers: Readonly<Record<string, string>> = {},
): (number: number) => Shot {
  return (number) => ({
    method: 'POST',
    path: '/search?k=10',
    headers: { ...headers, 'content-type': 'image/jpeg' },
    body: pictures[number % pictures.length]!,
  });
}

async function fill(
  folder: string,
  { images, seed }: { readonly images: number; readonly seed: number },
): Promise<void> {
  const { id: encoderId, dimensions } = (await readSavedEncoder(join(REPOSITORY, SETTINGS.model.default))).manifest;
  const catalogue = await openCatalogue({ folder, encoderId, dimensions, m: SETTINGS.hnswM.default });
  try {
    const next = clusteredVectors({ dimensions, clusters: 200, seed });
    const AT_ONCE = 500;
    for (let first = 0; first < images; first += AT_ONCE) {
      const batch = Array.from({ length: Math.min(AT_ONCE, images - first) }, (_, at) =>
        newImage(`image-${first + at}`, next()),
      );
      await Promise.all(batch.map((image) => catalogue.add('default', image)));
    }
  } finally {
    await catalogue.close();
  }
}
