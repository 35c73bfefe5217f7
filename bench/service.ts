/**
 * POST /search and POST /index at 1 to 64 clients against what the stages alone allow: cores divided by the CPU seconds that one image
 * takes in them. The load generator is a process of its own, and its CPU time is part of the account, since it runs on the same
 * cores: the limit is (cores - the client's share) / CPU of an image.
 */

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { openOnnxRuntime } from '../src/encoder/onnx-runtime.js';
import { readSavedEncoder } from '../src/encoder/saved-encoder.js';
import { decodeImage, restrictSharp } from '../src/images/decode-image.js';
import { DEFAULT_IMAGE_LIMITS } from '../src/images/image-limits.js';
import { startService } from '../test/service-process.js';
import { figureOf } from './measuring.js';

const PHOTOS = '../shared/data/photos/caltech101';
const CLIENTS = [1, 2, 4, 8, 16, 32, 64];
const SECONDS = 8;
const WARM_SECONDS = 2;

const cores = availableParallelism();
const names = (await readdir(PHOTOS, { recursive: true })).filter((name) => name.endsWith('.jpg'));
const photos = await Promise.all(names.slice(0, 300).map((name) => readFile(join(PHOTOS, name))));

const stageMs = await stageCosts();
console.log(
  `stages alone, CPU of one image: ${Object.entries(stageMs)
    .map(([name, ms]) => `${name} ${ms.toFixed(2)} ms`)
    .join(', ')}`,
);
const data = await mkdtemp(join(tmpdir(), 'likeness-load-'));
const service = await startService({ data });
try {
  let serial = 0;
  for (const path of ['search', 'index'] as const) {
    const imageMs = path === 'search' ? stageMs.decode + stageMs.encode : stageMs.decodeWithThumbnail + stageMs.encode;
    console.log(`\nPOST /${path}: clients, images/s, p50 ms, p99 ms, refused, share of the limit`);
    for (const clients of CLIENTS) {
      const body = (): Buffer => {
        const photo = photos[serial++ % photos.length]!;
        // Bytes behind the end of a JPEG make each upload a new file with the same picture.
        return path === 'index' ? Buffer.concat([photo, Buffer.from(`#${serial}`)]) : photo;
      };
      await load(path, clients, WARM_SECONDS, body);
      const { perSecond, p50, p99, refused, clientCpu } = await load(path, clients, SECONDS, body);
      const limit = ((cores - clientCpu) * 1000) / imageMs;
      const row = [
        String(clients).padStart(3),
        perSecond.toFixed(1),
        p50.toFixed(1),
        p99.toFixed(1),
        refused,
        `${((100 * perSecond) / limit).toFixed(0)} % of ${limit.toFixed(0)}`,
      ];
      console.log(row.join('  '));
    }
  }
} finally {
  await service.stop();
  await rm(data, { recursive: true, force: true });
}

type Load = {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly refused: number;
  readonly clientCpu: number;
};

async function load(path: string, clients: number, seconds: number, body: () => Buffer): Promise<Load> {
  const times: number[] = [];
  let refused = 0;
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  const endsAt = startedAt + seconds * 1000;
  const client = async (): Promise<void> => {
    while (performance.now() < endsAt) {
      const sentAt = performance.now();
      const response = await fetch(`${service.url}/${path}`, { method: 'POST', body: body(), headers: { 'content-type': 'image/jpeg' } });
      await response.arrayBuffer();
      if (response.ok) times.push(performance.now() - sentAt);
      else refused++;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const elapsed = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  times.sort((a, b) => a - b);
  return {
    perSecond: times.length / elapsed,
    p50: times[Math.floor(times.length * 0.5)] ?? Number.NaN,
    p99: times[Math.floor(times.length * 0.99)] ?? Number.NaN,
    refused,
    clientCpu: (user + system) / 1e6 / elapsed,
  };
}

/**
 * CPU milliseconds of each stage for one photograph, called directly, without queue, process or HTTP around it: our own decode (encoder
 * input and perceptual hash, for POST /index the thumbnail too) and the bare encoder. Medians of five runs over the photographs.
 */
async function stageCosts(): Promise<{ readonly decode: number; readonly decodeWithThumbnail: number; readonly encode: number }> {
  restrictSharp();
  const saved = await readSavedEncoder('models/whitening-cifar10');
  const { preprocessing } = saved.manifest;
  const runtime = await openOnnxRuntime(saved, { device: 'cpu', threads: 1 });
  const tensor = new Float32Array(3 * preprocessing.width * preprocessing.height);
  const settings = { limits: DEFAULT_IMAGE_LIMITS, preprocessing, thumbnailSize: 256 };
  const cpuMs = async (stage: (photo: Buffer) => Promise<unknown>): Promise<number> => {
    const runs: number[] = [];
    for (let run = 0; run < 5; run++) {
      const before = process.cpuUsage();
      for (const photo of photos) await stage(photo);
      const { user, system } = process.cpuUsage(before);
      runs.push((user + system) / 1000 / photos.length);
    }
    return figureOf(runs).median;
  };
  const result = {
    decode: await cpuMs((photo) => decodeImage(photo, { ...settings, thumbnail: false })),
    decodeWithThumbnail: await cpuMs((photo) => decodeImage(photo, { ...settings, thumbnail: true })),
    encode: await cpuMs(() => runtime.run(tensor, 1)),
  };
  await runtime.close();
  return result;
}
