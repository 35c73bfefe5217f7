/**
 * Capacity (A1): 10,000 stored images, clients in a closed loop from 1 to 64. The figure L that A2, A3 and A4 are told
 * against, and a main thread that stays free.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CAPACITY_P99_MS, capacityOf, metricOf, secondsOf } from '../capacity.js';
import { demoPictures, searches, withFilledService } from '../filled-service.js';
import { below, figure, record, seedOf } from '../record.js';

const IMAGES = 10_000;
const CLIENTS = [1, 2, 4, 8, 16, 32, 64];
const LOOP_DELAY_MS = 50;

test(`capacity with ${IMAGES} images`, async () => {
  const seed = seedOf(101);
  const seconds = secondsOf(60);
  await withFilledService({ images: IMAGES, seed }, async (service) => {
    await metricOf(service.url, 'nodejs_eventloop_lag_p99_seconds'); // Reading it starts the interval.
    const { rungs, best } = await capacityOf({
      url: service.url,
      clients: CLIENTS,
      seconds,
      shot: searches(demoPictures()),
    });
    const delayMs = 1000 * (await metricOf(service.url, 'nodejs_eventloop_lag_p99_seconds'));
    assert.ok(best, 'no rung of the ladder was without refusals and within the time');
    record({
      criterion: 'A1',
      given: `${IMAGES} images; POST /search of pictures in a closed loop, 1 to 64 clients, ${seconds} s each; the clients run on the same processors`,
      seed,
      measures: [
        figure(`capacity L (${best.clients} clients)`, best.acceptedPerSecond, 'searches/s'),
        below('p99 at L', best.p99, CAPACITY_P99_MS, 'ms'),
        figure('p50 at L', best.p50, 'ms'),
        figure('p99 with one client', rungs[0]!.p99, 'ms'),
        below('event-loop delay p99', delayMs, LOOP_DELAY_MS, 'ms'),
      ],
    });
  });
});
