/**
 * Server-side request forgery (A25): with fetching by URL switched on, addresses of this machine and of special
 * networks in every spelling, names that lead there and redirects to there; with it off, everything. A canary listens
 * on all addresses of the machine and hears nothing.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startService } from '../../service-process.js';
import { inLanes } from '../lanes.js';
import { atLeast, atMost, record } from '../record.js';

const KEY = 'write-key-0123456789';

/** Ways to write an address that leads to this machine or into a special network. */
const HOSTS: readonly string[] = [
  ...[
    '127.0.0.1',
    '127.1',
    '127.0.1',
    '127.255.255.254',
    '0.0.0.0',
    '0',
    '0x7f000001',
    '0x7f.0.0.1',
    '2130706433',
    '017700000001',
    '0177.0.0.1',
  ],
  ...[
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[0:0:0:0:0:ffff:127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[::127.0.0.1]',
    '[fe80::1]',
    '[fc00::1]',
  ],
  ...[
    'localhost',
    'LOCALHOST',
    'localhost.',
    'a.localhost',
    'ip6-localhost',
    '127.0.0.1.',
    '①②⑦.⓪.⓪.①',
    '127。0。0。1',
    '127%2e0%2e0%2e1',
  ],
  ...[
    '10.0.0.1',
    '172.16.0.1',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '192.0.0.1',
    '198.18.0.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
  ],
];

function urlsFor(port: number): readonly string[] {
  const hosts = HOSTS.flatMap((host) => [
    `http://${host}:${port}/a.png`,
    `https://${host}:${port}/a.png`,
    `http://user:pass@${host}:${port}/`,
  ]);
  const schemes = [
    'file:///etc/passwd',
    `ftp://127.0.0.1:${port}/`,
    `gopher://127.0.0.1:${port}/_x`,
    'data:image/png;base64,AAAA',
    'javascript:1',
    `//127.0.0.1:${port}/`,
  ];
  const tricks = [
    `http://example.com@127.0.0.1:${port}/`,
    `http://127.0.0.1:${port}#@example.com/`,
    `http://127.0.0.1:${port}\\@example.com/`,
    `http:127.0.0.1:${port}/`,
  ];
  return [...hosts, ...schemes, ...tricks, 'http://', 'x', ' ', `http://127.0.0.1\r\n:${port}/`];
}

test('no URL makes the service connect to this machine or a special network', async () => {
  let hits = 0;
  const canary = createServer((_request, response) => {
    hits += 1;
    response.end();
  });
  canary.on('connection', () => {
    hits += 1;
  });
  canary.listen(0, '::'); // IPv4 too.
  await once(canary, 'listening');
  const { port } = canary.address() as AddressInfo; // A TCP server's address is an object.
  const folder = await mkdtemp(join(tmpdir(), 'likeness-ssrf-'));
  const urls = urlsFor(port);
  const wrong: string[] = [];
  const answers = new Set<string>();
  let asked = 0;
  try {
    for (const isAllowed of [true, false]) {
      const flags = isAllowed
        ? ['--allow-url-fetch', '--url-fetch-ports', `80,443,${port}`, '--api-keys', `write:${KEY}`]
        : ['--api-keys', `write:${KEY}`];
      const service = await startService({ data: join(folder, String(isAllowed)), flags });
      try {
        const headers = { 'x-api-key': KEY, 'content-type': 'application/json' };
        await inLanes(urls, 4, async (url) => {
          const responses = [
            await fetch(`${service.url}/search?url=${encodeURIComponent(url)}`, { headers }),
            await fetch(`${service.url}/search`, { method: 'POST', headers, body: JSON.stringify({ url }) }),
            await fetch(`${service.url}/index`, { method: 'POST', headers, body: JSON.stringify({ url }) }),
          ];
          for (const response of responses) {
            asked += 1;
            const { code } = (await response.json()) as { code: string };
            if (isAllowed) answers.add(`${response.status} ${code}`);
            if (response.status < 400 || response.status >= 500)
              wrong.push(`${isAllowed ? 'on' : 'off'} ${url}: ${response.status} ${code}`);
          }
        });
        const stored = await importedOf(service.url, headers, urls);
        if (stored > 0) wrong.push(`${stored} stored by an import job`);
        assert.equal(await service.stop(), 0);
      } finally {
        service.process.kill('SIGKILL');
      }
    }
    for (const line of wrong) console.log(line);
    record({
      criterion: 'A25',
      given: `${urls.length} URLs (${HOSTS.length} spellings of hosts), by link, by JSON to search and to store, and in import jobs, with fetching on and off; redirects, rebinding and DNS are in the tests of src/fetching; XXE in A24`,
      measures: [
        atLeast('requests', asked, 6 * urls.length),
        atMost('connections to the canary', hits, 0),
        atMost('answers other than 4xx', wrong.length, 0),
        atMost(
          'different codes of refusal that an asker could tell hosts apart by',
          [...answers].filter((answer) => !/INVALID_REQUEST/.test(answer)).length,
          1,
        ),
      ],
    });
  } finally {
    canary.close();
    canary.closeAllConnections();
    await rm(folder, { recursive: true, force: true });
  }
});

/**
 * How many of the URLs an import job stores, each in a job of its own, since one that is no URL refuses its job whole.
 */
async function importedOf(
  service: string,
  headers: Readonly<Record<string, string>>,
  urls: readonly string[],
): Promise<number> {
  let stored = 0;
  await inLanes(urls, 4, async (url) => {
    const response = await fetch(`${service}/imports`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ urls: [url] }),
    });
    type Job = {
      readonly id: string;
      readonly status: string;
      readonly counts: { readonly added: number; readonly existing: number };
    };
    let job = (await response.json()) as Job;
    assert.ok(response.status < 500, `${url}: ${response.status}`);
    if (response.status !== 202) return;
    while (job.status === 'running') {
      await sleep(50);
      job = (await (await fetch(`${service}/imports/${job.id}`, { headers })).json()) as Job;
    }
    stored += job.counts.added + job.counts.existing;
  });
  return stored;
}
