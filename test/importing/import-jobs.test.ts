/** The states of import jobs: one run per job, whoever asks at the same moment, and no status that is not true. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import Database from 'better-sqlite3';
import { type ImportChange, type ImportStatus, nextStatus } from '../../src/catalogue/imports/import-records.js';
import { ImportStore } from '../../src/catalogue/imports/import-store.js';
import { migrate } from '../../src/catalogue/records/store-schema.js';
import { SearchError } from '../../src/errors.js';
import { ArchiveSpool } from '../../src/importing/archive-spool.js';
import { ImportJobs } from '../../src/importing/import-jobs.js';
import { createPermits, fairShare } from '../../src/importing/permits.js';
import { tarOf } from './archives.js';

const TARGET = { collection: 'default', caller: 'a' };

test('only a running job ends, and only one that has ended is retried', () => {
  const ended: readonly Exclude<ImportStatus, 'running'>[] = ['done', 'failed', 'cancelled'];
  for (const status of ended) {
    assert.equal(nextStatus('running', { kind: 'finish', id: 'x', status }), status);
    for (const other of ended) assert.equal(nextStatus(other, { kind: 'finish', id: 'x', status }), undefined);
    assert.equal(nextStatus(status, { kind: 'retry', id: 'x' }), 'running');
  }
  assert.equal(nextStatus('running', { kind: 'retry', id: 'x' }), undefined);
});

test('two retries at once run the job once', async (context) => {
  const service = await start(context);
  service.fails = true;
  const { id } = await service.jobs.importUrls(TARGET, ['http://a/1.jpg', 'http://a/2.jpg']);
  assert.equal((await service.ended(id)).counts.failed, 2);
  service.fails = false;
  service.stored.length = 0;
  const retries = await Promise.allSettled([1, 2, 3].map(() => service.jobs.retry(id, 'a')));
  assert.deepEqual(retries.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected']);
  for (const retry of retries) if (retry.status === 'rejected') assert.equal(retry.reason.code, 'IMPORT_RUNNING');
  await service.ended(id);
  assert.deepEqual(service.stored.sort(), ['http://a/1.jpg', 'http://a/2.jpg']);
});

test('a list of URLs that meets an overloaded catalogue leaves no running job', async (context) => {
  const service = await start(context);
  let refusals = 3;
  service.beforeChange = ({ kind }) => {
    if ((kind === 'found' || kind === 'forget') && refusals-- > 0) throw new SearchError('OVERLOADED', 'Full.');
  };
  await assert.rejects(service.jobs.importUrls(TARGET, ['http://a/1.jpg']), { code: 'OVERLOADED' });
  while (service.jobs.running > 0) await tick();
  assert.deepEqual(await service.jobs.list(), []);
});

test('cancelling a job that ends at this moment leaves it done, with its archive', async (context) => {
  const service = await start(context);
  service.fails = true;
  const body = Readable.from([await tarOf([{ name: 'a.jpg', content: 'a' }])]);
  const { id } = await service.jobs.importArchive(TARGET, { name: 'a.tar', body });
  let cancelled: Promise<unknown> | undefined;
  service.beforeChange = ({ kind }) => {
    if (kind === 'finish') cancelled ??= service.jobs.cancel(id); // while its end is being stored
  };
  const { status, counts } = await service.ended(id);
  assert.deepEqual([status, counts.failed], ['done', 1]);
  await cancelled;
  assert.equal((await service.jobs.get(id)).status, 'done');
  service.fails = false;
  await service.jobs.retry(id, 'a');
  assert.equal((await service.ended(id)).counts.added, 1);
});

test('close waits for every run, also for an archive that is arriving', async (context) => {
  const service = await start(context);
  const body = new Readable({ read() {} });
  const arriving = service.jobs.importArchive(TARGET, { name: 'a.tar', body });
  const rejected = assert.rejects(arriving, { code: 'SHUTTING_DOWN' });
  while (service.jobs.running === 0) await tick();
  await service.jobs.close();
  assert.equal(service.jobs.running, 0);
  await rejected;
});

test('a dripping upload is refused, and one caller leaves places to the others', async (context) => {
  const service = await start(context, { windowMs: 50, jobsMax: 4 });
  const drip = () => {
    const body = new Readable({ read() {} });
    body.push(Buffer.alloc(1));
    return service.jobs.importArchive(TARGET, { name: 'a.tar', body });
  };
  const drips = [drip(), drip()];
  const slow = drips.map((upload) => assert.rejects(upload, { code: 'REQUEST_TIMEOUT' }));
  await assert.rejects(drip(), { code: 'OVERLOADED', message: /of your imports already run/ });
  const { id } = await service.jobs.importUrls({ collection: 'default', caller: 'b' }, ['http://a/1.jpg']);
  assert.equal((await service.ended(id)).status, 'done');
  await Promise.all(slow);
  assert.deepEqual([fairShare(16, 1), fairShare(16, 2), fairShare(1, 1)], [8, 5, 1]);
});

test('pictures are charged to the caller, and a job waits for its quota', async (context) => {
  const service = await start(context);
  const waits = [0, 1, 0];
  service.charge = () => waits.shift() ?? 0;
  const { id } = await service.jobs.importUrls(TARGET, ['http://a/1.jpg', 'http://a/2.jpg']);
  while ((await service.jobs.get(id)).error?.code !== 'RATE_LIMITED') await tick();
  assert.equal((await service.ended(id)).counts.added, 2);
  assert.equal(waits.length, 0);
});

test('one caller that follows imports leaves event streams to another', async (context) => {
  const service = await start(context);
  const { id } = await service.jobs.importUrls(TARGET, ['http://a/1.jpg']);
  const job = await service.jobs.get(id);
  const follow = (caller: string): Readable => service.jobs.follow(job, caller, () => '');
  const streams = Array.from({ length: 50 }, () => follow('a'));
  assert.throws(() => follow('a'), { code: 'OVERLOADED' });
  for (const stream of [...streams, follow('b')]) stream.destroy();
  await service.ended(id);
});

test('a free permit goes to the caller that holds the fewest', async () => {
  const permits = createPermits(2);
  const { signal } = new AbortController();
  const releases = [await permits.acquire(signal, 'a'), await permits.acquire(signal, 'a')];
  const order: string[] = [];
  const waiting = ['a', 'a', 'b'].map((caller) => permits.acquire(signal, caller).then(() => order.push(caller)));
  releases[0]!();
  await tick();
  releases[1]!();
  await Promise.all(waiting.slice(2));
  await tick();
  assert.equal(order[0], 'b');
});

const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

async function start(context: TestContext, { windowMs = 60_000, jobsMax = 16 } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-jobs-'));
  const database = new Database(':memory:');
  migrate(database, { catalogueId: 'c', encoderId: 'e', dimensions: 4 });
  const store = new ImportStore(database, Date.now);
  const service = {
    fails: false,
    stored: [] as string[],
    charge: (): number => 0,
    beforeChange: (_change: ImportChange): void => {},
    jobs: undefined as unknown as ImportJobs, // set below
    async ended(id: string) {
      for (;;) {
        const job = await service.jobs.get(id);
        if (job.status !== 'running' && service.jobs.running === 0) return job;
        await tick();
      }
    },
  };
  const toError = (error: unknown) =>
    error instanceof SearchError
      ? { code: error.code, message: error.message }
      : { code: 'INTERNAL' as const, message: String(error) };
  service.jobs = new ImportJobs({
    ledger: {
      changeImport: async (change) => {
        await tick();
        service.beforeChange(change);
        return store.change(change);
      },
      readImports: async (query) => store.read(query) as never, // the store types its results loosely
    },
    spool: new ArchiveSpool({ folder, bytesMax: 1e6, reserveBytes: 0, bytesPerSecondMin: 1000, windowMs }),
    permits: createPermits(2),
    jobsMax,
    limits: {
      ...{ entriesMax: 100, expandedBytesMax: 1e6, ratioMax: 100 },
      ...{ fileBytesMax: 1e5, fileBytesFlag: '--max-upload-bytes' as const },
    },
    demoFolder: folder,
    addPicture: async ({ job, item }) => {
      await tick();
      if (service.fails) throw new SearchError('UNREADABLE_IMAGE', 'No picture.');
      service.stored.push(item.name);
      store.settleAdded({ id: job.id, number: item.number }, 'added');
      return 'added';
    },
    fetchUrl: async () => ({ bytes: Buffer.from('picture'), release() {} }),
    yieldToRequests: async () => {},
    charge: () => service.charge(),
    toError,
    onSettled: () => {},
    onFailure: (error) => assert.fail(String(error)),
    now: Date.now,
  });
  context.after(async () => {
    await service.jobs.close();
    database.close();
    await rm(folder, { recursive: true, force: true });
  });
  return service;
}
