/**
 * Fairness between keys (A8). First with a quota: a key at ten times its quota gets 429, and others do not feel it.
 * Then without one: a key that alone sends twice what the service can do is refused itself, and the searches of others
 * go to the head of the line.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../../src/seeded-random.js';
import { capacityOf, secondsOf } from '../capacity.js';
import { demoPictures, searches, withFilledService } from '../filled-service.js';
import { type LoadSummary, openLoop, type Shot, summarise } from '../load.js';
import { atLeast, atMost, below, figure, type Measure, record, seedOf } from '../record.js';

const IMAGES = 2000;
const SEED = 108;
const GREEDY = 'greedy-key-0123456789';
const MODEST = 'modest-key-0123456789';
const KEYS = ['--api-keys', `read:${GREEDY},read:${MODEST}`];
/** What the modest key sends. */
const MODEST_PER_SECOND = 5;
const QUOTA_PER_MINUTE = 600;

type Shots = (number: number) => Shot;

/** The modest key's searches in the company of the greedy one's, or alone. */
async function sideBySide(load: {
  readonly url: string;
  readonly seconds: number;
  readonly greedyPerSecond: number;
  readonly greedy: Shots;
  readonly modest: Shots;
}): Promise<{ readonly greedy: LoadSummary; readonly modest: LoadSummary }> {
  const { url, seconds, greedyPerSecond } = load;
  const run = async (perSecond: number, shot: Shots, seed: number): Promise<LoadSummary> =>
    summarise(
      perSecond === 0 ? [] : await openLoop({ url, perSecond, seconds, random: seededRandom(seed), shot }),
      seconds,
    );
  const [greedy, modest] = await Promise.all([
    run(greedyPerSecond, load.greedy, SEED),
    run(MODEST_PER_SECOND, load.modest, SEED + 1),
  ]);
  return { greedy, modest };
}

/** Why a modest key may wait a little longer than alone although the quota holds. */
const SHARED_PROCESSORS =
  'what the greedy key may send, 10 pictures a second, is in the decoders or the encoder when some of the modest pictures come, which wait for the rest of it, the slowest of 150 by some 20 ms, on two processors that the load generator shares';

const harm = (alone: LoadSummary, together: LoadSummary): readonly Measure[] => [
  atMost("modest key's searches refused or failed", together.sent - together.accepted, 0),
  figure("modest key's p99 alone", alone.p99, 'ms'),
];

test('a key at ten times its quota harms no one', async () => {
  seedOf(SEED);
  const seconds = secondsOf(30);
  const quota = ['--rate-limit', String(QUOTA_PER_MINUTE)];
  await withFilledService({ images: IMAGES, seed: SEED, flags: [...KEYS, ...quota] }, async ({ url }) => {
    const pictures = demoPictures();
    const [greedy, modest] = [GREEDY, MODEST].map((key) => searches(pictures, { 'x-api-key': key }));
    assert.ok(greedy && modest);
    // The burst of the quota is spent first, so that the run shows the steady state.
    await openLoop({ url, perSecond: 200, seconds: 5, random: seededRandom(SEED), shot: greedy });
    const greedyPerSecond = (10 * QUOTA_PER_MINUTE) / 60;
    const { modest: alone } = await sideBySide({ url, seconds, greedyPerSecond: 0, greedy, modest });
    const together = await sideBySide({ url, seconds, greedyPerSecond, greedy, modest });
    record({
      criterion: 'A8',
      part: 'quota',
      given: `quota of ${QUOTA_PER_MINUTE} images a minute; one key sends ${greedyPerSecond}/s (ten times that), another ${MODEST_PER_SECOND}/s, ${seconds} s`,
      seed: SEED,
      measures: [
        atLeast('greedy key answered 429 or 503', (100 * together.greedy.refused) / together.greedy.sent, 85, '%'),
        below("modest key's p99 / alone", together.modest.p99 / alone.p99, 1.2, '', SHARED_PROCESSORS),
        ...harm(alone, together.modest),
      ],
    });
  });
});

test('a key that floods the service without a quota is refused itself', async () => {
  seedOf(SEED);
  const seconds = secondsOf(30);
  await withFilledService({ images: IMAGES, seed: SEED, flags: KEYS }, async ({ url }) => {
    const pictures = demoPictures();
    const [greedy, modest] = [GREEDY, MODEST].map((key) => searches(pictures, { 'x-api-key': key }));
    assert.ok(greedy && modest);
    const { best } = await capacityOf({ url, clients: [8, 16], seconds: 8, shot: greedy });
    assert.ok(best, 'no capacity could be measured');
    const { modest: alone } = await sideBySide({ url, seconds, greedyPerSecond: 0, greedy, modest });
    const greedyPerSecond = 2 * best.acceptedPerSecond;
    const together = await sideBySide({ url, seconds, greedyPerSecond, greedy, modest });
    record({
      criterion: 'A8',
      part: 'flood',
      given: `no quota; one key sends ${greedyPerSecond.toFixed(0)}/s, twice the capacity, another ${MODEST_PER_SECOND}/s, ${seconds} s`,
      seed: SEED,
      measures: [
        below("modest key's p99 / greedy key's p99", together.modest.p99 / together.greedy.p99, 0.5),
        figure("modest key's p99", together.modest.p99, 'ms'),
        figure("greedy key's p99", together.greedy.p99, 'ms'),
        figure('greedy key refused', (100 * together.greedy.refused) / together.greedy.sent, '%'),
        ...harm(alone, together.modest),
      ],
    });
  });
});
