/**
 * Protocol abuse (A27), 1,000 rounds of broken requests chosen by the seed: always the client's fault, quickly, and
 * nothing is left behind.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../../src/seeded-random.js';
import { form, picture } from '../../server/application.js';
import { startService } from '../../service-process.js';
import { metricOf } from '../capacity.js';
import { quantile } from '../load.js';
import { descriptorsOf } from '../process-memory.js';
import { openClient } from '../raw-clients.js';
import { atMost, below, inRounds, record, seedOf } from '../record.js';

const ROUNDS = 1000;

/** One broken request: bytes on the wire; `isCut` where the client leaves in the middle of it. */
type Abuse = { readonly name: string; readonly bytes: Buffer; readonly isCut?: boolean };

const request = (path: string, headers: Readonly<Record<string, string>>, body: Buffer | string = ''): Buffer =>
  Buffer.concat([
    Buffer.from(
      `POST ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${Object.entries(headers)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('')}\r\n`,
    ),
    Buffer.from(body),
  ]);

function abuses(image: Buffer): readonly Abuse[] {
  const part = { name: 'f', fileName: 'x.png', content: image };
  const sent = (
    name: string,
    path: string,
    body: { readonly payload: Buffer; readonly headers: { readonly 'content-type': string } },
  ): Abuse => ({
    name,
    bytes: request(path, { ...body.headers, 'content-length': String(body.payload.length) }, body.payload),
  });
  const json = (name: string, body: string): Abuse => ({
    name,
    bytes: request(
      '/search',
      { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) },
      body,
    ),
  });
  const whole = form(part);
  const cut = whole.payload.subarray(0, whole.payload.length - 30);
  const typed = { 'content-type': 'image/png' };
  return [
    sent('no boundary', '/search', { payload: whole.payload, headers: { 'content-type': 'multipart/form-data' } }),
    sent('missing closing boundary', '/index', { payload: cut, headers: whole.headers }),
    sent('no file part', '/index', form({ name: 'metadata', content: '{}' })),
    sent('nine files', '/search', form(...Array.from({ length: 9 }, () => part))),
    sent(
      '10,000 fields',
      '/index',
      form(...Array.from({ length: 10_000 }, (_, at) => ({ name: `f${at}`, content: 'x' }))),
    ),
    sent('field name of 1 MB', '/search', form({ name: 'n'.repeat(1_000_000), content: 'x' })),
    sent(
      'nested multipart',
      '/search',
      form({ name: 'f', fileName: 'x', type: 'multipart/mixed; boundary=c', content: '--c\r\n\r\nx\r\n--c--' }),
    ),
    sent('__proto__ as a field', '/index', form({ name: '__proto__', content: '{}' }, part)),
    sent('a body shorter than declared', '/search', whole),
    { name: 'content-length too small', bytes: request('/search', { ...typed, 'content-length': '10' }, image) },
    {
      name: 'content-length twice',
      bytes: request('/search', { ...typed, 'content-length': '5', 'Content-Length': '6' }, 'hello'),
    },
    {
      name: 'content-length and chunked',
      bytes: request('/search', { ...typed, 'content-length': '5', 'transfer-encoding': 'chunked' }, '0\r\n\r\n'),
    },
    { name: 'a chunk of no length', bytes: request('/search', { ...typed, 'transfer-encoding': 'chunked' }, 'ZZ\r\n') },
    { name: 'negative length', bytes: request('/search', { ...typed, 'content-length': '-1' }, 'x') },
    { name: 'headers of 20 kB', bytes: request('/search', { ...typed, 'x-long': 'x'.repeat(20_000) }) },
    json('JSON 10,000 deep', `${'['.repeat(10_000)}${']'.repeat(10_000)}`),
    json('__proto__ in JSON', '{"__proto__": {"k": 3}, "id": "x"}'),
    json('broken JSON', '{"k":'),
    json('k = 0', '{"id": "x", "k": 0}'),
    json('k = -1', '{"id": "x", "k": -1}'),
    json('k = 1e9', '{"id": "x", "k": 1000000000}'),
    json('NaN in a vector', '{"embedding": [NaN], "encoderId": "x"}'),
    json('null in a vector', '{"embedding": [null, 1], "encoderId": "x"}'),
    ...Array.from({ length: 10 }, (_, at): Abuse => {
      const { bytes } = sent('', '/index', whole);
      return {
        name: `left after ${at + 1}/11`,
        bytes: bytes.subarray(0, Math.floor((bytes.length * (at + 1)) / 11)),
        isCut: true,
      };
    }),
  ];
}

test(`${ROUNDS} rounds of broken requests`, async () => {
  const seed = seedOf(127);
  const data = await mkdtemp(join(tmpdir(), 'likeness-abuse-'));
  const service = await startService({ data, flags: ['--headers-timeout-ms', '1000', '--request-timeout-ms', '2000'] });
  try {
    const all = abuses(await picture(7));
    const times: number[] = [];
    const wrong: string[] = [];
    const run = async ({ name, bytes, isCut }: Abuse): Promise<void> => {
      const client = await openClient(service.url);
      const startedAt = performance.now();
      const answered = new Promise<void>((resolve) =>
        client.socket.once('data', () => resolve()).once('close', () => resolve()),
      );
      client.socket.write(bytes);
      if (isCut === true) {
        await new Promise((resolve) => setImmediate(resolve));
        client.socket.destroy();
        return;
      }
      await answered;
      times.push(performance.now() - startedAt);
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(client.received())?.[1]);
      // A body shorter than what follows it is a picture cut short, or a second request that is none.
      const isRight =
        [400, 404, 409, 411, 413, 415, 422, 431].includes(status) ||
        (name === 'a body shorter than declared' && status === 200);
      if (!isRight) wrong.push(`${name}: ${status}`);
      client.socket.destroy();
    };
    for (const abuse of all) await run(abuse); // Everything once, and warm.
    const temporaryBefore = (await readdir(tmpdir())).length;
    await sleep(500);
    const descriptors = descriptorsOf(service.process.pid!);
    await inRounds(ROUNDS, seed, async (_number, round) => {
      const random = seededRandom(round);
      await run(all[Math.floor(random() * all.length)]!);
    });
    await sleep(3000); // Longer than a half-sent request may live.
    for (const line of new Set(wrong)) console.log(line);
    const internal = await (await fetch(`${service.url}/metrics`)).text();
    record({
      criterion: 'A27',
      given: `${all.length} kinds of broken request, ${ROUNDS} rounds; request timeout 2 s`,
      seed,
      measures: [
        atMost('answers other than 400, 404, 409, 411, 413, 415, 422, 431', wrong.length, 0),
        atMost('INTERNAL errors', Number(/likeness_errors_total\{code="INTERNAL"\} (\d+)/.exec(internal)?.[1] ?? 0), 0),
        below('99 % answered within', quantile(times, 0.99), 1000, 'ms'),
        atMost('bytes of uploads still held', await metricOf(service.url, 'likeness_upload_memory_bytes'), 0),
        atMost('images still in flight', await metricOf(service.url, 'likeness_images_in_flight'), 0),
        atMost('file descriptors more than before', descriptorsOf(service.process.pid!) - descriptors, 1),
        atMost(
          'temporary files more than before',
          (await readdir(tmpdir())).length - temporaryBefore,
          0,
          '',
          'other programs of the machine write there too',
        ),
        atMost('images stored', (await listed(service.url)).length, 0),
      ],
    });
  } finally {
    await service.stop();
    await rm(data, { recursive: true, force: true });
  }
});

async function listed(url: string): Promise<readonly unknown[]> {
  return ((await (await fetch(`${url}/images`)).json()) as { images: unknown[] }).images;
}
