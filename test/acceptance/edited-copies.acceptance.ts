/** Six edits of 200 photographs among 1,850: the original comes first and is called a copy, and its look-alikes are not. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { attackImage, type CopyAttack } from '../../src/images/copy-attacks.js';
import { runCli, sharedData, startService } from '../service-process.js';
import { inLanes } from './lanes.js';

const photos = sharedData('photos');
const EDITS: readonly CopyAttack[] = ['jpeg-40', 'half-size', 'crop-70', 'flip', 'brighter', 'text'];
const ORIGINALS = 200;
const LEAST_FIRST = 0.95;
const LEAST_CALLED_COPY = 0.9;
const MOST_LOOK_ALIKES = 0.02;

/**
 * Pictures of the set that are edited copies of each other, found by this test and checked by eye: mirrored leopards, a ball on another ground, a platypus
 * in a vignette, a beaver retouched. Not among them: two minarets in one mask, and one symbol drawn three times, which are taken for copies wrongly.
 */
const COPIES_IN_THE_SET: readonly (readonly [string, string])[] = [
  ['Leopards/image_0021.jpg', 'Leopards/image_0121.jpg'],
  ['Leopards/image_0041.jpg', 'Leopards/image_0141.jpg'],
  ['Leopards/image_0061.jpg', 'Leopards/image_0161.jpg'],
  ['beaver/image_0001.jpg', 'beaver/image_0012.jpg'],
  ['platypus/image_0004.jpg', 'platypus/image_0011.jpg'],
  ['soccer_ball/image_0013.jpg', 'soccer_ball/image_0058.jpg'],
];
const isCopyOf = (one: string, other: string): boolean =>
  COPIES_IN_THE_SET.some((pair) => pair.some((name) => one.endsWith(name)) && pair.some((name) => other.endsWith(name)));

type Result = { readonly id: string; readonly match: string; readonly band: { readonly name: string } };
type Answer = { readonly results: readonly Result[]; readonly tookMs: { readonly search: number } };

test('an edited picture finds its original first, as a copy, and takes no look-alike for one', {
  skip: photos === undefined && '../shared is absent',
}, async () => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-edited-'));
  const service = await startService({ data });
  try {
    const imported = await runCli('import', photos!, '--url', service.url, '--failures', join(data, 'failures.jsonl'));
    assert.equal(imported.exitCode, 0, imported.output);
    const names = (await readdir(photos!, { recursive: true })).filter((name) => name.endsWith('.jpg')).sort();
    const step = names.length / ORIGINALS;
    const originals = Array.from({ length: ORIGINALS }, (_, at) => names[Math.floor(at * step)]!);

    const total = { first: 0, copies: 0, lookAlikes: 0, bands: 0, rightBands: 0 };
    for (const attack of EDITS) {
      const missed: string[] = [];
      const uncalled: string[] = [];
      const taken: string[] = [];
      const searchMs: number[] = [];
      await inLanes(originals, 2, async (name, seed) => {
        const body = await attackImage({ bytes: await readFile(join(photos!, name)), attack, seed });
        const response = await fetch(`${service.url}/search?k=10&groups=true`, {
          method: 'POST',
          body,
          headers: { 'content-type': 'application/octet-stream' },
        });
        const answer = (await response.json()) as Answer;
        assert.equal(response.status, 200, JSON.stringify(answer));
        searchMs.push(answer.tookMs.search);
        if (answer.results[0]?.id !== name) missed.push(name);
        const original = answer.results.find(({ id }) => id === name);
        if (original?.match !== 'same' && original?.match !== 'edited') uncalled.push(name);
        const alike = answer.results.filter(
          ({ id, match }) => id !== name && dirname(id) === dirname(name) && match === 'edited' && !isCopyOf(id, name),
        );
        taken.push(...alike.slice(0, 1).map(({ id }) => `${name} ${id}`));
        const near = answer.results.filter(({ band }) => band.name === 'near' || band.name === 'same');
        total.bands += near.length;
        total.rightBands += near.filter(({ id }) => id === name || isCopyOf(id, name)).length;
      });
      total.first += ORIGINALS - missed.length;
      total.copies += ORIGINALS - uncalled.length;
      total.lookAlikes += taken.length;
      searchMs.sort((a, b) => a - b);
      const percent = (count: number): string => `${((100 * count) / ORIGINALS).toFixed(1)} %`;
      console.log(
        `${attack}: first ${percent(ORIGINALS - missed.length)}, same or edited ${percent(ORIGINALS - uncalled.length)}, a look-alike edited ${percent(taken.length)}; ` +
          `search ${searchMs[ORIGINALS >> 1]} ms median, ${searchMs[Math.floor(ORIGINALS * 0.95)]} ms for 95 of 100`,
      );
      console.log(
        `  missed ${missed.slice(0, 5)}; not called a copy ${uncalled.slice(0, 5)}; taken for copies ${taken.slice(0, 5).join('; ')}`,
      );
    }
    const queries = ORIGINALS * EDITS.length;
    const [first, copies, lookAlikes] = [total.first / queries, total.copies / queries, total.lookAlikes / queries];
    const precision = total.rightBands / total.bands;
    console.log(`all: first ${first}, same or edited ${copies}, look-alikes edited ${lookAlikes}, precision of near and same ${precision}`);
    assert.ok(first >= LEAST_FIRST && copies >= LEAST_CALLED_COPY && lookAlikes <= MOST_LOOK_ALIKES);
    assert.ok(precision >= 0.95, `near and same: ${precision}`);
  } finally {
    await service.stop();
    await rm(data, { recursive: true, force: true });
  }
});
