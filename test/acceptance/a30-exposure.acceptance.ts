/** Exposure (A30): what a stranger can learn from answers, headers and metrics, and what a picture's metadata leave behind: nothing. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { seededRandom } from '../catalogue/synthetic-vectors.js';
import { startService } from '../service-process.js';
import { demoPictures } from './filled-service.js';
import { inLanes } from './lanes.js';
import { atMost, below, record, seedOf } from './record.js';

const PATHS = 100_000;
const SERIES_MAX = 2000;
const SECRET_PLACE = 'Likeness-Secret-Place';
/** A stack, a path of a machine, SQL, or a library with its version. */
const TELLTALE =
  /\bat .+:\d+:\d+|node_modules|\/(?:home|root|tmp|var|usr|src)\/|SQLITE|SELECT |INSERT |better-sqlite|libvips|sharp\/|fastify\/|node\/v?\d/i;

test('nothing is given away', async () => {
  const seed = seedOf(130);
  const random = seededRandom(seed);
  const data = await mkdtemp(join(tmpdir(), 'likeness-exposure-'));
  const service = await startService({ data });
  try {
    const { url } = service;
    const picture = await sharp(demoPictures()[0]!)
      .withExif({
        IFD0: { ImageDescription: SECRET_PLACE, Copyright: SECRET_PLACE },
        IFD3: { GPSLatitude: '51/1 30/1 0/1', GPSLatitudeRef: 'N' },
      })
      .withXmp(`<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>${SECRET_PLACE}</a></x:xmpmeta>`)
      .jpeg()
      .toBuffer();
    assert.ok(picture.includes(SECRET_PLACE));
    const image = (body: Uint8Array) => ({ method: 'POST', body: new Uint8Array(body), headers: { 'content-type': 'image/jpeg' } });
    const added = await fetch(`${url}/index?id=placed`, image(picture));
    assert.equal(added.status, 201, await added.text());

    // Every answer that shows the picture, and every byte that is stored of it.
    const shown = [
      await fetch(`${url}/images/placed`),
      await fetch(`${url}/images`),
      await fetch(`${url}/images/placed/thumbnail`),
      await fetch(`${url}/search?k=3`, image(picture)),
    ];
    const betrayed: string[] = [];
    for (const response of shown) {
      const bytes = Buffer.from(await response.arrayBuffer());
      if (bytes.includes(SECRET_PLACE) || bytes.includes('Exif\0\0')) betrayed.push(new URL(response.url).pathname);
    }
    const stored: string[] = [];
    for (const name of await readdir(data, { recursive: true })) {
      const bytes = await readFile(join(data, name)).catch(() => Buffer.alloc(0)); // Folders.
      if (bytes.includes(SECRET_PLACE)) stored.push(name);
    }

    const json = { method: 'POST', headers: { 'content-type': 'application/json' } };
    const errors = [
      await fetch(`${url}/nowhere`),
      await fetch(`${url}/images/none`),
      await fetch(`${url}/images?limit=x`),
      await fetch(`${url}/images?filter=%7B`),
      await fetch(`${url}/search`, image(Buffer.from('no picture'))),
      await fetch(`${url}/search`, image(picture.subarray(0, 2000))),
      await fetch(`${url}/search`, { ...json, body: '{' }),
      await fetch(`${url}/search`, { ...json, body: '{"id": "x", "extra": 1}' }),
      await fetch(`${url}/index`, { ...json, body: '{}' }),
      await fetch(`${url}/images/placed`, { ...json, method: 'PATCH', body: '{"embedding": [1]}' }),
      await fetch(`${url}/images/placed`, { ...json, method: 'PATCH', body: '{"metadata": {}, "addedAt": "2000-01-01"}' }),
      await fetch(`${url}/snapshots/..%2f..%2fetc`),
    ];
    const bare: string[] = [];
    const telltale: string[] = [];
    for (const response of [...errors, await fetch(`${url}/healthz`)]) {
      const path = `${response.status} ${new URL(response.url).pathname}`;
      if (response.headers.get('x-content-type-options') !== 'nosniff' || !response.headers.has('content-security-policy')) bare.push(path);
      if (response.headers.has('x-powered-by') || response.headers.has('server')) bare.push(path);
      const body = await response.text();
      if (TELLTALE.test(body)) telltale.push(`${path}: ${body.slice(0, 200)}`);
    }
    const admitted = errors.slice(7, 11).filter(({ status }) => status < 400).length;

    await inLanes(Array.from({ length: PATHS }), 32, async () => {
      const path = Array.from({ length: 1 + Math.floor(random() * 4) }, () => Math.floor(random() * 1e9).toString(36)).join('/');
      await (await fetch(`${url}/${path}`)).arrayBuffer();
    });
    const series = (await (await fetch(`${url}/metrics`)).text()).split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
    for (const line of [...bare, ...telltale, ...betrayed, ...stored]) console.log(line);
    record({
      criterion: 'A30',
      given: `a picture with EXIF, GPS and XMP (originals are not kept; with --keep-originals they are, byte for byte as sent); ${errors.length} kinds of error; ${PATHS} random paths`,
      seed,
      measures: [
        atMost('errors with a stack, path, SQL or library in them', telltale.length, 0),
        atMost('answers without nosniff or a content security policy, or with the name of the server', bare.length, 0),
        atMost('unknown properties admitted', admitted, 0),
        atMost('answers with EXIF, GPS or XMP of the picture', betrayed.length, 0),
        atMost('stored files with it', stored.length, 0),
        below('metric series after the random paths', series, SERIES_MAX),
      ],
    });
  } finally {
    await service.stop();
    await rm(data, { recursive: true, force: true });
  }
});
