/**
 * Killed decoders (A19): SIGKILL to a decoder under load, 50 times: no more than the image that it held fails, and the
 * next request is served.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../../src/seeded-random.js';
import { demoPictures, searches, withFilledService } from '../filled-service.js';
import { closedLoop, summarise } from '../load.js';
import { atMost, below, figure, record, seedOf } from '../record.js';

const KILLS = 50;
const CLIENTS = 8;
/** Between two kills, at random, so that decoders die at their start, idle and at work. */
const PAUSE_MS = { least: 100, most: 600 };

test(`${KILLS} decoders killed under load`, async () => {
  const seed = seedOf(119);
  const random = seededRandom(seed);
  await withFilledService({ images: 1000, seed }, async ({ url, process: service }) => {
    const pictures = demoPictures();
    const shot = searches(pictures);
    let isOver = false;
    const load = (async () => {
      const hits = [];
      while (!isOver) hits.push(...(await closedLoop({ url, clients: CLIENTS, seconds: 1, shot })));
      return hits;
    })();
    let slowestNextMs = 0;
    let nextFailed = 0;
    let killed = 0;
    while (killed < KILLS) {
      await sleep(PAUSE_MS.least + random() * (PAUSE_MS.most - PAUSE_MS.least));
      const decoders = decodersOf(service.pid!);
      const pid = decoders[Math.floor(random() * decoders.length)];
      if (pid === undefined) continue;
      process.kill(pid, 'SIGKILL');
      killed += 1;
      const startedAt = performance.now();
      const { headers, body } = shot(killed);
      // The pool may hand this one to the decoder that is being killed; a client tries again once, as Retry-After says
      // it may.
      for (let attempt = 0; ; attempt++) {
        const response = await fetch(`${url}/search`, { method: 'POST', headers, body: new Uint8Array(body!) });
        await response.arrayBuffer();
        if (response.ok) break;
        if (attempt === 1) {
          nextFailed += 1;
          break;
        }
      }
      slowestNextMs = Math.max(slowestNextMs, performance.now() - startedAt);
    }
    isOver = true;
    const { sent, accepted, refused, others, resets } = summarise(await load, 1);
    record({
      criterion: 'A19',
      given: `${CLIENTS} clients search while a decoder is killed, ${KILLS} times, 0.1 to 0.6 s apart; ${sent} searches`,
      seed,
      measures: [
        atMost('searches answered 503', refused, KILLS),
        atMost('otherwise failed', others + resets, 0),
        atMost('next request failed twice', nextFailed, 0),
        below('slowest next request, under the load', slowestNextMs, 1000, 'ms'),
        figure('searches answered 200', accepted),
      ],
    });
  });
});

/** Process ids of the decoders that are the service's children. */
function decodersOf(service: number): readonly number[] {
  return readdirSync(`/proc/${service}/task`)
    .flatMap((task) => readFileSync(`/proc/${service}/task/${task}/children`, 'utf8').trim().split(/\s+/))
    .filter((pid) => pid !== '' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('decoder-process'))
    .map(Number);
}
