/** Pictures with structure, as a service stores them. */
import assert from 'node:assert/strict';
import { syntheticPicture, toSharp } from '../../images/pictures.js';
import { raw, type TestApplication } from '../application.js';

/** A PNG of 192 x 192 pixels that differs for each seed. */
export function photo(seed: number): Promise<Buffer> {
  return toSharp(syntheticPicture({ width: 192, height: 192, seed }))
    .png()
    .toBuffer();
}

/** Stores a picture as `id`, in the collection `default`. */
export async function store(server: TestApplication, id: string, bytes: Buffer): Promise<void> {
  const response = await server.ask({ method: 'POST', url: `/index?id=${id}`, ...raw(bytes) });
  assert.equal(response.statusCode, 201, response.body);
}
