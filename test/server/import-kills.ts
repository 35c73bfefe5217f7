/**
 * An import under SIGKILL: whenever the service dies, its next start goes on, and at the end every picture is
 * there once.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { ImportJob } from '../../src/client/client.js';
import { tarOf, zipOf } from '../importing/archives.js';
import { runCli, type ServiceProcess, startService } from '../service-process.js';
import { picture } from './application.js';

type Job = Pick<ImportJob, 'id' | 'status' | 'counts'>;

const PICTURES = 120;
/** Of the archive's entries besides: one picture a second time, and one that is none. */
const FOUND = PICTURES + 2;
const FLAGS = ['--import-concurrency', '2', '--decoders', '1'];

/**
 * Kills `kills` times at moments drawn from `seed`; throws an AssertionError that names both where anything is lost,
 * doubled or miscounted. Returns what the kills interrupted.
 */
export async function importUnderKills(options: { readonly kills: number; readonly seed: number }): Promise<string> {
  let state = options.seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
  const data = await mkdtemp(join(tmpdir(), 'likeness-import-kills-'));
  const archives = await makeArchives();
  const moments: string[] = [];
  let service: ServiceProcess | undefined;
  try {
    let killed = 0;
    for (let round = 0; killed < options.kills; round++) {
      const collection = `round-${round}`;
      service ??= await startService({ data, flags: FLAGS });
      const sent = await ask<Job>(service, `/imports?collection=${collection}`, {
        method: 'POST',
        body: new Uint8Array(archives[round % archives.length]!),
        headers: { 'content-type': 'application/octet-stream' },
      });
      for (;;) {
        const job = await ended(service, sent.id, killed < options.kills ? random(1200) : undefined);
        const where = `seed ${options.seed}, kill ${killed}`;
        const { found, added, existing, waiting, failed } = job.counts;
        assert.equal(found, added + existing + waiting + failed, where);
        if (job.status !== 'running') {
          assert.equal(job.status, 'done', where);
          assert.deepEqual(job.counts, { found: FOUND, added: PICTURES, existing: 1, waiting: 0, failed: 1 }, where);
          break;
        }
        moments.push(`${found - waiting}/${found}`);
        await service.kill();
        killed += 1;
        service = await startService({ data, flags: FLAGS });
      }
      const { collections } = await ask<{ collections: { name: string; images: number }[] }>(service, '/collections');
      assert.equal(collections.find(({ name }) => name === collection)?.images, PICTURES);
    }
    await service?.stop();
    service = undefined;
    const check = await runCli('check', '--data', data, '--deep');
    assert.equal(check.exitCode, 0, check.output);
    return moments.join(' ');
  } finally {
    await service?.kill();
    await rm(data, { recursive: true, force: true });
  }
}

async function makeArchives(): Promise<readonly Buffer[]> {
  const files = await Promise.all(
    Array.from({ length: PICTURES }, async (_, seed) => ({
      name: `folder/${seed}.png`,
      content: await picture(seed + 1),
    })),
  );
  const all = [
    ...files.slice(0, 60),
    { name: 'again.png', content: files[0]!.content },
    { name: 'notes.jpg', content: Buffer.from('no picture') },
    ...files.slice(60),
  ];
  const tar = await tarOf(all);
  return [zipOf(all), gzipSync(tar), tar];
}

/** The job as it last was, when it has ended or after so many milliseconds. */
async function ended(service: ServiceProcess, id: string, withinMs = 300_000): Promise<Job> {
  const until = performance.now() + withinMs;
  for (;;) {
    const job = await ask<Job>(service, `/imports/${id}`);
    if (job.status !== 'running' || performance.now() > until) return job;
    await sleep(20);
  }
}

async function ask<T>(service: ServiceProcess, path: string, init?: RequestInit): Promise<T> {
  const response = await fetch(service.url + path, init);
  const body: unknown = await response.json();
  assert.ok(response.ok, `${path}: ${JSON.stringify(body)}`);
  return body as T;
}
