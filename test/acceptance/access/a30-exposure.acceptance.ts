/**
 * Exposure (A30): what a stranger can learn from answers, headers and metrics, and what a picture's metadata leave
 * behind: nothing.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp, { type Sharp } from 'sharp';
import type { ImageFormat } from '../../../src/images/image-decoder.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { betrayals, SECRET, withSecrets } from '../../images/metadata/secret-pictures.js';
import { zipOf } from '../../importing/archives.js';
import { sharedData, startService } from '../../service-process.js';
import { demoPictures } from '../filled-service.js';
import { inLanes } from '../lanes.js';
import { atLeast, atMost, below, record, seedOf } from '../record.js';

const PATHS = 100_000;
const SERIES_MAX = 2000;
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
    const picture = demoPictures()[0]!;
    const image = (body: Uint8Array) => ({
      method: 'POST',
      body: new Uint8Array(body),
      headers: { 'content-type': 'image/jpeg' },
    });
    const added = await fetch(`${url}/index?id=placed`, image(picture));
    assert.equal(added.status, 201, await added.text());

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
      await fetch(`${url}/images/placed`, {
        ...json,
        method: 'PATCH',
        body: '{"metadata": {}, "addedAt": "2000-01-01"}',
      }),
      await fetch(`${url}/snapshots/..%2f..%2fetc`),
    ];
    const bare: string[] = [];
    const telltale: string[] = [];
    for (const response of [...errors, await fetch(`${url}/healthz`)]) {
      const path = `${response.status} ${new URL(response.url).pathname}`;
      if (
        response.headers.get('x-content-type-options') !== 'nosniff' ||
        !response.headers.has('content-security-policy')
      )
        bare.push(path);
      if (response.headers.has('x-powered-by') || response.headers.has('server')) bare.push(path);
      const body = await response.text();
      if (TELLTALE.test(body)) telltale.push(`${path}: ${body.slice(0, 200)}`);
    }
    const admitted = errors.slice(7, 11).filter(({ status }) => status < 400).length;

    await inLanes(Array.from({ length: PATHS }), 32, async () => {
      const path = Array.from({ length: 1 + Math.floor(random() * 4) }, () =>
        Math.floor(random() * 1e9).toString(36),
      ).join('/');
      await (await fetch(`${url}/${path}`)).arrayBuffer();
    });
    const series = (await (await fetch(`${url}/metrics`)).text())
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#')).length;
    for (const line of [...bare, ...telltale]) console.log(line);
    record({
      criterion: 'A30',
      given: `${errors.length} kinds of error; ${PATHS} random paths`,
      seed,
      measures: [
        atMost('errors with a stack, path, SQL or library in them', telltale.length, 0),
        atMost('answers without nosniff or a content security policy, or with the name of the server', bare.length, 0),
        atMost('unknown properties admitted', admitted, 0),
        below('metric series after the random paths', series, SERIES_MAX),
      ],
    });
  } finally {
    await service.stop();
    await rm(data, { recursive: true, force: true });
  }
});

const KINDS: readonly { readonly format: ImageFormat; readonly encode: (picture: Sharp) => Sharp }[] = [
  { format: 'jpeg', encode: (picture) => picture.jpeg() },
  { format: 'png', encode: (picture) => picture.png() },
  { format: 'webp', encode: (picture) => picture.webp() },
  { format: 'gif', encode: (picture) => picture.gif() },
  { format: 'tiff', encode: (picture) => picture.tiff() },
  { format: 'avif', encode: (picture) => picture.avif({ effort: 0 }) },
];
/** Of these an original is kept. */
const STRIPPED: readonly string[] = ['jpeg', 'png', 'webp', 'gif'];

test('what pictures say beside their pixels is neither stored nor served, with originals and without', async () => {
  const betrayed: string[] = [];
  const faults: string[] = [];
  let answers = 0;
  let originals = 0;
  let corpusOriginals = 0;
  for (const flags of [[], ['--keep-originals']]) {
    const keepsOriginals = flags.length > 0;
    const data = await mkdtemp(join(tmpdir(), 'likeness-metadata-'));
    const service = await startService({ data, flags });
    const ask = async (path: string, init?: RequestInit): Promise<Buffer> => {
      const response = await fetch(service.url + path, init);
      const bytes = Buffer.from(await response.arrayBuffer());
      assert.ok(response.status < 500, `${path}: ${response.status}`);
      answers += 1;
      if (bytes.includes(SECRET)) betrayed.push(`${path} ${flags.join(' ')}`);
      return bytes;
    };
    try {
      const files: { readonly name: string; readonly content: Buffer }[] = [];
      for (const [at, { format, encode }] of KINDS.entries()) {
        const plain = await encode(sharp(demoPictures()[at]!)).toBuffer();
        const orientation = format === 'gif' ? 1 : 6;
        const content = await withSecrets(plain, { format, encode, orientation });
        assert.ok(content.includes(SECRET), format);
        files.push({ name: `${format}.${format}`, content });
        const body = new Uint8Array(content);
        await ask(`/index?id=${format}`, { method: 'POST', body, headers: { 'content-type': `image/${format}` } });
        await ask('/search?k=10', { method: 'POST', body, headers: { 'content-type': `image/${format}` } });
        await ask(`/images/${format}`);
        await ask(`/images/${format}/similar`);
        const thumbnail = await ask(`/images/${format}/thumbnail`);
        if (betrayals(thumbnail, 1).length > 0) betrayed.push(`thumbnail of ${format}`);
        const original = await fetch(`${service.url}/images/${format}/original`);
        const kept = Buffer.from(await original.arrayBuffer());
        answers += 1;
        if (original.ok !== (keepsOriginals && STRIPPED.includes(format)))
          faults.push(`original of ${format}: ${original.status}`);
        if (!original.ok) continue;
        originals += 1;
        betrayed.push(...betrayals(kept, orientation).map((sign) => `original of ${format}: ${sign}`));
        if (!(await upright(kept)).equals(await upright(content))) faults.push(`pixels of ${format} changed`);
      }
      const archive = new Uint8Array(zipOf(files.map((file) => ({ ...file, isPacked: true }))));
      const job = JSON.parse(
        String(
          await ask('/imports?collection=zip', {
            method: 'POST',
            body: archive,
            headers: { 'content-type': 'application/zip' },
          }),
        ),
      ) as { id: string };
      const stateOf = async (): Promise<unknown> =>
        (JSON.parse(String(await ask(`/imports/${job.id}`))) as { status: string }).status;
      while ((await stateOf()) === 'running') await sleep(100);
      assert.equal(await stateOf(), 'done');
      await ask('/images?collection=zip');
      if (keepsOriginals) {
        const { kept, changed } = await throughCorpus(service.url);
        corpusOriginals = kept;
        faults.push(...changed);
      }
      for (const name of await readdir(data, { recursive: true })) {
        const bytes = await readFile(join(data, name)).catch(() => Buffer.alloc(0)); // Folders.
        if (bytes.includes(SECRET)) betrayed.push(`file ${name} ${flags.join(' ')}`);
      }
    } finally {
      await service.stop();
      await rm(data, { recursive: true, force: true });
    }
  }
  for (const line of [...betrayed, ...faults]) console.log(line);
  record({
    criterion: 'A30',
    part: 'metadata',
    given: `pictures of six formats with EXIF, GPS, XMP, comments and bytes behind their end, stored one by one and from a zip, without and with --keep-originals; ${answers} answers and every file of the data folder; the corpus of bad images with --keep-originals`,
    measures: [
      atMost('answers and stored files with any of it', betrayed.length, 0),
      atLeast('originals served of them', originals, STRIPPED.length),
      atMost(
        'originals whose pixels or profile differ from what was sent, or with metadata, the corpus included',
        faults.length,
        0,
      ),
      atLeast('originals of the corpus compared', corpusOriginals, sharedData('bad-images') === undefined ? 0 : 300),
    ],
  });
});

/** Stores every file of the corpus and compares each original that was kept with what was sent. */
async function throughCorpus(url: string): Promise<{ readonly kept: number; readonly changed: readonly string[] }> {
  const corpus = sharedData('bad-images');
  if (corpus === undefined) return { kept: 0, changed: [] };
  const sent = new Map<string, { readonly name: string; readonly id: string }>();
  const names = (await readdir(corpus, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  await inLanes(names, 4, async ({ parentPath, name }) => {
    const bytes = await readFile(join(parentPath, name));
    const headers = { 'content-type': 'application/octet-stream' };
    const response = await fetch(`${url}/index?collection=corpus`, {
      method: 'POST',
      body: new Uint8Array(bytes),
      headers,
    });
    const { images = [] } = (await response.json()) as { images?: { id: string }[] };
    if (response.ok)
      sent.set(createHash('sha256').update(bytes).digest('hex'), { name: join(parentPath, name), id: images[0]!.id });
  });
  let kept = 0;
  const changed: string[] = [];
  await inLanes([...sent.values()], 4, async ({ name, id }) => {
    const response = await fetch(`${url}/images/${encodeURIComponent(id)}/original?collection=corpus`);
    const bytes = Buffer.from(await response.arrayBuffer());
    if (!response.ok) return;
    kept += 1;
    const before = await readFile(name);
    const [was, is] = [await sharp(before).metadata(), await sharp(bytes).metadata()];
    const isSame =
      (await upright(bytes)).equals(await upright(before)) &&
      (was.icc ?? Buffer.alloc(0)).equals(is.icc ?? Buffer.alloc(0));
    const isClean =
      is.xmp === undefined && is.iptc === undefined && (is.exif === undefined || (is.orientation ?? 1) !== 1);
    if (!isSame || !isClean) changed.push(name);
  });
  return { kept, changed };
}

function upright(bytes: Buffer): Promise<Buffer> {
  return sharp(bytes, { pages: 1 }).autoOrient().raw().toBuffer();
}
