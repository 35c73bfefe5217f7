/**
 * Slow clients (A5): 500 connections that send a byte a second, half of them headers, half of them a body, while ten
 * honest clients search.
 */
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { demoPictures, searches, withFilledService } from '../filled-service.js';
import { closedLoop, summarise } from '../load.js';
import { openClient, type RawClient, trickle } from '../raw-clients.js';
import { atMost, below, figure, record, seedOf } from '../record.js';

const SLOW = 500;
const HONEST = 10;
const SECONDS = 15;
const HEADERS_TIMEOUT_MS = 8000;
const REQUEST_TIMEOUT_MS = 20_000;
/** Granted beyond the service's own time. */
const GRACE_MS = 2000;
const HEAD = 'POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/jpeg\r\n';
/** Sent from the start of the first to the end of the last slow client: their own age counts. */
const OPENING_AT_ONCE = 50;

test(`${SLOW} slow clients beside ${HONEST} honest ones`, async () => {
  const seed = seedOf(105);
  const flags = [
    '--headers-timeout-ms',
    String(HEADERS_TIMEOUT_MS),
    '--request-timeout-ms',
    String(REQUEST_TIMEOUT_MS),
  ];
  await withFilledService({ images: 2000, seed, flags }, async ({ url }) => {
    const shot = searches(demoPictures());
    const measure = async () => summarise(await closedLoop({ url, clients: HONEST, seconds: SECONDS, shot }), SECONDS);
    await measure(); // warm
    const alone = await measure();
    const slow: RawClient[] = [];
    while (slow.length < SLOW) {
      const opened = await Promise.all(Array.from({ length: OPENING_AT_ONCE }, () => openClient(url)));
      for (const [at, client] of opened.entries()) {
        const isBody = at % 2 === 0;
        client.socket.write(isBody ? `${HEAD}content-length: 100000\r\n\r\n` : HEAD);
        trickle(client, isBody ? 'x' : 'x-slow: ');
      }
      slow.push(...opened);
    }
    const together = await measure();
    await sleep(REQUEST_TIMEOUT_MS + GRACE_MS + 1000 - SECONDS * 1000);
    const open = slow.filter(({ closedAfterMs }) => closedAfterMs === undefined).length;
    const slowest = Math.max(...slow.map(({ closedAfterMs }) => closedAfterMs ?? Number.POSITIVE_INFINITY));
    const wronglyAnswered = slow.filter((client) => !/^(HTTP\/1\.1 408 |$)/.test(client.received())).length;
    for (const { socket } of slow) socket.destroy();
    record({
      criterion: 'A5',
      given: `${SLOW} connections of 1 byte/s, half headers, half bodies; ${HONEST} honest clients search for ${SECONDS} s; --request-timeout-ms ${REQUEST_TIMEOUT_MS}`,
      seed,
      measures: [
        below('honest p99 / without the slow', together.p99 / alone.p99, 2),
        figure('honest p99 without the slow', alone.p99, 'ms'),
        atMost('honest refused or failed', together.sent - together.accepted, 0),
        atMost('slow connections still open', open, 0),
        atMost('longest life of a slow connection', slowest, REQUEST_TIMEOUT_MS + GRACE_MS, 'ms'),
        atMost('slow ones answered otherwise than 408 or by closing', wronglyAnswered, 0),
      ],
    });
  });
});
