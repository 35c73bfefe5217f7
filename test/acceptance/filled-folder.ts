import { join } from 'node:path';
import { openCatalogue } from '../../src/catalogue/open-catalogue.js';
import { readSettings } from '../../src/config.js';
import { openEncoder } from '../../src/encoder/open-encoder.js';
import { newImage } from '../catalogue/example-images.js';
import { clusteredVectors } from '../catalogue/vectors/synthetic-vectors.js';
import { REPOSITORY } from '../service-process.js';

/** A thumbnail of about the mean size that the service makes. */
export const THUMBNAIL_BYTES = 6000;

/**
 * Makes a data folder as the service would have it after so many images of the shipped encoder, index file and all,
 * without a picture decoded: vectors in clusters, from the seed.
 */
export async function fillFolder(folder: string, count: number, seed: number): Promise<void> {
  const { model, hnswM: m, hnswEfConstruction: efConstruction } = readSettings({}, {});
  const encoder = await openEncoder({ folder: join(REPOSITORY, model), device: 'cpu' });
  const { id: encoderId, dimensions } = encoder.description;
  await encoder.close();
  const draw = clusteredVectors({ dimensions, clusters: 200, seed });
  const thumbnail = new Uint8Array(THUMBNAIL_BYTES);
  const catalogue = await openCatalogue({
    folder,
    encoderId,
    dimensions,
    m,
    efConstruction,
    saveEveryChanges: 10 ** 9,
  });
  for (let from = 0; from < count; from += 500) {
    const group = Math.min(500, count - from);
    await Promise.all(
      Array.from({ length: group }, (_, at) =>
        catalogue.add('default', newImage(`${from + at}`, draw(), { thumbnail })),
      ),
    );
  }
  await catalogue.saveIndexes();
  await catalogue.close();
}
