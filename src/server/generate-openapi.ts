import { Snapshots } from '../catalogue/snapshots/snapshots.js';
import { readSettings } from '../config.js';
import type { Encoder } from '../encoder/encoder.js';
import { openApiDocument } from './api-document.js';
import { buildApp } from './app.js';
import { createMonitoring } from './monitoring.js';

/** The document without a running service: openapi.yaml of the repository, under default settings. */
export async function generateOpenApiDocument(): Promise<string> {
  const never = (): never => {
    throw new Error('An application built for its description was called. This is a bug.');
  };
  const preprocessing: Encoder['description']['preprocessing'] = {
    width: 1,
    height: 1,
    fit: 'cover',
    mean: [0, 0, 0],
    scale: [1, 1, 1],
    layout: 'NHWC',
  };
  const close = async (): Promise<void> => {};
  const { app } = await buildApp({
    settings: readSettings({}, {}),
    decoder: { decode: never, statistics: { queued: 0, active: 0, restarts: 0 }, close },
    encoder: {
      description: { name: 'none', id: 'none', dimensions: 1, preprocessing, device: 'cpu', runtime: 'none' },
      encode: never,
      statistics: { queued: 0, active: 0 },
      close,
    },
    catalogue: {
      add: never,
      addKnown: never,
      findBySha256: never,
      remove: never,
      removeCollection: never,
      patchMetadata: never,
      get: never,
      embedding: never,
      thumbnail: never,
      original: never,
      list: never,
      neighbours: never,
      sample: never,
      changesSince: never,
      statistics: never,
      saveIndexes: never,
      close,
    },
    imports: { ledger: { changeImport: never, readImports: never }, folder: 'none' },
    mapFolder: 'none',
    scoreFolder: 'none',
    snapshots: new Snapshots({ folder: 'none', copyTo: never }),
    monitoring: createMonitoring(),
  });
  try {
    await app.ready();
    return openApiDocument(app);
  } finally {
    await app.close();
  }
}
