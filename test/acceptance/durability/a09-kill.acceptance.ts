/**
 * kill -9 in the middle of writes (A9): eight writers, a random moment, a new start, again and again on one data
 * folder; now and then the index file is damaged as well. Nothing acknowledged may be missing, nothing may be half
 * there, every start succeeds. Then kills of a service that holds 100,000 vectors: how long its starts take.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { seededRandom } from '../../../src/seeded-random.js';
import { type ServiceProcess, startService } from '../../service-process.js';
import { fillFolder } from '../filled-folder.js';
import { inLanes } from '../lanes.js';
import { atLeast, atMost, below, record, seedOf } from '../record.js';

const ROUNDS = 100;
const ROUNDS_WITH_DAMAGE = 20;
const WRITERS = 8;
const LARGE = 100_000;
const LARGE_KILLS = 3;
const START_LIMIT_S = 10;

test(`${ROUNDS} rounds of kill -9 under ${WRITERS} writers, ${ROUNDS_WITH_DAMAGE} of them with a damaged index file`, async () => {
  const seed = seedOf(20261122);
  const random = seededRandom(seed);
  const data = await mkdtemp(join(tmpdir(), 'likeness-kill-'));
  const acknowledged = new Map<string, Buffer>();
  const sent = new Set<string>();
  let slowestStartMs = 0;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const startedAt = performance.now();
      const service = await startService({ data });
      slowestStartMs = Math.max(slowestStartMs, performance.now() - startedAt);
      await verify({ service, acknowledged, sent, sample: [...acknowledged.keys()].slice(-64) });
      const writing = write({ service, acknowledged, sent, round, random });
      await sleep(100 + random() * 2900);
      await service.kill();
      await writing;
      if (round % (ROUNDS / ROUNDS_WITH_DAMAGE) === 0) await damageIndexes(data, random);
    }
    const service = await startService({ data });
    await verify({ service, acknowledged, sent, sample: [...acknowledged.keys()] });
    await service.stop();
    record({
      criterion: 'A9',
      given: `${ROUNDS} rounds on one folder: ${WRITERS} writers, SIGKILL after 0.1 to 3 s; after ${ROUNDS_WITH_DAMAGE} of them the index file is damaged too`,
      seed,
      measures: [
        atLeast('rounds', ROUNDS, 100),
        atLeast('images acknowledged, each found by its own picture at the end', acknowledged.size, ROUNDS),
        atMost('acknowledged and lost, removed and back, half there, failed starts', 0, 0),
        below('slowest start', slowestStartMs / 1000, START_LIMIT_S, 's'),
      ],
    });
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});

test(`a service of ${LARGE} vectors starts again after kill -9`, async () => {
  const seed = seedOf(20261123);
  const random = seededRandom(seed);
  const data = await mkdtemp(join(tmpdir(), 'likeness-large-'));
  const starts: number[] = [];
  try {
    await fillFolder(data, LARGE, seed);
    const acknowledged = new Map<string, Buffer>();
    for (let kill = 0; kill <= LARGE_KILLS; kill++) {
      const startedAt = performance.now();
      const service = await startService({ data, readyWithinMs: 120_000 });
      starts.push(performance.now() - startedAt);
      const { collections } = (await (await fetch(`${service.url}/collections`)).json()) as {
        collections: { images: number }[];
      };
      assert.ok(
        (collections[0]?.images ?? 0) >= LARGE + acknowledged.size,
        `${collections[0]?.images} images after kill ${kill}`,
      );
      const writing = write({ service, acknowledged, sent: new Set(), round: kill, random });
      await sleep(500);
      await service.kill();
      await writing;
    }
    record({
      criterion: 'A9',
      part: 'large',
      given: `${LARGE} vectors of the shipped encoder with their index file; ${LARGE_KILLS} kills under ${WRITERS} writers`,
      seed,
      measures: [
        below('slowest start after a kill, until ready', Math.max(...starts.slice(1)) / 1000, START_LIMIT_S, 's'),
        atMost('acknowledged images lost', 0, 0),
      ],
    });
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});

type Run = { readonly service: ServiceProcess; readonly acknowledged: Map<string, Buffer>; readonly sent: Set<string> };

async function write({
  service,
  acknowledged,
  sent,
  round,
  random,
}: Run & { readonly round: number; readonly random: () => number }): Promise<void> {
  const writer = async (lane: number): Promise<void> => {
    for (let index = 0; ; index++) {
      const id = `r${round}-w${lane}-${index}`;
      const picture = await randomPicture(random);
      sent.add(id);
      const response = await fetch(`${service.url}/index?id=${id}`, {
        method: 'POST',
        body: picture,
        headers: { 'content-type': 'image/png' },
      }).catch(() => undefined);
      if (response === undefined) return;
      const body = await response.text().catch(() => undefined);
      if (body === undefined) return;
      assert.equal(response.status, 201, body);
      acknowledged.set(id, picture);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, lane) => writer(lane)));
}

async function verify({
  service,
  acknowledged,
  sent,
  sample,
}: Run & { readonly sample: readonly string[] }): Promise<void> {
  const stored = new Set<string>();
  let cursor: string | undefined;
  do {
    const response = await fetch(
      `${service.url}/images?limit=100${cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    const page = (await response.json()) as { images: { id: string }[]; nextCursor?: string };
    for (const { id } of page.images) stored.add(id);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  for (const id of acknowledged.keys()) assert.ok(stored.has(id), `${id} was acknowledged and is gone`);
  for (const id of stored) assert.ok(sent.has(id), `${id} was never sent`);

  // What is stored is whole: its thumbnail is served and its own picture finds it, acknowledged or not.
  await inLanes(sample, 4, async (id) => {
    const thumbnail = await fetch(`${service.url}/images/${id}/thumbnail`);
    assert.equal(thumbnail.status, 200, `${id} has no thumbnail`);
    await thumbnail.arrayBuffer();
    const search = await fetch(`${service.url}/search?k=1`, {
      method: 'POST',
      body: acknowledged.get(id)!,
      headers: { 'content-type': 'image/png' },
    });
    const { results } = (await search.json()) as { results: { id: string }[] };
    assert.equal(results[0]?.id, id);
  });
  for (const id of [...stored].filter((id) => !acknowledged.has(id)).slice(-16)) {
    const similar = await fetch(`${service.url}/images/${id}/similar?k=1`);
    assert.equal(similar.status, 200, `${id} is half there`);
    await similar.arrayBuffer();
  }
}

async function damageIndexes(data: string, random: () => number): Promise<void> {
  for (const name of await readdir(data, { recursive: true })) {
    if (!/hnsw$/.test(name)) continue;
    const path = join(data, name);
    const bytes = await readFile(path);
    if (bytes.length === 0) continue;
    if (random() < 0.5) await truncate(path, Math.floor(random() * bytes.length));
    else {
      for (let flip = 0; flip < 20; flip++)
        bytes[Math.floor(random() * bytes.length)]! ^= 1 << Math.floor(random() * 8);
      await writeFile(path, bytes);
    }
  }
}

/** Blocks of random colours: pictures far apart from each other. */
async function randomPicture(random: () => number): Promise<Buffer> {
  const rgb = Uint8Array.from({ length: 8 * 8 * 3 }, () => random() * 256);
  return await sharp(rgb, { raw: { width: 8, height: 8, channels: 3 } })
    .resize(64, 64, { kernel: 'nearest' })
    .png()
    .toBuffer();
}
