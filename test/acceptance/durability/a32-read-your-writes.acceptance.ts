/**
 * Read your writes (A32), 10,000 times: index, 2xx, search at once, found; remove, 2xx, search at once, not found. And
 * the same file sent twice is one record.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { startService } from '../../service-process.js';
import { inLanes } from '../lanes.js';
import { atMost, record } from '../record.js';

/** As the criterion says, or ACCEPTANCE_TIMES where somebody has less time; the record tells which. */
const TIMES = Number(process.env.ACCEPTANCE_TIMES ?? 10_000);
const LANES = 4;

test(`${TIMES} times: what was indexed is found by the next search, what was removed by none`, async () => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-read-'));
  const service = await startService({ data });
  let [found, gone, twice] = [0, 0, 0];
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
        if ((await nearest(picture)) === String(place)) found++;
        if (place % 100 === 0) {
          const again = await send(`/index?id=${place}`, picture);
          twice += Number(((await again.json()) as { images: { status: string }[] }).images[0]?.status !== 'exists');
        }
        const removed = await fetch(`${service.url}/images/${place}`, { method: 'DELETE' });
        assert.equal(removed.status, 204);
        if ((await nearest(picture)) !== String(place)) gone++;
        // Added again, so that the index grows.
        assert.equal((await send(`/index?id=${place}`, picture)).status, 201);
      },
    );
    const { collections } = (await (await fetch(`${service.url}/collections`)).json()) as {
      collections: { images: number }[];
    };
    assert.equal(await service.stop(), 0);
    record({
      criterion: 'A32',
      given: `${TIMES} times in ${LANES} lanes: index, search at once; remove, search at once; index again. One in 100 sent twice`,
      measures: [
        atMost('not found after 201', TIMES - found, 0),
        atMost('found after 204', TIMES - gone, 0),
        atMost('same file sent twice and stored twice', twice, 0),
        atMost('images held too many or too few at the end', Math.abs((collections[0]?.images ?? 0) - TIMES), 0),
      ],
    });
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
