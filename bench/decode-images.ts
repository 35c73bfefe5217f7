/**
 * What decoding costs against sharp alone doing the same resize, in processor time for each image on one core (times on
 * a busy machine would measure the machine). Run: node dist/bench/decode-images.js. Needs the photos of
 * ../shared/data/photos.
 */
import { readdirSync, readFileSync } from 'node:fs';
import sharp from 'sharp';
import { decodeImage, restrictSharp } from '../src/images/decoding/decode-image.js';
import { createDecoderPool } from '../src/images/decoding/decoder-pool.js';
import { DEFAULT_IMAGE_LIMITS } from '../src/images/decoding/image-limits.js';
import { PREPROCESSING } from '../test/images/pictures.js';

const PHOTOS = new URL('../../../shared/data/photos/', import.meta.url);
const IMAGES = 200;
const ROUNDS = 3;

async function main(): Promise<void> {
  restrictSharp();
  for (const folder of ['caltech101', 'clothing']) {
    const names = readdirSync(new URL(folder, PHOTOS), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.jpg'),
    );
    const files = names
      .sort()
      .slice(0, IMAGES)
      .map((name) => readFileSync(new URL(`${folder}/${name}`, PHOTOS)));
    for (const side of [32, 64, 224]) await compare(folder, side, files);
  }
}

async function compare(folder: string, side: number, files: readonly Uint8Array[]): Promise<void> {
  const preprocessing = { ...PREPROCESSING, width: side, height: side };
  const settings = { preprocessing, limits: DEFAULT_IMAGE_LIMITS, thumbnailSize: 256 };
  const bare = await processorMs(files, (bytes) =>
    sharp(bytes, { failOn: 'warning' }).autoOrient().resize(side, side).raw().toBuffer(),
  );
  const plain = await processorMs(files, (bytes) => decodeImage(bytes, { ...settings, thumbnail: false }));
  const thumbnail = await processorMs(files, (bytes) => decodeImage(bytes, { ...settings, thumbnail: true }));
  const ratio = (ms: number) =>
    `${ms.toFixed(2)} ms = ${(1000 / ms).toFixed(0)}/s a core (${(ms / bare).toFixed(2)} x sharp)`;
  console.log(
    `${folder} to ${side}: sharp ${bare.toFixed(2)} ms; decodeImage ${ratio(plain)}; with thumbnail ${ratio(thumbnail)}`,
  );
  const pool = createDecoderPool({ preprocessing, queueLimit: files.length });
  try {
    await pool.ready();
    await Promise.all(files.map((bytes) => pool.decode(bytes, { thumbnail: false })));
    const [startedAt, cpu] = [performance.now(), process.cpuUsage()];
    await Promise.all(files.map((bytes) => pool.decode(bytes, { thumbnail: false })));
    const { user, system } = process.cpuUsage(cpu);
    const perSecond = (files.length * 1000) / (performance.now() - startedAt);
    console.log(
      `  pool: ${perSecond.toFixed(0)}/s; main thread ${((user + system) / 1000 / files.length).toFixed(2)} ms an image`,
    );
  } finally {
    await pool.close();
  }
}

/** Least processor time for one file over the rounds, all threads of this process together. */
async function processorMs(
  files: readonly Uint8Array[],
  work: (bytes: Uint8Array) => Promise<unknown>,
): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (const bytes of files) await work(bytes);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1000 / files.length);
  }
  return least;
}

await main();
