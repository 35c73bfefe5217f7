/**
 * Memory stays flat (A4): half an hour of mixed valid pictures at most of the capacity; the last third is no larger
 * than the third before it.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { seededRandom } from '../../../src/seeded-random.js';
import { sharedData } from '../../service-process.js';
import { capacityOf, secondsOf } from '../capacity.js';
import { demoPictures, searches, withFilledService } from '../filled-service.js';
import { openLoop, quantile, summarise } from '../load.js';
import { descriptorsOf, familyBytes } from '../process-memory.js';
import { atMost, below, figure, record, seedOf } from '../record.js';

const SHARE = 0.8;
const EVERY_MS = 1000;
/**
 * From one picture of the capacity's load to the next: kinds lie side by side, so that a few seconds meet all of them.
 * Divides no number of pictures we have.
 */
const STRIDE = 11;

/**
 * Valid pictures of all formats, those of the corpus of bad and odd ones too where it is at hand; up to half a
 * megabyte each.
 */
async function mixedPictures(): Promise<readonly Buffer[]> {
  const corpus = sharedData('bad-images');
  if (corpus === undefined) return demoPictures();
  const [header = '', ...rows] = (await readFile(join(corpus, 'manifest.tsv'), 'utf8')).trimEnd().split('\n');
  const columns = header.split('\t');
  const valid = rows.map((row) => row.split('\t')).filter((cells) => cells[columns.indexOf('expected')] === 'accept');
  const files = await Promise.all(valid.map((cells) => readFile(join(corpus, cells[columns.indexOf('file')]!))));
  return [...demoPictures(), ...files.filter(({ length }) => length < 500_000)];
}

test('memory, handles and temporary files after a long time', async () => {
  const seed = seedOf(104);
  const seconds = secondsOf(1800);
  const pictures = await mixedPictures();
  await withFilledService({ images: 2000, seed }, async ({ url, process: service }) => {
    const shot = searches(pictures);
    const { best } = await capacityOf({ url, clients: [4, 8], seconds: 10, shot: (number) => shot(number * STRIDE) });
    assert.notEqual(pictures.length % STRIDE, 0, 'the capacity would be that of a few pictures');
    assert.ok(best, 'no capacity could be measured');
    const before = { descriptors: descriptorsOf(service.pid!), files: await ownFiles() };
    const samples: number[] = [];
    const timer = setInterval(() => samples.push(familyBytes(service.pid!)), EVERY_MS);
    const load = { url, perSecond: SHARE * best.acceptedPerSecond, seconds, random: seededRandom(seed), shot };
    const summary = summarise(await openLoop(load), seconds);
    clearInterval(timer);
    await new Promise((resolve) => setTimeout(resolve, 3000)); // Connections of the load close.
    const third = Math.floor(samples.length / 3);
    const [middle, last] = [samples.slice(third, 2 * third), samples.slice(2 * third)].map(
      (part) => quantile(part, 0.5) / 2 ** 20,
    );
    const growth = 100 * (last! / middle! - 1);
    record({
      criterion: 'A4',
      given: `${pictures.length} valid pictures of all formats, ${load.perSecond.toFixed(0)}/s (${SHARE} L) in an open loop for ${seconds} s: ${summary.sent} searches; service and decoders together`,
      seed,
      measures: [
        below('growth of the last third over the one before (medians)', growth, 5, '%'),
        figure('resident memory, median of the last third', last!, 'MiB'),
        figure('peak', Math.max(...samples) / 2 ** 20, 'MiB'),
        atMost('handles more than before', descriptorsOf(service.pid!) - before.descriptors, 0),
        atMost('temporary files more than before', (await ownFiles()) - before.files, 0),
        figure('answered', (100 * summary.accepted) / summary.sent, '%'),
      ],
    });
  });
});

/** Files and folders of ours in the folder for temporary ones. */
async function ownFiles(): Promise<number> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('likeness-filled-')).length;
}
