import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createClient } from '../../src/client/client.js';
import type { Encoder } from '../../src/encoder/encoder.js';
import { NEAR_PRECISION, UNFITTED_SCORES } from '../../src/matching/score-model.js';
import { type CollectionScores, createCollectionScores, type FitPlan, type FitReport } from '../../src/server/collection-scores.js';
import { eventually, picture, startApplication, type TestApplication } from './application.js';

/** Small, so that a fit takes seconds; the service's own figures differ in nothing else. */
const PLAN: Partial<FitPlan> = { imagesMin: 40, fitted: 26, heldOut: 14, lookMs: 20 };

async function store(server: TestApplication, collection: string, from: number, to: number): Promise<void> {
  for (let seed = from; seed <= to; seed++) {
    const payload = await picture(seed);
    const url = `/index?collection=${collection}&id=p${seed}`;
    const stored = await server.app.inject({ method: 'POST', url, payload, headers: { 'content-type': 'image/png' } });
    assert.equal(stored.statusCode, 201, stored.body);
  }
}

type Opened = {
  readonly scores: CollectionScores;
  readonly fits: readonly FitReport[];
  readonly failures: readonly unknown[];
  isQuiet: boolean;
};

/** Scores of the server's catalogue in a folder of their own, closed when the test ends. */
async function openScores(
  context: TestContext,
  server: TestApplication,
  options: { readonly plan?: Partial<FitPlan>; readonly isOn?: boolean; readonly encoder?: Encoder } = {},
): Promise<Opened> {
  const fits: FitReport[] = [];
  const failures: unknown[] = [];
  const { plan = PLAN, isOn = true, encoder = server.encoder } = options;
  const opened = { fits, failures, isQuiet: true };
  const scores = createCollectionScores({
    ...{ catalogue: server.catalogue, encoder, shipped: undefined, folder: folderOf(server), isOn, plan },
    isQuiet: () => opened.isQuiet,
    onFit: (report) => fits.push(report),
    onFailure: (error) => failures.push(error),
  });
  context.after(() => scores.close());
  await scores.open();
  return Object.assign(opened, { scores });
}

/** A fit takes seconds, and longer where the machine is busy: it gives way to all else. */
const soon = (isTrue: () => boolean): Promise<void> => eventually(isTrue, 12_000);
const folderOf = (server: TestApplication): string => join(server.folder, 'other-scores');

test('a large collection gets curves of its own in a quiet moment, and its results their words; small ones keep the encoder’s', async (context) => {
  const server = await startApplication(context, {}, { fitPlan: PLAN });
  const { url } = await server.listen();
  const client = createClient({ url });
  await store(server, 'large', 1, 45);
  await store(server, 'small', 1, 10);
  // Each request puts the fit off, so the log is watched and the service left alone.
  await soon(() => server.log.some((line) => line.includes('scores were fitted to a collection')));
  const { collections, scores } = await client.statistics();
  assert.equal(scores, null, 'the test encoder came without');
  const [large, small] = ['large', 'small'].map((name) => collections.find((collection) => collection.name === name)!.scores);
  assert.equal(small, null);
  assert.ok(large);
  assert.equal(large.source, 'collection');
  assert.equal(large.images, PLAN.fitted);
  assert.ok(large.bands.near.precision >= NEAR_PRECISION, JSON.stringify(large));
  assert.ok(Math.abs(Date.parse(large.fittedAt) - Date.now()) < 60_000);

  const query = new File([new Uint8Array(await picture(5, 'jpeg'))], 'query.jpg');
  const [inLarge, inSmall] = await Promise.all(
    ['large', 'small'].map(async (collection) => {
      const found = (await client.search({ pictures: [query], collection, k: 45 })).results.find(({ id }) => id === 'p5');
      return (await client.compare({ a: query, b: { id: 'p5' }, collection })).band.probability === undefined ? undefined : found;
    }),
  );
  assert.equal(inLarge?.score, inSmall?.score);
  assert.notEqual(inLarge?.band.probability, inSmall?.band.probability, 'the same pair, read by other curves');
});

test('what was fitted outlasts the process; a damaged file, and one of another encoder, are fitted again', async (context) => {
  const server = await startApplication(context);
  await store(server, 'large', 1, 45);
  const first = await openScores(context, server);
  await soon(() => first.fits.length === 1);
  await first.scores.close();
  const model = first.scores.modelOf('large');
  assert.notDeepEqual(model, UNFITTED_SCORES);

  const second = await openScores(context, server);
  assert.deepEqual(second.scores.modelOf('large'), model, 'at once, before any search');
  assert.equal(second.scores.usedFor('large')?.source, 'collection');
  await second.scores.close();
  assert.equal(second.fits.length, 0);

  const [name] = await readdir(folderOf(server));
  const path = join(folderOf(server), name!);
  const whole = await readFile(path, 'utf8');
  await writeFile(path, whole.replace('"images":', '"imbges":'));
  const third = await openScores(context, server);
  assert.deepEqual(third.scores.modelOf('large'), UNFITTED_SCORES);
  await soon(() => third.fits.length === 1);
  assert.deepEqual(third.scores.modelOf('large'), model, 'the same pictures give the same curves');
  await third.scores.close();

  const description = { ...server.encoder.description, id: 'another' };
  const other: Encoder = {
    ...server.encoder,
    description,
    get statistics() {
      return server.encoder.statistics;
    },
  };
  const fourth = await openScores(context, server, { encoder: other, plan: { ...PLAN, lookMs: 3_600_000 } });
  assert.deepEqual(fourth.scores.modelOf('large'), UNFITTED_SCORES);
  assert.deepEqual([...first.failures, ...second.failures, ...third.failures, ...fourth.failures], []);
});

test('a collection is fitted again when it has doubled, and its curves go with its pictures', async (context) => {
  const server = await startApplication(context);
  await store(server, 'large', 1, 40);
  const opened = await openScores(context, server);
  await soon(() => opened.fits.length === 1);
  await store(server, 'large', 41, 79);
  await new Promise((resolve) => setTimeout(resolve, 100)); // some looks; what must not happen leaves no trace to wait for
  assert.equal(opened.fits.length, 1, 'not yet');
  await store(server, 'large', 80, 80);
  await soon(() => opened.fits.length === 2);
  assert.deepEqual(
    opened.fits.map(({ images }) => images),
    [40, 80],
  );
  for (let seed = 1; seed <= 61; seed++) await server.app.inject({ method: 'DELETE', url: `/images/p${seed}?collection=large` });
  await eventually(async () => (await readdir(folderOf(server))).length === 0);
  assert.equal(opened.scores.usedFor('large'), undefined);
});

test('nothing is begun while others need the machine, a close ends it in the middle, and off is off', async (context) => {
  const server = await startApplication(context);
  await store(server, 'large', 1, 45);
  const calls = server.encoder.calls;
  const busy = await openScores(context, server);
  busy.isQuiet = false;
  await new Promise((resolve) => setTimeout(resolve, 300)); // what must not happen leaves no trace to wait for
  assert.equal(server.encoder.calls, calls);
  busy.isQuiet = true;
  await soon(() => server.encoder.calls > calls);
  busy.isQuiet = false;
  await busy.scores.close();
  const ended = server.encoder.calls;
  assert.deepEqual([busy.fits.length, busy.failures], [0, []]);

  const off = await openScores(context, server, { isOn: false });
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual([server.encoder.calls, off.fits.length], [ended, 0]);
  assert.deepEqual(off.scores.modelOf('large'), UNFITTED_SCORES);
});

test('a collection whose copies cannot be told from others keeps the encoder’s curves, and is not tried again at once', async (context) => {
  const server = await startApplication(context);
  await store(server, 'large', 1, 45);
  // Every picture alike: no curve can be right.
  const blind: Encoder = {
    ...server.encoder,
    get statistics() {
      return server.encoder.statistics;
    },
    async encode() {
      const embedding = new Float32Array(server.encoder.description.dimensions);
      embedding[0] = 1;
      return { embedding, queueMs: 0, encodeMs: 0 };
    },
  };
  const opened = await openScores(context, server, { encoder: blind });
  await soon(() => opened.fits.length === 1);
  assert.equal(opened.fits[0]!.fit, undefined);
  assert.deepEqual(opened.scores.modelOf('large'), UNFITTED_SCORES);
  await opened.scores.close();
  const again = await openScores(context, server);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(again.fits.length, 0, 'that it failed is known');
});

test('an encoder that fails leaves the curves as they were, and is left alone for a while', async (context) => {
  const server = await startApplication(context);
  await store(server, 'large', 1, 45);
  server.encoder.fail = new Error('broken');
  const opened = await openScores(context, server, { plan: { ...PLAN, restMs: 500 } });
  await soon(() => opened.failures.length === 1);
  server.encoder.fail = undefined;
  assert.deepEqual(opened.scores.modelOf('large'), UNFITTED_SCORES);
  await soon(() => opened.fits.length === 1);
  assert.equal(opened.failures.length, 1);
});
