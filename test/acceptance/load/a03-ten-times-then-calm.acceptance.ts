/** Ten times the capacity, then calm (A3): within ten seconds everything is as before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../../src/seeded-random.js';
import { capacityOf, metricOf } from '../capacity.js';
import { demoPictures, searches, withFilledService } from '../filled-service.js';
import { closedLoop, openLoop, summarise } from '../load.js';
import { atMost, below, figure, record, seedOf } from '../record.js';

const IMAGES = 10_000;
const TIMES = 10;
const STORM_SECONDS = 30;
const CALM_SECONDS = 10;
const AFTERWARDS_SECONDS = 20;

test('ten seconds after a storm the service is as before', async () => {
  const seed = seedOf(103);
  await withFilledService({ images: IMAGES, seed }, async (service) => {
    const { url } = service;
    const shot = searches(demoPictures());
    const { best } = await capacityOf({ url, clients: [8, 16, 32], seconds: 10, shot });
    assert.ok(best, 'no capacity could be measured');
    const clients = 8;
    const measure = async () =>
      summarise(await closedLoop({ url, clients, seconds: AFTERWARDS_SECONDS, shot }), AFTERWARDS_SECONDS);
    const before = await measure();
    const residentBefore = await metricOf(url, 'process_resident_memory_bytes');
    const perSecond = TIMES * best.acceptedPerSecond;
    const storm = summarise(
      await openLoop({ url, perSecond, seconds: STORM_SECONDS, random: seededRandom(seed), shot }),
      STORM_SECONDS,
    );
    await sleep(CALM_SECONDS * 1000);
    const after = await measure();
    const resident = await metricOf(url, 'process_resident_memory_bytes');
    record({
      criterion: 'A3',
      given: `L = ${best.acceptedPerSecond.toFixed(0)}/s; ${TIMES} x L in an open loop for ${STORM_SECONDS} s, ${CALM_SECONDS} s of calm, then ${clients} clients for ${AFTERWARDS_SECONDS} s as before the storm`,
      seed,
      measures: [
        below('p99 after / before', after.p99 / before.p99, 1.2),
        figure('p99 before', before.p99, 'ms'),
        below('resident memory after / before', resident / residentBefore, 1.25),
        figure('goodput in the storm / L', storm.acceptedPerSecond / best.acceptedPerSecond),
        figure('p99 of refusals in the storm', storm.refusalP99, 'ms'),
        atMost('other answers than 2xx, 429, 503', storm.others, 0),
        atMost('refused or failed afterwards', after.refused + after.others + after.resets, 0),
      ],
    });
  });
});
