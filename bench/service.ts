/**
 * POST /search and POST /index at 1 to 64 clients against what the stages alone allow: cores divided by the CPU seconds that one image
 * takes in them. Two shares are told: of that limit by the clock, which whatever else runs on the machine lowers, and by processor time, the
 * stages' over all that the service spent on an image (its threads and its decoders), which is the share an idle machine would show. The load generator is a process of its own, and its CPU time is part of the account, since it runs on the same
 * cores: the limit is (cores - the client's share) / CPU of an image.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SETTINGS } from '../src/config.js';
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
/** Argument of the copies of this program that measure the stages, one on each core. */
const STAGES_ONLY = '--stages-only';

type StageCosts = { readonly decode: number; readonly decodeWithThumbnail: number; readonly encode: number };

const cores = availableParallelism();
const names = (await readdir(PHOTOS, { recursive: true })).filter((name) => name.endsWith('.jpg'));
const photos = await Promise.all(names.slice(0, 300).map((name) => readFile(join(PHOTOS, name))));

if (process.argv[2] === STAGES_ONLY) {
  process.send?.(await stageCosts());
  process.disconnect();
  process.exit();
}
const stageMs = await stageCostsOnAllCores();
console.log(
  `stages alone on all cores, CPU of one image: ${Object.entries(stageMs)
    .map(([name, ms]) => `${name} ${ms.toFixed(2)} ms`)
    .join(', ')}`,
);
const data = await mkdtemp(join(tmpdir(), 'likeness-load-'));
const service = await startService({ data });
try {
  let serial = 0;
  for (const path of ['search', 'index'] as const) {
    const imageMs = path === 'search' ? stageMs.decode + stageMs.encode : stageMs.decodeWithThumbnail + stageMs.encode;
    console.log(`\nPOST /${path}: clients, images/s, p50 ms, p99 ms, refused, share of the limit by the clock, by processor time`);
    for (const clients of CLIENTS) {
      const body = (): Buffer => {
        const photo = photos[serial++ % photos.length]!;
        // Bytes behind the end of a JPEG make each upload a new file with the same picture.
        return path === 'index' ? Buffer.concat([photo, Buffer.from(`#${serial}`)]) : photo;
      };
      await load(path, clients, WARM_SECONDS, body);
      const { perSecond, p50, p99, refused, clientCpu, serviceMs } = await load(path, clients, SECONDS, body);
      const limit = ((cores - clientCpu) * 1000) / imageMs;
      const row = [
        String(clients).padStart(3),
        perSecond.toFixed(1),
        p50.toFixed(1),
        p99.toFixed(1),
        refused,
        `${((100 * perSecond) / limit).toFixed(0)} % of ${limit.toFixed(0)}`,
        `${((100 * imageMs) / serviceMs).toFixed(0)} % (${serviceMs.toFixed(2)} ms)`,
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
  /** Cores that the load generator took. */
  readonly clientCpu: number;
  /** Processor milliseconds of the service for one image. */
  readonly serviceMs: number;
};

async function load(path: string, clients: number, seconds: number, body: () => Buffer): Promise<Load> {
  const times: number[] = [];
  let refused = 0;
  const cpuBefore = process.cpuUsage();
  const serviceBefore = serviceCpuMs();
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
    serviceMs: (serviceCpuMs() - serviceBefore) / times.length,
  };
}

/** The stages with every core busy with them, as they are under load: cores that share caches or pipelines are slower together than alone. */
async function stageCostsOnAllCores(): Promise<StageCosts> {
  const copies = await Promise.all(
    Array.from({ length: cores }, async () => {
      const copy = fork(fileURLToPath(import.meta.url), [STAGES_ONLY]);
      const [costs] = (await once(copy, 'message')) as [StageCosts];
      return costs;
    }),
  );
  const mean = (stage: keyof StageCosts): number => copies.reduce((sum, costs) => sum + costs[stage], 0) / copies.length;
  return { decode: mean('decode'), decodeWithThumbnail: mean('decodeWithThumbnail'), encode: mean('encode') };
}

/** Processor time of the service and its decoders so far, from /proc (clock ticks of 10 ms). */
function serviceCpuMs(): number {
  const root = service.process.pid!;
  const children = readdirSync(`/proc/${root}/task`).flatMap((task) =>
    readFileSync(`/proc/${root}/task/${task}/children`, 'utf8').split(' '),
  );
  let ticks = 0;
  for (const pid of [String(root), ...children.filter((pid) => pid.trim() !== '')]) {
    const fields = readFileSync(`/proc/${pid.trim()}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * 10;
}

/**
 * CPU milliseconds of each stage for one photograph, called directly, without queue, process or HTTP around it: our own decode (encoder
 * input and perceptual hash, for POST /index the thumbnail too) and the bare encoder. Medians of five runs over the photographs.
 */
async function stageCosts(): Promise<StageCosts> {
  restrictSharp();
  const saved = await readSavedEncoder(SETTINGS.model.default);
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
