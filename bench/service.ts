/**
 * POST /search and POST /index at 1 to 64 clients, and what is sustained against what the stages alone allow: cores
 * divided by the processor time that one image takes in them ({@link stageCosts}), as the bare libraries do the same
 * work (`libraries`) and as our own functions do it (`ours`). Stages and load are measured in turn, several times, and
 * each load is told against the stages just before and just after it: a machine of many tenants gives now more and now
 * less. Both shares are told by the clock, which whatever else runs on the machine lowers, and by processor time: the
 * stages' over all that the service spent on an image (its threads and its decoders), which is what an idle machine
 * would show. The load generator is this process; it runs on the same cores, so its processor time is taken from the
 * limit: (cores - the generator's share) / processor time of an image.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { startService } from '../test/service-process.js';
import { requestBytes, sendLoad } from './load-client.js';
import { figureOf, show, tableHead, tableRow } from './measuring.js';
import { readPhotos } from './photographs.js';
import { type StageCosts, type StageCostsOfBoth, stageCosts } from './stage-costs.js';

const PHOTOS = 300;
const CLIENTS = [1, 4, 8, 16, 64];
/** At which the service is told against its stages: enough to keep it busy, none refused. */
const SUSTAINED_CLIENTS = 16;
const ROUNDS = 7;
const SECONDS = 6;
const WARM_SECONDS = 2;
/**
 * Before the first figure of a route: what is sustained is code that V8 has compiled, which takes it some two
 * thousand requests.
 */
const FIRST_SECONDS = 15;

const cores = availableParallelism();
const photos = await readPhotos(PHOTOS);
const data = await mkdtemp(join(tmpdir(), 'likeness-load-'));
const service = await startService({ data });
try {
  const port = Number(new URL(service.url).port);
  console.log('## The service against its stages\n');
  console.log(`Stages and load (${SECONDS} s) in turn, ${ROUNDS} times; medians [least-greatest].`);
  for (const path of ['search', 'index'] as const) {
    const next = path === 'search' ? repeated() : neverTheSame();
    await load({ port, clients: SUSTAINED_CLIENTS, seconds: FIRST_SECONDS, next });
    console.log(`\n### POST /${path}\n`);
    console.log(
      tableHead(
        'clients',
        'images/s',
        'p50, ms',
        'p99, ms',
        'refused',
        'service, ms an image',
        'load generator, ms an image',
      ),
    );
    for (const clients of CLIENTS) {
      await load({ port, clients, seconds: WARM_SECONDS, next });
      console.log(rowOf(await load({ port, clients, seconds: SECONDS, next })));
    }
    await tellAgainstStages(path, () => load({ port, clients: SUSTAINED_CLIENTS, seconds: SECONDS, next }));
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

function rowOf({ clients, perSecond, p50, p99, refused, clientCpu, serviceMs }: Load): string {
  const clientMs = (1000 * clientCpu) / perSecond;
  const rates = [perSecond.toFixed(1), p50.toFixed(1), p99.toFixed(1)];
  return tableRow(clients, ...rates, refused, serviceMs.toFixed(2), clientMs.toFixed(2));
}

/** Stages and load in turn; prints the medians of the shares, with least and greatest. */
async function tellAgainstStages(path: 'search' | 'index', loadOnce: () => Promise<Load>): Promise<void> {
  const thumbnail = path === 'index';
  const rounds: { readonly load: Load; readonly stages: readonly [StageCostsOfBoth, StageCostsOfBoth] }[] = [];
  let before = await stageCosts({ thumbnail });
  for (let round = 0; round < ROUNDS; round++) {
    const found = await loadOnce();
    const after = await stageCosts({ thumbnail });
    rounds.push({ load: found, stages: [before, after] });
    before = after;
  }
  const perSecond = show(figureOf(rounds.map(({ load }) => load.perSecond)));
  const refused = rounds.reduce((sum, { load }) => sum + load.refused, 0);
  console.log(`\n${SUSTAINED_CLIENTS} clients: ${perSecond} images/s, ${refused} refused.\n`);
  console.log(tableHead('limit by', 'stages, ms an image', '% of it by the clock', '% of it by processor time'));
  for (const by of ['libraries', 'ours'] as const) {
    const msOf = (costs: StageCosts): number => costs.decode + costs.encode;
    const stageMs = ({ stages }: (typeof rounds)[number]): number => (msOf(stages[0][by]) + msOf(stages[1][by])) / 2;
    const byClock = rounds.map(
      (round) => (100 * round.load.perSecond * stageMs(round)) / (1000 * (cores - round.load.clientCpu)),
    );
    const byProcessor = rounds.map((round) => (100 * stageMs(round)) / round.load.serviceMs);
    const ms = show(figureOf(rounds.map(stageMs)));
    const limit = by === 'ours' ? 'our own stages' : 'the bare libraries';
    console.log(tableRow(limit, ms, show(figureOf(byClock), 1), show(figureOf(byProcessor), 1)));
  }
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

/**
 * Searches: the same photographs again and again, which costs the service the same as new ones, since nothing is
 * remembered of a query.
 */
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

/**
 * Processor time of the service and its decoders so far, those that were replaced among them, from /proc (clock ticks
 * of 10 ms).
 */
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
  return (
    10 * children.filter((pid) => pid.trim() !== '').reduce((sum, pid) => sum + ticksOf(pid.trim(), [11, 12]), own)
  );
}
