/**
 * Slow readers (A6): 200 clients that ask for much, again and again, and never read an answer. As many clients that ask
 * another service for the same and do read it tell how much of the growth comes of so many answers at once, whoever
 * reads them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { UNANSWERED_MAX } from '../../../src/server/limits/request-limits.js';
import { metricOf } from '../capacity.js';
import { withFilledService } from '../filled-service.js';
import { openClient } from '../raw-clients.js';
import { atMost, below, figure, record, seedOf } from '../record.js';

const READERS = 200;
/**
 * Requests that each sends at once: one, as many as one connection may have unanswered, and far more; each answer is
 * some 40 kB.
 */
const PIPELINED = [1, 32, 500];
/** Why the growth may be missed where clients send ahead. */
const SENT_AHEAD =
  'V8 lets garbage lie until it needs the room: what 6,400 answers at once need comes as much with clients that read (below), and what comes of a connection in one chunk becomes objects of Node before the connection can be closed, 100,000 requests with 500 ahead';
const LIMIT_SECONDS = 60;
const RESIDENT = 'process_resident_memory_bytes';
const REQUEST = 'GET /images?limit=100 HTTP/1.1\r\nhost: localhost\r\n\r\n';

for (const pipelined of PIPELINED) {
  test(`${READERS} clients that never read the answers to ${pipelined} requests`, async () => {
    const seed = seedOf(106);
    let byReaders = Number.NaN;
    await withFilledService({ images: 2000, seed }, async ({ url }) => {
      byReaders = await growthByReaders(url, Math.min(pipelined, UNANSWERED_MAX));
    });
    await withFilledService({ images: 2000, seed }, async ({ url }) => {
      const before = await warmed(url);
      const clients = await Promise.all(Array.from({ length: READERS }, () => openClient(url, { isDeaf: true })));
      for (const { socket } of clients) socket.pause().write(REQUEST.repeat(pipelined));
      let peak = 0;
      const startedAt = performance.now();
      // A paused socket does not notice that it was closed: the service's own count tells.
      let openAfterMs = Number.POSITIVE_INFINITY;
      while (performance.now() - startedAt < (LIMIT_SECONDS + 5) * 1000) {
        await sleep(500);
        peak = Math.max(peak, await metricOf(url, RESIDENT));
        if ((await inFlight(url)) <= 0) {
          openAfterMs = performance.now() - startedAt;
          break;
        }
      }
      const health = await fetch(`${url}/healthz`);
      for (const { socket } of clients) socket.destroy();
      record({
        criterion: 'A6',
        part: `${pipelined}-ahead`,
        given: `${READERS} clients send ${pipelined === 1 ? 'one request' : `${pipelined} requests`} each for 100 records and never read an answer`,
        seed,
        measures: [
          below(
            'growth of resident memory',
            (peak - before) / 2 ** 20,
            50,
            'MiB',
            pipelined > 1 ? SENT_AHEAD : undefined,
          ),
          atMost('last of them closed after', openAfterMs / 1000, LIMIT_SECONDS, 's'),
          atMost('GET /healthz not answered 200', Number(health.status !== 200), 0),
          figure('resident memory before', before / 2 ** 20, 'MiB'),
          figure('growth by clients that read the same', byReaders / 2 ** 20, 'MiB'),
        ],
      });
    });
  });
}

/** Serves a while; returns the memory that the service then holds, in bytes. */
async function warmed(url: string): Promise<number> {
  for (let turn = 0; turn < 200; turn++) await (await fetch(`${url}/images?limit=100`)).arrayBuffer();
  return metricOf(url, RESIDENT);
}

/**
 * As many clients that ask for the same and read the answers; returns by how many bytes the service grew at the most.
 */
async function growthByReaders(url: string, pipelined: number): Promise<number> {
  const before = await warmed(url);
  const clients = await Promise.all(Array.from({ length: READERS }, () => openClient(url)));
  for (const { socket } of clients) socket.write(REQUEST.repeat(pipelined));
  let peak = 0;
  const startedAt = performance.now();
  do {
    await sleep(500);
    peak = Math.max(peak, await metricOf(url, RESIDENT));
  } while ((await inFlight(url)) > 0 && performance.now() - startedAt < LIMIT_SECONDS * 1000);
  for (const { socket, received } of clients) {
    assert.equal(received().split('HTTP/1.1 200').length - 1, pipelined, 'a client that reads gets every answer');
    socket.destroy();
  }
  return peak - before;
}

/** Requests that were begun and are not answered, less the one that asks. */
async function inFlight(url: string): Promise<number> {
  return (await metricOf(url, 'likeness_requests_in_flight')) - 1;
}
