/**
 * Read your writes (A32), 10,000 times: index, 2xx, search at once, found; remove, 2xx, search at once, not found. And the same file sent twice is one record.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { startService } from '../service-process.js';
import { inLanes } from './lanes.js';

const TIMES = 10_000;
const LANES = 4;

test(`${TIMES} times: what was indexed is found by the next search, what was removed by none`, async () => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-read-'));
  const service = await startService({ data });
  let [found, gone] = [0, 0];
  const send = async (path: string, body: Buffer): Promise<Response> =>
    fetch(`${service.url}${path}`, { method: 'POST', body, headers: { 'content-type': 'image/png' } });
  const nearest = async (picture: Buffer): Promise<string | undefined> => {
    const response = await send('/search?k=1', picture);
    assert.equal(response.status, 200);
    return ((await response.json()) as { results: { id: string }[] }).results[0]?.id;
  };
  try {
    await inLanes(
      Array.from({ length: TIMES }, (_, place) => place),
      LANES,
      async (place) => {
        const picture = await differentPicture(place);
        const added = await send(`/index?id=${place}`, picture);
        assert.equal(added.status, 201, await added.text());
        assert.equal(await nearest(picture), String(place), `image ${place} was not found`);
        found++;
        if (place % 100 === 0) {
          const again = await send(`/index?id=${place}`, picture);
          assert.equal(((await again.json()) as { images: { status: string }[] }).images[0]?.status, 'exists');
        }
        const removed = await fetch(`${service.url}/images/${place}`, { method: 'DELETE' });
        assert.equal(removed.status, 204);
        assert.notEqual(await nearest(picture), String(place), `image ${place} was found after its removal`);
        gone++;
        // Added again, so that the index grows.
        assert.equal((await send(`/index?id=${place}`, picture)).status, 201);
      },
    );
    const { collections } = (await (await fetch(`${service.url}/collections`)).json()) as { collections: { images: number }[] };
    assert.equal(collections[0]?.images, TIMES);
    console.log(`${found} of ${TIMES} found after indexing, ${TIMES - gone} of ${TIMES} after removing`);
    assert.equal(await service.stop(), 0);
  } finally {
    service.process.kill('SIGKILL');
    await rm(data, { recursive: true, force: true });
  }
});

/** Blocks of colours by a hash of the number: pictures far apart from each other. */
async function differentPicture(place: number): Promise<Buffer> {
  let state = Math.imul(place + 1, 0x9e3779b1);
  const rgb = Uint8Array.from({ length: 8 * 8 * 3 }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) | 0;
    return state >>> 24;
  });
  return sharp(rgb, { raw: { width: 8, height: 8, channels: 3 } })
    .resize(64, 64, { kernel: 'nearest' })
    .png()
    .toBuffer();
}
