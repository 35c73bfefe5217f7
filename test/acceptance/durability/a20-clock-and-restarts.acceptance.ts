/**
 * The clock goes back an hour under a running service, and 20 restarts in a row (A20): no id twice, deadlines hold, no
 * file grows.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type ServiceProcess, startService } from '../../service-process.js';
import { demoPictures } from '../filled-service.js';
import { inLanes } from '../lanes.js';
import { openClient } from '../raw-clients.js';
import { atMost, below, figure, record } from '../record.js';

const RESTARTS = 20;
const REQUEST_TIMEOUT_MS = 3000;
const PRELOAD = fileURLToPath(new URL('../shifted-clock.js', import.meta.url));
const FLAGS = ['--headers-timeout-ms', '1000', '--request-timeout-ms', String(REQUEST_TIMEOUT_MS)];

test(`the clock set back in mid-run, then ${RESTARTS} restarts`, async () => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-clock-'));
  const pictures = demoPictures();
  let service: ServiceProcess | undefined;
  try {
    process.env.NODE_OPTIONS = `--import=${PRELOAD}`;
    service = await startService({ data, flags: FLAGS }).finally(() => delete process.env.NODE_OPTIONS);
    const { url } = service;
    const ids: string[] = [];
    const add = async (picture: Buffer): Promise<void> => {
      const response = await fetch(`${url}/index`, {
        method: 'POST',
        body: new Uint8Array(picture),
        headers: { 'content-type': 'image/jpeg' },
      });
      const answer = (await response.json()) as { images: { id: string }[] };
      assert.equal(response.status, 201, JSON.stringify(answer));
      ids.push(answer.images[0]!.id);
    };
    await inLanes(pictures.slice(0, 60), 4, add);
    const before = (await recordOf(url, ids.at(-1)!)).addedAt;
    service.process.kill('SIGUSR2');
    await inLanes(pictures.slice(60, 120), 4, add);
    const after = (await recordOf(url, ids.at(-1)!)).addedAt;
    assert.ok(
      Date.parse(after) < Date.parse(before) - 3_000_000,
      `the clock was not set back: ${before}, then ${after}`,
    );
    const half = await openClient(url);
    half.socket.write(
      'POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\ncontent-length: 1000\r\n\r\nhalf',
    );
    await half.closed;
    assert.match(half.received(), /^HTTP\/1\.1 408 /);
    const listed = await listedIds(url);
    assert.equal(await service.stop(), 0);

    const sizes = await filesOf(data);
    const startedAt = performance.now();
    for (let restart = 0; restart < RESTARTS; restart++) {
      service = await startService({ data, flags: FLAGS });
      assert.equal(await service.stop(), 0);
    }
    const stormSeconds = (performance.now() - startedAt) / 1000;
    const sizesAfter = await filesOf(data);
    const grown = [...sizesAfter].filter(([name, bytes]) => bytes > (sizes.get(name) ?? -1));
    for (const [name, bytes] of grown)
      console.log(`${name}: ${sizes.get(name) ?? 'not there'} before, ${bytes} bytes after`);
    record({
      criterion: 'A20',
      given: `120 pictures added, the wall clock set back by an hour after half of them; a half-sent upload; then ${RESTARTS} restarts one after the other`,
      measures: [
        atMost('ids given twice', ids.length - new Set(ids).size, 0),
        atMost('pictures lost', ids.filter((id) => !listed.includes(id)).length, 0),
        atMost(
          'half-sent upload closed after',
          half.closedAfterMs ?? Number.POSITIVE_INFINITY,
          REQUEST_TIMEOUT_MS + 2000,
          'ms',
        ),
        atMost('files that grew or came anew', grown.length, 0),
        below('restarts took', stormSeconds, 60, 's'),
        figure(
          'bytes of the data folder',
          [...sizesAfter.values()].reduce((sum, bytes) => sum + bytes, 0),
        ),
      ],
    });
  } finally {
    service?.process.kill('SIGKILL');
    await rm(data, { recursive: true, force: true });
  }
});

async function recordOf(url: string, id: string): Promise<{ readonly addedAt: string }> {
  return (await (await fetch(`${url}/images/${id}`)).json()) as { addedAt: string };
}

async function listedIds(url: string): Promise<readonly string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const answer = await (
      await fetch(`${url}/images?limit=100${cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`}`)
    ).json();
    const page = answer as { images: { id: string }[]; nextCursor?: string };
    ids.push(...page.images.map(({ id }) => id));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return ids;
}

async function filesOf(folder: string): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  for (const name of await readdir(folder, { recursive: true })) {
    const { size, isFile } = await stat(join(folder, name)).then((found) => ({
      size: found.size,
      isFile: found.isFile(),
    }));
    if (isFile) sizes.set(name, size);
  }
  return sizes;
}
