/**
 * The same picture in other coats (A23): formats, colour models, depths, alpha, and all eight orientations find the
 * upright original first, as a copy of it.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import { startService } from '../../service-process.js';
import { demoPictures } from '../filled-service.js';
import { inLanes } from '../lanes.js';
import { atMost, figure, record } from '../record.js';

const ORIGINALS = 8;
const OTHERS = 100;
/** What undoes each EXIF orientation: a picture turned so, with the tag, is upright again. */
const TURNED: Readonly<Record<number, (image: Sharp) => Sharp>> = {
  1: (image) => image,
  2: (image) => image.flop(),
  3: (image) => image.rotate(180),
  4: (image) => image.flip(),
  5: (image) => image.rotate(270).flop(),
  6: (image) => image.rotate(270),
  7: (image) => image.rotate(90).flop(),
  8: (image) => image.rotate(90),
};

async function coatsOf(picture: Buffer): Promise<readonly { readonly name: string; readonly bytes: Buffer }[]> {
  const image = () => sharp(picture);
  const { width, height } = await sharp(picture).metadata();
  const opaque = Buffer.alloc(width * height, 255);
  const coats: [string, Promise<Buffer>][] = [
    ['JPEG', image().jpeg({ quality: 85 }).toBuffer()],
    ['PNG', image().png().toBuffer()],
    ['WebP', image().webp({ quality: 85 }).toBuffer()],
    ['AVIF', image().avif({ quality: 65, effort: 0 }).toBuffer()],
    ['GIF', image().gif().toBuffer()],
    ['TIFF', image().tiff().toBuffer()],
    ['CMYK', image().toColourspace('cmyk').jpeg({ quality: 90 }).toBuffer()],
    ['16-bit', image().toColourspace('rgb16').png().toBuffer()],
    [
      'with alpha',
      image()
        .joinChannel(opaque, { raw: { width, height, channels: 1 } })
        .png()
        .toBuffer(),
    ],
    ['progressive', image().jpeg({ progressive: true }).toBuffer()],
    ...Object.entries(TURNED).map(([orientation, turn]): [string, Promise<Buffer>] => [
      `EXIF ${orientation}`,
      turn(image())
        .toBuffer()
        .then((turned) =>
          sharp(turned)
            .withMetadata({ orientation: Number(orientation) })
            .jpeg({ quality: 92 })
            .toBuffer(),
        ),
    ]),
  ];
  return Promise.all(coats.map(async ([name, bytes]) => ({ name, bytes: await bytes })));
}

test('every coat of a picture finds it', async () => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-coats-'));
  const service = await startService({ data });
  try {
    const { url } = service;
    const post = async (path: string, bytes: Buffer) => {
      const response = await fetch(`${url}${path}`, {
        method: 'POST',
        body: new Uint8Array(bytes),
        headers: { 'content-type': 'application/octet-stream' },
      });
      return {
        status: response.status,
        answer: (await response.json()) as { results?: { id: string; copy: string; score: number }[] },
      };
    };
    const pictures = demoPictures();
    await inLanes(pictures.slice(0, OTHERS), 4, async (picture, at) => {
      assert.equal((await post(`/index?id=picture-${at}`, picture)).status, 201);
    });
    const notFirst: string[] = [];
    const notCopies: string[] = [];
    let coats = 0;
    let leastScore = 1;
    for (let at = 0; at < ORIGINALS; at++) {
      const place = Math.floor((at * OTHERS) / ORIGINALS);
      for (const { name, bytes } of await coatsOf(pictures[place]!)) {
        coats += 1;
        const { status, answer } = await post('/search?k=1', bytes);
        const [first] = answer.results ?? [];
        if (status !== 200 || first?.id !== `picture-${place}`)
          notFirst.push(`${name} of ${place}: ${status} ${first?.id}`);
        else if (first.copy === 'none') notCopies.push(`${name} of ${place}: ${first.copy}, ${first.score.toFixed(3)}`);
        if (name !== 'EXIF 1') leastScore = Math.min(leastScore, first?.score ?? 0);
      }
    }
    for (const line of [...notFirst, ...notCopies]) console.log(line);

    // What a transparent pixel hides must not count: two pictures that differ only there are one.
    const hidden = async (background: string) =>
      sharp({ create: { width: 64, height: 64, channels: 4, background: { ...sharpColour(background), alpha: 0 } } })
        .composite([{ input: await sharp(pictures[0]!).resize(40, 40).png().toBuffer() }])
        .png()
        .toBuffer();
    assert.equal((await post('/index?id=hidden', await hidden('red'))).status, 201);
    const { answer } = await post('/search?k=1', await hidden('blue'));
    const transparent = answer.results?.[0];
    record({
      criterion: 'A23',
      given: `${coats} coats of ${ORIGINALS} pictures among ${OTHERS}: six formats, CMYK, 16 bits, alpha, progressive, EXIF 1 to 8`,
      measures: [
        atMost('originals not first', notFirst.length, 0),
        atMost(
          'not told as a copy',
          notCopies.length,
          0,
          '',
          notCopies.length === 0
            ? undefined
            : `first with a high score, and told as alike: ${notCopies.slice(0, 6).join('; ')}`,
        ),
        figure('least score', leastScore),
        atMost(
          'colour under transparent pixels changes the picture',
          Number(transparent?.id !== 'hidden' || transparent.score < 0.999),
          0,
        ),
      ],
    });
  } finally {
    await service.stop();
    await rm(data, { recursive: true, force: true });
  }
});

function sharpColour(name: string): { readonly r: number; readonly g: number; readonly b: number } {
  return name === 'red' ? { r: 255, g: 0, b: 0 } : { r: 0, g: 0, b: 255 };
}
