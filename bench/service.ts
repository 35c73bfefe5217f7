/**
 * POST /search and POST /index at 1 to 64 clients against what the stages alone allow: cores divided by the processor time that one image takes in
 * them. Stages are counted in two ways: as the bare libraries do the same work, called plainly one after the other (`libraries`), and as our own
 * functions do it, called directly, without queue, process or HTTP around them (`ours`). Both shares are told by the clock, which whatever
 * else runs on the machine lowers, and by processor time: the stages' over all that the service spent on an image (its threads and its
 * decoders), which is what an idle machine would show. The load generator is this process; it runs on the same cores, so its processor
 * time is taken from the limit: (cores - the generator's share) / processor time of an image.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openOnnxRuntime } from '../src/encoder/onnx-runtime.js';
import { readSavedEncoder } from '../src/encoder/saved-encoder.js';
import { decodeImage, restrictSharp } from '../src/images/decode-image.js';
import { DEFAULT_IMAGE_LIMITS } from '../src/images/image-limits.js';
import { SETTINGS } from '../src/settings.js';
import { startService } from '../test/service-process.js';
import { decodeWithLibraries } from './bare-decode.js';
import { requestBytes, sendLoad } from './load-client.js';
import { figureOf } from './measuring.js';

const PHOTOS = '../shared/data/photos/caltech101';
const CLIENTS = [1, 4, 8, 16, 64];
const SECONDS = 6;
const WARM_SECONDS = 2;
/** Before the first figure of a route: what is sustained is code that V8 has compiled, which takes it some two thousand requests. */
const FIRST_SECONDS = 15;
/** Argument of the copies of this program that measure the stages, one on each core. */
const STAGES_ONLY = '--stages-only';

type StageCosts = {
  readonly bareDecode: number;
  readonly bareDecodeWithThumbnail: number;
  readonly decode: number;
  readonly decodeWithThumbnail: number;
  readonly encode: number;
};

const cores = availableParallelism();
const names = (await readdir(PHOTOS, { recursive: true })).filter((name) => name.endsWith('.jpg'));
const photos = await Promise.all(names.slice(0, 300).map((name) => readFile(join(PHOTOS, name))));

if (process.argv[2] === STAGES_ONLY) {
  process.send?.(await stageCosts());
  process.disconnect();
  process.exit();
}
const data = await mkdtemp(join(tmpdir(), 'likeness-load-'));
const service = await startService({ data });
try {
  const port = Number(new URL(service.url).port);
  for (const path of ['search', 'index'] as const) {
    const isSearch = path === 'search';
    const next = isSearch ? repeated() : neverTheSame();
    const before = await stageCostsOnAllCores();
    await load({ port, clients: 16, seconds: FIRST_SECONDS, next });
    const loads: Load[] = [];
    for (const clients of CLIENTS) {
      await load({ port, clients, seconds: WARM_SECONDS, next });
      loads.push(await load({ port, clients, seconds: SECONDS, next }));
    }
    const stageMs = lesser(before, await stageCostsOnAllCores());
    const named = Object.entries(stageMs).map(([name, ms]) => `${name} ${ms.toFixed(2)} ms`);
    console.log(`\nstages alone on all cores, CPU of one image, the lesser of before and after: ${named.join(', ')}`);
    console.log(`POST /${path}: clients, images/s, p50 ms, p99 ms, refused, processor ms an image (service, load generator)`);
    console.log('    share of the limit by the clock (libraries, ours), by processor time (libraries, ours)');
    const bareMs = (isSearch ? stageMs.bareDecode : stageMs.bareDecodeWithThumbnail) + stageMs.encode;
    const oursMs = (isSearch ? stageMs.decode : stageMs.decodeWithThumbnail) + stageMs.encode;
    for (const found of loads) console.log(rowOf(found, bareMs, oursMs));
  }
} finally {
  await service.stop();
  await rm(data, { recursive: true, force: true });
}

type Load = {
  readonly clients: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly refused: number;
  /** Cores that the load generator took. */
  readonly clientCpu: number;
  /** Processor milliseconds of the service for one image. */
  readonly serviceMs: number;
};

function rowOf({ clients, perSecond, p50, p99, refused, clientCpu, serviceMs }: Load, bareMs: number, oursMs: number): string {
  const limit = (imageMs: number): number => ((cores - clientCpu) * 1000) / imageMs;
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
  return [
    String(clients).padStart(3),
    perSecond.toFixed(1),
    p50.toFixed(1),
    p99.toFixed(1),
    refused,
    `${serviceMs.toFixed(2)}, ${((1000 * clientCpu) / perSecond).toFixed(2)}`,
    `${percent(perSecond / limit(bareMs))}, ${percent(perSecond / limit(oursMs))}`,
    `${percent(bareMs / serviceMs)}, ${percent(oursMs / serviceMs)}`,
  ].join('  ');
}

/** Of each stage the lesser figure: a machine shared with others is slower at times, and the harder limit is the honest one. */
function lesser(a: StageCosts, b: StageCosts): StageCosts {
  const stage = (name: keyof StageCosts): number => Math.min(a[name], b[name]);
  return {
    bareDecode: stage('bareDecode'),
    bareDecodeWithThumbnail: stage('bareDecodeWithThumbnail'),
    decode: stage('decode'),
    decodeWithThumbnail: stage('decodeWithThumbnail'),
    encode: stage('encode'),
  };
}

async function load(options: Parameters<typeof sendLoad>[0]): Promise<Load> {
  const cpuBefore = process.cpuUsage();
  const serviceBefore = serviceCpuMs();
  const { times, refused, seconds } = await sendLoad(options);
  const { user, system } = process.cpuUsage(cpuBefore);
  const sorted = times.toSorted((a, b) => a - b);
  return {
    clients: options.clients,
    perSecond: sorted.length / seconds,
    p50: sorted[Math.floor(sorted.length * 0.5)] ?? Number.NaN,
    p99: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
    refused,
    clientCpu: (user + system) / 1e6 / seconds,
    serviceMs: (serviceCpuMs() - serviceBefore) / sorted.length,
  };
}

/** Searches: the same photographs again and again, which costs the service the same as new ones, since nothing is remembered of a query. */
function repeated(): () => Uint8Array {
  const requests = photos.map((body) => requestBytes({ path: '/search', contentType: 'image/jpeg', body }));
  let serial = 0;
  return () => requests[serial++ % requests.length]!;
}

/** Images to store: bytes behind the end of a JPEG make each upload a new file with the same picture. */
function neverTheSame(): () => Uint8Array {
  let serial = 0;
  return () => {
    const body = Buffer.concat([photos[serial++ % photos.length]!, Buffer.from(`#${serial}`)]);
    return requestBytes({ path: '/index', contentType: 'image/jpeg', body });
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
  return {
    bareDecode: mean('bareDecode'),
    bareDecodeWithThumbnail: mean('bareDecodeWithThumbnail'),
    decode: mean('decode'),
    decodeWithThumbnail: mean('decodeWithThumbnail'),
    encode: mean('encode'),
  };
}

/** Processor time of the service and its decoders so far, those that were replaced among them, from /proc (clock ticks of 10 ms). */
function serviceCpuMs(): number {
  const root = service.process.pid!;
  const children = readdirSync(`/proc/${root}/task`).flatMap((task) =>
    readFileSync(`/proc/${root}/task/${task}/children`, 'utf8').split(' '),
  );
  const ticksOf = (pid: string, fields: readonly number[]): number => {
    const values = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return fields.reduce((sum, field) => sum + Number(values[field]), 0);
  };
  // utime and stime; of the service also those of its children that have ended.
  const own = ticksOf(String(root), [11, 12, 13, 14]);
  return 10 * children.filter((pid) => pid.trim() !== '').reduce((sum, pid) => sum + ticksOf(pid.trim(), [11, 12]), own);
}

/**
 * Processor milliseconds of each stage for one photograph: decode (encoder input, perceptual hash and digest, for POST /index the thumbnail too) by the
 * libraries and by our own function, and the bare encoder. Medians of five runs over the photographs.
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
  const bare = { width: preprocessing.width, height: preprocessing.height, thumbnailSize: settings.thumbnailSize };
  const result = {
    bareDecode: await cpuMs((photo) => decodeWithLibraries(photo, { ...bare, thumbnail: false })),
    bareDecodeWithThumbnail: await cpuMs((photo) => decodeWithLibraries(photo, { ...bare, thumbnail: true })),
    decode: await cpuMs((photo) => decodeImage(photo, { ...settings, thumbnail: false })),
    decodeWithThumbnail: await cpuMs((photo) => decodeImage(photo, { ...settings, thumbnail: true })),
    encode: await cpuMs(() => runtime.run(tensor, 1)),
  };
  await runtime.close();
  return result;
}
