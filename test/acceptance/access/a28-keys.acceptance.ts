/**
 * Keys (A28): what is no key is 401 before its body is read, guessers are slowed down, time tells nothing, and no key
 * stands in a log.
 */

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { FastifyRequest } from 'fastify';
import { seededRandom } from '../../../src/seeded-random.js';
import { createAuthenticator, readApiKeys } from '../../../src/server/auth.js';
import { API_KEYS, KEYS, startApplication } from '../../server/application.js';
import { startService } from '../../service-process.js';
import { quantile } from '../load.js';
import { openClient } from '../raw-clients.js';
import { atLeast, atMost, below, record, seedOf } from '../record.js';

const WRONG_KEYS = 1000;
const TIMED = 10_000;
const BODY_BYTES = 9_000_000;

const near = (key: string, at: number): string => `${key.slice(0, -1)}${String.fromCharCode(97 + (at % 26))}`;

test('keys at the door', async (context) => {
  const seed = seedOf(128);
  const random = seededRandom(seed);
  const data = await mkdtemp(join(tmpdir(), 'likeness-keys-'));
  const service = await startService({ data, flags: ['--api-keys', API_KEYS, '--log-level', 'debug'] });
  try {
    const ask = async (headers: Record<string, string>, path = '/images') =>
      (await fetch(`${service.url}${path}`, { headers })).status;
    const invalid = [
      await ask({}),
      await ask({ 'x-api-key': 'wrong-key-0123456789' }),
      await ask({ 'x-api-key': near(KEYS.read, 3) }),
      await ask({ 'x-api-key': KEYS.read.toUpperCase() }),
      await ask({ 'x-api-key': `${KEYS.read} x` }),
      await ask({ authorization: `Basic ${KEYS.read}` }),
      await ask({}, `/images?api_key=${KEYS.read}&x-api-key=${KEYS.read}`),
    ];
    let throttled = 0;
    for (let at = 0; at < WRONG_KEYS; at++)
      throttled += Number((await ask({ 'x-api-key': `wrong-${seed}-${at}-0123456789` })) === 429);
    const stillIn = await ask({ 'x-api-key': KEYS.read });
    const log = service.log();
    const inLog = [...Object.values(KEYS), 'wrong-key-0123456789'].filter((key) => log.includes(key)).length;

    // In this process, where the server's own count of the bytes can be read.
    const server = await startApplication(context, { apiKeys: API_KEYS });
    const { url } = await server.listen();
    let most = 0;
    for (const header of [
      '',
      'x-api-key: wrong-key-0123456789\r\n',
      `x-api-key: ${near(KEYS.write, 5)}\r\n`,
      `x-api-key: ${KEYS.read}\r\n`,
    ]) {
      const connection = once(server.app.server, 'connection') as Promise<[Socket]>;
      const client = await openClient(url);
      const [socket] = await connection;
      const closed = once(socket, 'close');
      const head = `POST /index HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\n${header}content-length: ${BODY_BYTES}\r\n\r\n`;
      client.socket.write(Buffer.concat([Buffer.from(head), Buffer.alloc(BODY_BYTES)]));
      await closed;
      most = Math.max(most, socket.bytesRead - head.length);
      client.socket.destroy();
    }

    // The gate alone, near and far misses in turn, so that noise falls on both alike.
    const gate = createAuthenticator({
      keys: await readApiKeys({ apiKeys: API_KEYS, apiKeysFile: '' }),
    });
    const timed = { near: [] as number[], far: [] as number[] };
    for (let at = 0; at < 2 * TIMED; at++) {
      const kind = random() < 0.5 ? 'near' : 'far';
      const key =
        kind === 'near'
          ? near(KEYS.admin, at)
          : Array.from({ length: KEYS.admin.length }, () => String.fromCharCode(97 + random() * 26)).join('');
      // An address of its own for each, or the guesser's throttle would be what is timed.
      const request = {
        headers: { 'x-api-key': key },
        ip: `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`,
      } as unknown as FastifyRequest;
      const startedAt = performance.now();
      try {
        gate(request, { access: 'read', scope: 'collections' });
      } catch {
        // Refused, as it should be.
      }
      timed[kind].push(performance.now() - startedAt);
    }
    const [nearMs, farMs] = [quantile(timed.near, 0.5), quantile(timed.far, 0.5)];
    record({
      criterion: 'A28',
      given: `no key, wrong ones, near misses, keys in the query; ${BODY_BYTES} bytes sent with a wrong key; ${WRONG_KEYS} wrong keys in a row; ${2 * TIMED} timed misses`,
      seed,
      measures: [
        atMost('answers other than 401', invalid.filter((status) => status !== 401).length, 0),
        below('most bytes of a body read', most, 2 ** 16, 'bytes'),
        atLeast('of the wrong keys in a row throttled', (100 * throttled) / WRONG_KEYS, 95, '%'),
        atMost('valid key of the same address refused', Number(stillIn !== 200), 0),
        below('near and far miss differ in median time by', 100 * Math.abs(nearMs / farMs - 1), 5, '%'),
        atMost('keys in the log at level debug', inLog, 0),
      ],
    });
  } finally {
    await service.stop();
    await rm(data, { recursive: true, force: true });
  }
});
