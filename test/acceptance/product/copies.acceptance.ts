/**
 * What a running service calls copies, measured through `POST /search`: edits of photographs and of drawn documents
 * find their originals; strangers and other documents of one layout are no copies; the verdicts are the same under 24
 * requests at once. Prints the tables of docs/copies.md.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp, { type Sharp } from 'sharp';
import { attackImage, COPY_ATTACKS, type CopyAttack } from '../../../src/images/copy-attacks.js';
import { drawnDocument, HELD_OUT_KINDS, TUNED_KINDS } from '../../matching/drawn-documents.js';
import { runCli, type ServiceProcess, sharedData, startService } from '../../service-process.js';
import { inLanes } from '../lanes.js';
import { familyProcessorMs } from '../process-memory.js';

const photos = sharedData('photos');
const ORIGINALS = 200;
const KINDS = [...TUNED_KINDS, ...HELD_OUT_KINDS];
const DOCUMENTS_OF_EACH_KIND = 10;
const DOCUMENT_EDITS: readonly CopyAttack[] = ['jpeg-60', 'half-size', 'crop-90', 'grey'];
/** Strangers looked at in each search of photographs: as many as are aligned. */
const NEAREST = 16;
/** Of the photographs with all their edits, these take part in the trial under load. */
const LOADED_ORIGINALS = 12;
const CLIENTS = 24;
const TRIES_MAX = 60;
const TIMED_SEARCHES = 100;
const LANES = 2;
/** Every so many photographs are searched for without `groups` too. */
const PLAIN_STEP = 4;

/**
 * Pictures of the set that are edited copies of each other, found by this test and checked by eye: mirrored leopards, a
 * ball on another ground, a platypus in a vignette, a beaver retouched.
 */
const COPIES_IN_THE_SET: readonly (readonly [string, string])[] = [
  ['Leopards/image_0021.jpg', 'Leopards/image_0121.jpg'],
  ['Leopards/image_0041.jpg', 'Leopards/image_0141.jpg'],
  ['Leopards/image_0061.jpg', 'Leopards/image_0161.jpg'],
  ['beaver/image_0001.jpg', 'beaver/image_0012.jpg'],
  ['platypus/image_0004.jpg', 'platypus/image_0011.jpg'],
  ['soccer_ball/image_0013.jpg', 'soccer_ball/image_0058.jpg'],
];
const isCopyInTheSet = (one: string, other: string): boolean =>
  COPIES_IN_THE_SET.some(
    (pair) => pair.some((name) => one.endsWith(name)) && pair.some((name) => other.endsWith(name)),
  );

type Result = {
  readonly id: string;
  readonly copy: 'exact' | 'edited' | 'none';
  readonly probability: number;
  readonly similar: boolean;
  readonly match: string;
  readonly band: { readonly name: string; readonly probability: number };
};
type Answer = { readonly complete: boolean; readonly results: readonly Result[] };
type Search = { readonly collection: string; readonly body: Uint8Array; readonly groups: boolean; readonly k: number };
type Tally = { found: number; of: number };
/** A search and what it found when it ran nearly alone. */
type Kept = { readonly search: Search; readonly answer: Answer };

describe('copies found by a running service', { skip: photos === undefined && '../shared is absent' }, () => {
  let data = '';
  let service: ServiceProcess;
  let names: readonly string[] = [];
  let originals: readonly string[] = [];
  const documents = new Map<string, Buffer>();
  const kept: Kept[] = [];

  before(async () => {
    data = await mkdtemp(join(tmpdir(), 'likeness-copies-'));
    // Curves of the collections' own would change verdicts between two halves of a comparison.
    service = await startService({ data: join(data, 'catalogue'), flags: ['--refit-scores', 'off'] });
    names = (await readdir(photos!, { recursive: true })).filter((name) => name.endsWith('.jpg')).sort();
    originals = Array.from({ length: ORIGINALS }, (_, at) => names[Math.floor((at * names.length) / ORIGINALS)]!);
    await mkdir(join(data, 'documents'));
    for (const kind of KINDS) {
      const ground = names.find((name) => name.includes(kind === 'meme' ? 'Faces' : 'garfield'))!;
      const template = await readFile(join(photos!, ground));
      for (let at = 0; at < DOCUMENTS_OF_EACH_KIND; at++) {
        const sheet = await drawnDocument(kind, at, { font: 'system', template });
        documents.set(`${kind}-${at}.png`, sheet);
        await writeFile(join(data, 'documents', `${kind}-${at}.png`), sheet);
      }
    }
    for (const [folder, collection] of [
      [photos!, 'photographs'],
      [join(data, 'documents'), 'documents'],
    ] as const) {
      const failures = join(data, 'failures.jsonl');
      const imported = await runCli(
        ...['import', folder, '--url', service.url, '--collection', collection, '--failures', failures],
      );
      assert.equal(imported.exitCode, 0, imported.output);
    }
  });

  after(async () => {
    await service.stop();
    await rm(data, { recursive: true, force: true });
  });

  test('edits of photographs find their originals, and strangers are no copies', async () => {
    const edits = new Map<string, Tally>();
    const first = new Map<string, Tally>();
    const plain = new Map<string, Tally>();
    const strangers = new Map<string, Tally>();
    const missed: string[] = [];
    const taken = new Set<string>();
    const judge = (query: string, of: string, answer: Answer, groups: boolean): void => {
      const others = answer.results.filter(({ id }) => id !== of && !isCopyInTheSet(id, of)).slice(0, NEAREST);
      const called = others.filter(({ copy }) => copy !== 'none');
      const kind = `${query === '' ? 'the photograph itself' : 'its edits'}, ${groups ? 'groups=true' : 'groups off'}`;
      add(strangers, `${kind}: pairs`, called.length, others.length);
      add(strangers, `${kind}: searches`, Math.min(1, called.length), 1);
      for (const { id } of called) taken.add(`${of} ${query} ${groups ? '' : '(groups off) '}= ${id}`);
      if (query === '') return;
      const isFound = answer.results.some(({ id, copy }) => id === of && copy !== 'none');
      add(groups ? edits : plain, query, Number(isFound), 1);
      if (!groups) return;
      add(first, query, Number(answer.results[0]?.id === of), 1);
      if (!isFound) missed.push(`${of} ${query}`);
    };
    await inLanes(originals, LANES, async (name, seed) => {
      const bytes = await readFile(join(photos!, name));
      for (const attack of [undefined, ...COPY_ATTACKS]) {
        const body = attack === undefined ? bytes : await attackImage({ bytes, attack, seed });
        for (const groups of [true, false]) {
          if (!groups && seed % PLAIN_STEP > 0) continue;
          const search = { collection: 'photographs', body, groups, k: NEAREST + 2 };
          const answer = await asked(service, search);
          judge(attack ?? '', name, answer, groups);
          if (groups && seed % Math.floor(ORIGINALS / LOADED_ORIGINALS) === 0) kept.push({ search, answer });
        }
      }
    });
    console.log(`\n| edit of ${ORIGINALS} photographs | copy | first | copy, groups off |\n|---|---:|---:|---:|`);
    for (const attack of COPY_ATTACKS)
      console.log(`| ${attack} | ${share(edits, attack)} | ${share(first, attack)} | ${share(plain, attack)} |`);
    console.log(`| all | ${percent(sum(edits))} | ${percent(sum(first))} | ${percent(sum(plain))} |`);
    console.log(`\nmissed: ${missed.join('; ')}`);
    print('called copies: strangers of photographs', strangers);
    console.log(`\ntaken for copies: ${[...taken].sort().join('; ')}`);
    assertAtLeast(sum(edits), 0.95, 'edits of photographs');
    for (const [kind, tally] of strangers) if (kind.endsWith('pairs')) assertAtMost(tally, 0.005, `strangers, ${kind}`);
  });

  test('edits of documents find their originals, and documents of one layout are no copies', async () => {
    const edits = new Map<string, Tally>();
    const plain = new Map<string, Tally>();
    const layouts = new Map<string, Tally>();
    const missed: string[] = [];
    const taken = new Set<string>();
    await inLanes([...documents], LANES, async ([name, bytes], seed) => {
      const kind = name.replace(/-.*/, '');
      const tilt = (): Sharp => sharp(bytes).rotate(2, { background: 'white' });
      const { width, height } = await sharp(bytes).metadata();
      const bodies: (readonly [string, Uint8Array])[] = [['', bytes]];
      for (const attack of DOCUMENT_EDITS) bodies.push([attack, await attackImage({ bytes, attack, seed })]);
      bodies.push(['tilt, canvas grown', await tilt().jpeg({ quality: 85 }).toBuffer()]);
      const tilted = await tilt().png().toBuffer();
      const canvas = await sharp(tilted).metadata();
      const cut = { left: (canvas.width - width) >> 1, top: (canvas.height - height) >> 1, width, height };
      bodies.push(['tilt, cut to size', await sharp(tilted).extract(cut).jpeg({ quality: 85 }).toBuffer()]);
      for (const [edit, body] of bodies) {
        for (const groups of [true, false]) {
          const search = { collection: 'documents', body, groups, k: documents.size };
          const answer = await asked(service, search);
          const others = answer.results.filter(({ id }) => id !== name && basename(id).startsWith(`${kind}-`));
          const called = others.filter(({ copy }) => copy !== 'none');
          const query = `${edit === '' ? 'the document itself' : 'its edits'}, ${groups ? 'groups=true' : 'groups off'}`;
          add(layouts, query, called.length, others.length);
          if (groups) add(layouts, `${kind}, groups=true`, called.length, others.length);
          for (const { id } of called) taken.add(`${name} ${edit} ${groups ? '' : '(groups off) '}= ${id}`);
          const elsewhere = answer.results.filter(({ id }) => !basename(id).startsWith(`${kind}-`));
          add(layouts, 'other layouts', elsewhere.filter(({ copy }) => copy !== 'none').length, elsewhere.length);
          if (edit === '') continue;
          const isFound = answer.results.some(({ id, copy }) => id === name && copy !== 'none');
          add(groups ? edits : plain, edit, Number(isFound), 1);
          if (groups && !isFound) missed.push(`${name} ${edit}`);
          if (groups && edit === 'jpeg-60')
            kept.push({ search: { ...search, k: 20 }, answer: await asked(service, { ...search, k: 20 }) });
        }
      }
    });
    console.log(`\n| edit of ${documents.size} documents | copy | copy, groups off |\n|---|---:|---:|`);
    for (const edit of edits.keys()) console.log(`| ${edit} | ${share(edits, edit)} | ${share(plain, edit)} |`);
    console.log(`| all | ${percent(sum(edits))} | ${percent(sum(plain))} |`);
    console.log(`\nmissed: ${missed.join('; ')}`);
    print('called copies: other documents', layouts);
    console.log(`\ntaken for copies: ${[...taken].sort().join('; ')}`);
    assertAtLeast(sum(edits), 0.9, 'edits of documents');
    for (const groups of ['groups=true', 'groups off'])
      assertAtMost(
        sum(layouts, (kind) => kind.startsWith('the doc') && kind.endsWith(groups)),
        0.01,
        groups,
      );
    assertAtMost(
      sum(layouts, (kind) => kind.startsWith('its edits')),
      0.01,
      'documents of one layout as edits',
    );
  });

  test(`${CLIENTS} requests at once get the verdicts of one at a time`, async () => {
    const count = { complete: 0, same: 0, incomplete: 0, changed: 0, refused: 0 };
    const changed: string[] = [];
    const order = Array.from(kept, (_, at) => kept[(at * 37) % kept.length]!);
    const startedAt = performance.now();
    await inLanes(order, CLIENTS, async ({ search, answer }) => {
      const again = await asked(service, search, () => count.refused++);
      const same = verdicts(again) === verdicts(answer);
      if (!again.complete) {
        count.incomplete++;
        if (!same) count.changed++;
        return;
      }
      count.complete++;
      if (same) count.same++;
      else changed.push(`${verdicts(answer)} -> ${verdicts(again)}`);
    });
    const seconds = (performance.now() - startedAt) / 1000;
    console.log(
      `${order.length} searches by ${CLIENTS} clients in ${seconds.toFixed(0)} s: ${count.complete} complete, of them ${count.same} with the verdicts of one at a time; ` +
        `${count.incomplete} incomplete, ${count.changed} of them with other verdicts; ${count.refused} refusals, tried again`,
    );
    assert.deepEqual(changed, []);
    assert.ok(count.complete > order.length / 2, 'too few complete answers to say anything');
  });

  test('a grouped search costs so many times the processor time of a plain one', async () => {
    const bodies: Uint8Array[] = [];
    for (const [seed, name] of originals.slice(0, TIMED_SEARCHES).entries())
      bodies.push(await attackImage({ bytes: await readFile(join(photos!, name)), attack: 'jpeg-60', seed }));
    const cost = async (groups: boolean): Promise<number> => {
      const before = familyProcessorMs(service.process.pid!);
      for (const body of bodies) await asked(service, { collection: 'photographs', body, groups, k: 10 });
      return (familyProcessorMs(service.process.pid!) - before) / bodies.length;
    };
    await cost(true);
    const [plain, grouped, plainAgain, groupedAgain] = [
      await cost(false),
      await cost(true),
      await cost(false),
      await cost(true),
    ];
    const ratio = (grouped + groupedAgain) / (plain + plainAgain);
    console.log(
      `processor time of a search: plain ${plain.toFixed(1)} and ${plainAgain.toFixed(1)} ms, grouped ${grouped.toFixed(1)} and ${groupedAgain.toFixed(1)} ms: ${ratio.toFixed(2)} times`,
    );
  });
});

/** One search; a refusal is told and tried again. The fields of every result agree, or the test fails. */
async function asked(service: ServiceProcess, search: Search, onRefusal?: () => void): Promise<Answer> {
  const { collection, body, groups, k } = search;
  const url = `${service.url}/search?collection=${collection}&k=${k}&groups=${groups}`;
  const headers = { 'content-type': 'application/octet-stream' };
  for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
    const response = await fetch(url, { method: 'POST', body, headers });
    const text = await response.text();
    if (response.status === 503 && onRefusal !== undefined) {
      onRefusal();
      await sleep(250);
      continue;
    }
    assert.equal(response.status, 200, text);
    const answer = JSON.parse(text) as Answer; // the schema of the route
    if (onRefusal === undefined) assert.ok(answer.complete, 'an answer at rest is complete');
    for (const result of answer.results) assertAgrees(result);
    return answer;
  }
  assert.fail(`refused ${TRIES_MAX} times`);
}

function assertAgrees({ id, copy, probability, similar, match, band }: Result): void {
  const name = copy === 'exact' ? 'same' : copy === 'edited' ? 'near' : similar ? 'related' : 'unrelated';
  assert.deepEqual(band, { name, probability }, id);
  assert.equal(match, copy === 'exact' ? 'same' : copy === 'edited' ? 'edited' : 'similar', id);
  assert.ok(copy === 'none' || (similar && probability >= 0.5), `${id}: ${copy}, ${similar}, ${probability}`);
}

/** Id and kind of every result, in no order. */
function verdicts({ results }: Answer): string {
  return results
    .filter(({ copy }) => copy !== 'none')
    .map(({ id, copy }) => `${id} ${copy}`)
    .sort()
    .join(', ');
}

function add(tallies: Map<string, Tally>, kind: string, found: number, of: number): void {
  const tally = tallies.get(kind) ?? { found: 0, of: 0 };
  tally.found += found;
  tally.of += of;
  tallies.set(kind, tally);
}

function sum(tallies: ReadonlyMap<string, Tally>, isCounted: (kind: string) => boolean = () => true): Tally {
  const counted = [...tallies].filter(([kind]) => isCounted(kind)).map(([, tally]) => tally);
  return counted.reduce((all, { found, of }) => ({ found: all.found + found, of: all.of + of }), { found: 0, of: 0 });
}

function share(tallies: ReadonlyMap<string, Tally>, kind: string): string {
  return percent(tallies.get(kind) ?? { found: 0, of: 0 });
}

function percent({ found, of }: Tally): string {
  return `${((100 * found) / of).toFixed(found * 50 < of ? 2 : 1)} %`;
}

function print(title: string, tallies: ReadonlyMap<string, Tally>): void {
  console.log(`\n| ${title} | n | share |\n|---|---:|---:|`);
  for (const [kind, tally] of tallies) console.log(`| ${kind} | ${tally.of} | ${tally.found}: ${percent(tally)} |`);
}

function assertAtLeast({ found, of }: Tally, least: number, what: string): void {
  assert.ok(found >= least * of, `${what}: ${found} of ${of}`);
}

function assertAtMost({ found, of }: Tally, most: number, what: string): void {
  assert.ok(found <= most * of, `${what}: ${found} of ${of}`);
}
