/**
 * Twice the capacity (A2), open loop: what can be done is done in time, the rest is refused at once, and nothing else
 * happens. The capacity is measured before and after, a minute each: a machine of many tenants gives now more and now
 * less, and the best of a few short looks is more than it keeps up.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../../src/seeded-random.js';
import { capacityOf, secondsOf } from '../capacity.js';
import { demoPictures, searches, withFilledService } from '../filled-service.js';
import { closedLoop, openLoop, summarise } from '../load.js';
import { atLeast, atMost, below, figure, record, seedOf } from '../record.js';

const IMAGES = 10_000;
const TIMES = 2;
const LADDER_SECONDS = 10;

test('at twice its capacity the service answers what it can and refuses the rest at once', async () => {
  const seed = seedOf(102);
  const seconds = secondsOf(120);
  await withFilledService({ images: IMAGES, seed }, async (service) => {
    const shot = searches(demoPictures());
    const { url } = service;
    const { best } = await capacityOf({ url, clients: [8, 16, 32], seconds: LADDER_SECONDS, shot });
    assert.ok(best, 'no capacity could be measured');
    const { clients } = best;
    const capacity = async (): Promise<number> => {
      const steadySeconds = secondsOf(60);
      return summarise(await closedLoop({ url, clients, seconds: steadySeconds, shot }), steadySeconds)
        .acceptedPerSecond;
    };
    const before = await capacity();
    const hits = await openLoop({ url, perSecond: TIMES * before, seconds, random: seededRandom(seed), shot });
    const after = await capacity();
    const load = summarise(hits, seconds);
    const L = (before + after) / 2;
    record({
      criterion: 'A2',
      given: `${IMAGES} images; L by ${clients} clients: ${before.toFixed(0)}/s before, ${after.toFixed(0)}/s after; between, ${TIMES} x L (before) in an open loop for ${seconds} s, on the same processors`,
      seed,
      measures: [
        atLeast('goodput / L (mean of before and after)', load.acceptedPerSecond / L, 0.9),
        atLeast('goodput / L before', load.acceptedPerSecond / before, 0.9),
        below('p99 of accepted', load.p99, 1000, 'ms'),
        figure('refused', (100 * load.refused) / load.sent, '%'),
        atMost('p99 of refusals', load.refusalP99, 100, 'ms'),
        atMost('slowest refusal', load.slowestRefusal, 100, 'ms'),
        atMost('refusals without Retry-After', load.withoutRetryAfter, 0),
        atMost('other answers than 2xx, 429, 503', load.others, 0),
        atMost('connections reset', load.resets, 0),
      ],
    });
  });
});
