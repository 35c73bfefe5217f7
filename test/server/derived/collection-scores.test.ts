import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createClient } from '../../../src/client/client.js';
import type { Encoder } from '../../../src/encoder/encoder.js';
import type { ShippedScores } from '../../../src/encoder/score-defaults.js';
import { NEAR_PRECISION, UNFITTED_SCORES } from '../../../src/matching/score-model.js';
import {
  type CollectionScores,
  createCollectionScores,
  type FitPlan,
  type FitReport,
} from '../../../src/server/derived/collection-scores.js';
import { eventually, picture, startApplication, type TestApplication } from '../application.js';

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
  isIdle: boolean;
};

/** Scores of the server's catalogue in a folder of their own, closed when the test ends. */
async function openScores(
  context: TestContext,
  server: TestApplication,
  options: {
    readonly plan?: Partial<FitPlan>;
    readonly isOn?: boolean;
    readonly encoder?: Encoder;
    readonly shipped?: ShippedScores;
  } = {},
): Promise<Opened> {
  const fits: FitReport[] = [];
  const failures: unknown[] = [];
  const { plan = PLAN, isOn = true, encoder = server.encoder, shipped } = options;
  const opened = { fits, failures, isIdle: true };
  const scores = createCollectionScores({
    ...{ catalogue: server.catalogue, encoder, shipped, folder: folderOf(server), isOn, plan },
    isIdle: () => opened.isIdle,
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
  await soon(() => server.log.some((line) => line.includes('the score curves of a collection changed')));
  const { collections, scores } = await client.statistics();
  assert.equal(scores, null, 'the test encoder came without');
  const [large, small] = ['large', 'small'].map(
    (name) => collections.find((collection) => collection.name === name)!.scores,
  );
  assert.equal(small, null);
  assert.ok(large);
  assert.equal(large.source, 'collection');
  assert.equal(large.images, PLAN.fitted);
  assert.ok(large.bands.near.precision >= NEAR_PRECISION, JSON.stringify(large));
  assert.ok(Math.abs(Date.parse(large.fittedAt) - Date.now()) < 60_000);

  const query = new File([new Uint8Array(await picture(5, 'jpeg'))], 'query.jpg');
  const [inLarge, inSmall] = await Promise.all(
    ['large', 'small'].map(async (collection) => {
      const found = (await client.search({ pictures: [query], collection, k: 45 })).results.find(
        ({ id }) => id === 'p5',
      );
      return (await client.compare({ a: query, b: { id: 'p5' }, collection })).probability === undefined
        ? undefined
        : found;
    }),
  );
  assert.equal(inLarge?.score, inSmall?.score);
  assert.notEqual(inLarge?.probability, inSmall?.probability, 'the same pair, read by other curves');
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
  // some looks; what must not happen leaves no trace to wait for
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(opened.fits.length, 1, 'not yet');
  await store(server, 'large', 80, 80);
  await soon(() => opened.fits.length === 2);
  assert.deepEqual(
    opened.fits.map(({ images }) => images),
    [40, 80],
  );
  for (let seed = 1; seed <= 61; seed++)
    await server.app.inject({ method: 'DELETE', url: `/images/p${seed}?collection=large` });
  await eventually(async () => (await readdir(folderOf(server))).length === 0);
  assert.equal(opened.scores.usedFor('large'), undefined);
});

test('nothing is begun while others need the machine, a close ends it in the middle, and off is off', async (context) => {
  const server = await startApplication(context);
  await store(server, 'large', 1, 45);
  const calls = server.encoder.calls;
  const busy = await openScores(context, server);
  busy.isIdle = false;
  await new Promise((resolve) => setTimeout(resolve, 300)); // what must not happen leaves no trace to wait for
  assert.equal(server.encoder.calls, calls);
  busy.isIdle = true;
  await soon(() => server.encoder.calls > calls);
  busy.isIdle = false;
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
  const opened = await openScores(context, server, { encoder: blind(server) });
  await soon(() => opened.fits.length === 1);
  assert.notEqual(opened.fits[0]!.used.source, 'collection');
  assert.deepEqual(opened.scores.modelOf('large'), UNFITTED_SCORES);
  await opened.scores.close();
  const again = await openScores(context, server);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(again.fits.length, 0, 'that it failed is known');
});

/** An encoder to which every picture is the same: no curve can be right. */
function blind(server: TestApplication): Encoder {
  return {
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
}

/** Scores as if they came with the encoder, that call a copy what the model does. */
const shippedWith = (server: TestApplication, model: ShippedScores['model']): ShippedScores => ({
  formatVersion: 1,
  encoderId: server.encoder.description.id,
  fittedAt: '2026-01-01T00:00:00.000Z',
  data: 'a test',
  images: 100,
  pairs: 1000,
  precision: 1,
  recall: 1,
  reliability: [],
  model,
});
const CREDULOUS = { byCosine: [5, 0], byCosineAndHash: [5, 0, 0], nearProbability: 0.6, relatedSimilarity: 0.4 };

test('curves that call other pictures copies are withdrawn where that was measured, and the measure is told', async (context) => {
  const server = await startApplication(context);
  await store(server, 'large', 1, 45);
  const shipped = shippedWith(server, CREDULOUS);
  const opened = await openScores(context, server, { encoder: blind(server), shipped });
  assert.deepEqual(opened.scores.modelOf('large'), CREDULOUS);
  await soon(() => opened.fits.length === 1);
  const used = opened.scores.usedFor('large')!;
  assert.equal(used.source, 'withdrawn');
  assert.ok(used.precision < 0.5, JSON.stringify(used));
  assert.deepEqual(
    [used.model.byCosine, used.model.nearProbability],
    [UNFITTED_SCORES.byCosine, UNFITTED_SCORES.nearProbability],
  );
  assert.deepEqual([opened.fits[0]!.before, opened.fits[0]!.isChanged], ['encoder', true]);
  assert.deepEqual(opened.scores.modelOf('small'), CREDULOUS, 'of other collections nothing is known');
  await opened.scores.close();
  const again = await openScores(context, server, { encoder: blind(server), shipped });
  assert.equal(again.scores.usedFor('large')?.source, 'withdrawn', 'after a restart too');
});

test('careful curves stay where new ones find no more, so that verdicts do not jump as images are added', async (context) => {
  const server = await startApplication(context);
  await store(server, 'large', 1, 40);
  const first = await openScores(context, server);
  await soon(() => first.fits.length === 1);
  const own = first.scores.modelOf('large');
  await first.scores.close();
  // The curves of before, now as the encoder's: the fit finds no others that are better.
  const shipped = shippedWith(server, {
    ...own,
    byCosine: [...own.byCosine],
    byCosineAndHash: [...own.byCosineAndHash],
  });
  for (const name of await readdir(folderOf(server))) await rm(join(folderOf(server), name));
  const second = await openScores(context, server, { shipped });
  await soon(() => second.fits.length === 1);
  assert.deepEqual([second.fits[0]!.used.source, second.fits[0]!.isChanged], ['encoder', false]);
  await store(server, 'large', 41, 80);
  await soon(() => second.fits.length === 2);
  assert.deepEqual([second.fits[1]!.used.source, second.fits[1]!.isChanged], ['encoder', false]);
  assert.deepEqual(second.scores.modelOf('large'), own);
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
