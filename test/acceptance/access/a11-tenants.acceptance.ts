/**
 * Two tenants of 1,000 images each on one service (A11): 2,000 requests of one across into the other's collection, by
 * every route that names an image or a collection, and its own searches: nothing of the other is told, counted, changed
 * or removed, and what is refused is refused in the words used for what does not exist.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { seededRandom } from '../../../src/seeded-random.js';
import { startService } from '../../service-process.js';
import { inLanes } from '../lanes.js';
import { atLeast, atMost, figure, record, seedOf } from '../record.js';

const IMAGES = 1000;
const REQUESTS = 2000;
const LANES = 4;
const KEYS = {
  anton: 'ant-key-0123456789abcdef',
  beate: 'bee-key-0123456789abcdef',
  admin: 'admin-key-0123456789ab',
} as const;
const TIMED = 1000;

type Tenant = 'anton' | 'beate';

test(`2 tenants of ${IMAGES} images, ${REQUESTS} requests across`, async () => {
  const seed = seedOf(20261122);
  const data = await mkdtemp(join(tmpdir(), 'likeness-tenants-'));
  const apiKeys = `write@anton:${KEYS.anton},write@beate:${KEYS.beate},admin:${KEYS.admin}`;
  const service = await startService({ data, flags: ['--keep-originals', '--api-keys', apiKeys] });
  const send = (key: keyof typeof KEYS, path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${service.url}${path}`, { ...init, headers: { ...init.headers, 'x-api-key': KEYS[key] } });
  const post = (key: keyof typeof KEYS, path: string, body: Buffer) =>
    send(key, path, { method: 'POST', body, headers: { 'content-type': 'image/png' } });
  const idsOf = async (tenant: Tenant): Promise<string> => {
    const first = await (await send('admin', `/images?limit=1000&collection=${tenant}`)).text();
    return first.replaceAll(/"nextCursor":"[^"]*"/g, '');
  };
  try {
    for (const tenant of ['anton', 'beate'] as const) {
      await inLanes(
        Array.from({ length: IMAGES }, (_, at) => at),
        LANES,
        async (at) => {
          // the same pictures for both
          const response = await post(tenant, `/index?id=${tenant}-${at}`, await picture(at));
          assert.equal(response.status, 201, await response.text());
        },
      );
    }
    const before = { anton: await idsOf('anton'), beate: await idsOf('beate') };
    let [leaks, unequal, wrongCounts, admitted] = [0, 0, 0, 0];
    await inLanes(
      Array.from({ length: REQUESTS }, (_, at) => at),
      LANES,
      async (at) => {
        const random = seededRandom(seed + at);
        const [own, other]: [Tenant, Tenant] = at % 2 === 0 ? ['anton', 'beate'] : ['beate', 'anton'];
        const number = Math.floor(random() * IMAGES);
        if (at % 10 === 9) {
          // Its own search, over everything it has: exactly its own.
          const response = await post(own, '/search?k=1000&groups=false', await picture(number));
          const { results } = (await response.json()) as { results: { id: string }[] };
          if (results.length !== IMAGES) wrongCounts++;
          if (results.some(({ id }) => !id.startsWith(`${own}-`))) leaks++;
          return;
        }
        const kind = ACROSS[Math.floor(random() * ACROSS.length)]!;
        const ask = async (collection: string, id: string): Promise<string> => {
          const { path, init = {} } = kind(collection, id, await picture(number));
          const response = await send(own, path, init);
          const text = await response.text();
          if (response.status < 400) admitted++;
          const told = text.replaceAll(collection, 'COLLECTION').replaceAll(id, 'ID');
          if (told.includes(other)) leaks++;
          return `${response.status} ${told}`;
        };
        if ((await ask(other, `${other}-${number}`)) !== (await ask('nobody', `nobody-${number}`))) unequal++;
      },
    );
    const times = { there: [] as number[], nowhere: [] as number[] };
    for (let at = 0; at < TIMED; at++) {
      const pair = [
        ['beate', times.there],
        ['nobody', times.nowhere],
      ] as const;
      // By turns, since the first of two requests is the slower.
      for (const [collection, list] of at % 2 === 0 ? pair : pair.toReversed()) {
        const begun = performance.now();
        await (await send('anton', `/images/beate-${at}?collection=${collection}`)).arrayBuffer();
        list.push(performance.now() - begun);
      }
    }
    const changed = Number(before.anton !== (await idsOf('anton'))) + Number(before.beate !== (await idsOf('beate')));
    assert.equal((await send('anton', '/snapshots', { method: 'POST' })).status, 403);
    assert.equal((await send('anton', '/metrics')).status, 403);
    assert.equal(await service.stop(), 0);
    record({
      criterion: 'A11',
      given: `two write keys, each limited to a collection of the same ${IMAGES} pictures; ${REQUESTS} requests: get, thumbnail, original, similar, list, search by id, picture and form, patch, delete and add across, and searches of one's own for 1,000`,
      seed,
      measures: [
        atMost("answers that tell of the other's images", leaks, 0),
        atMost('requests across that were admitted', admitted, 0),
        atMost('answers that differ from those for a collection that does not exist', unequal, 0),
        atMost('own searches that did not find exactly their own', wrongCounts, 0),
        atMost('collections changed by the other', changed, 0),
        atLeast('requests', REQUESTS, 2000),
        figure("median 404 for another's image less that for none", median(times.there) - median(times.nowhere), 'ms'),
      ],
    });
  } finally {
    service.process.kill('SIGKILL');
    await rm(data, { recursive: true, force: true });
  }
});

type Across = (
  collection: string,
  id: string,
  picture: Buffer,
) => { readonly path: string; readonly init?: RequestInit };

const JSON_TYPE = { 'content-type': 'application/json' };
const PNG_TYPE = { 'content-type': 'image/png' };

/** Every way to name somebody else's image or collection. */
const ACROSS: readonly Across[] = [
  (collection, id) => ({ path: `/images/${id}?collection=${collection}` }),
  (_, id) => ({ path: `/images/${id}` }),
  (collection, id) => ({ path: `/images/${id}/thumbnail?collection=${collection}` }),
  (collection, id) => ({ path: `/images/${id}/original?collection=${collection}` }),
  (collection, id) => ({ path: `/images/${id}/similar?collection=${collection}` }),
  (_, id) => ({ path: `/images/${id}/similar` }),
  (collection) => ({ path: `/images?collection=${collection}` }),
  (collection, id) => ({ path: `/search?collection=${collection}&id=${id}` }),
  (_, id) => ({ path: `/search?id=${id}` }),
  (collection, _, picture) => ({
    path: `/search?collection=${collection}`,
    init: { method: 'POST', body: picture, headers: PNG_TYPE },
  }),
  (collection, id) => ({
    path: '/search',
    init: { method: 'POST', body: JSON.stringify({ collection, id: [id] }), headers: JSON_TYPE },
  }),
  (collection, _, picture) => ({ path: '/search', init: { method: 'POST', body: formOf(collection, picture) } }),
  (collection, id) => ({
    path: `/images/${id}?collection=${collection}`,
    init: { method: 'PATCH', body: '{"metadata":{"stolen":true}}', headers: JSON_TYPE },
  }),
  (collection, id) => ({ path: `/images/${id}?collection=${collection}`, init: { method: 'DELETE' } }),
  (_, id) => ({ path: `/images/${id}`, init: { method: 'DELETE' } }),
  (collection, id, picture) => ({
    path: `/index?collection=${collection}&id=${id}&replace=true`,
    init: { method: 'POST', body: picture, headers: PNG_TYPE },
  }),
];

function formOf(collection: string, picture: Buffer): FormData {
  const form = new FormData();
  form.append('collection', collection);
  form.append('image', new Blob([new Uint8Array(picture)], { type: 'image/png' }), 'query.png');
  return form;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** Blocks of colours by a hash of the number: pictures far apart from each other. */
async function picture(number: number): Promise<Buffer> {
  const random = seededRandom(number + 1);
  const rgb = Uint8Array.from({ length: 8 * 8 * 3 }, () => random() * 256);
  return sharp(rgb, { raw: { width: 8, height: 8, channels: 3 } })
    .resize(64, 64, { kernel: 'nearest' })
    .png()
    .toBuffer();
}
