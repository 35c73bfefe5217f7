/**
 * Every bad and odd file through every entrance (A21), three times each: never a fault of ours, never slow, always the
 * same answer.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SETTINGS } from '../../../src/settings.js';
import { peakMemoryBytes, sharedData, startService } from '../../service-process.js';
import { type CorpusFile, corpusEntrances, serveFiles, storedHashes } from '../corpus-entrances.js';
import { inLanes } from '../lanes.js';
import { familyBytes, watchPeak } from '../process-memory.js';
import { atMost, below, record } from '../record.js';

const corpus = sharedData('bad-images');
const ROUNDS = 3;
/** The service's own process; the decoders' memory is bounded by --decode-memory-bytes. */
const BUDGET_MIB = 512;
/** That, and what all decodes together may take (--decode-memory-bytes). */
const IMPORT_BUDGET_MIB = BUDGET_MIB + SETTINGS.decodeMemoryBytes.default / 2 ** 20;

test('the corpus of bad images through both entrances', {
  skip: corpus === undefined && '../shared is absent',
}, async () => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-bad-'));
  const service = await startService({ data });
  try {
    const startMiB = peakMemoryBytes(service.process.pid!) / 2 ** 20;
    const [header = '', ...rows] = (await readFile(join(corpus!, 'manifest.tsv'), 'utf8')).trimEnd().split('\n');
    const columns = header.split('\t');
    const files = rows.map((row) => {
      const cells = row.split('\t');
      return { name: cells[columns.indexOf('file')]!, expected: cells[columns.indexOf('expected')]! };
    });
    const statuses = new Map<string, string[]>();
    let slowestMs = 0;
    for (let round = 0; round < ROUNDS; round++) {
      await inLanes(files, 4, async ({ name }) => {
        const bytes = await readFile(join(corpus!, name));
        for (const path of ['/search', '/index'] as const) {
          const form = new FormData();
          form.set('image', new Blob([bytes]), name.slice(-200));
          const startedAt = performance.now();
          const response = await fetch(service.url + path, { method: 'POST', body: form });
          slowestMs = Math.max(slowestMs, performance.now() - startedAt);
          const { code = '' } = (await response.json()) as { code?: string };
          const key = `${path} ${name}`;
          // The second time a stored image answers 200 or 201 as "exists": the same answer for this purpose.
          const answer = response.ok ? '2xx' : `${response.status} ${code}`;
          statuses.set(key, [...(statuses.get(key) ?? []), answer]);
        }
      });
    }
    const unstable = [...statuses].filter(([, answers]) => new Set(answers).size > 1);
    const failed = [...statuses].filter(([, answers]) => answers.some((answer) => answer.startsWith('5')));
    const exceptions = files.filter(({ name, expected }) => {
      const accepted = statuses.get(`/search ${name}`)?.[0] === '2xx';
      if (expected.startsWith('accept')) return !accepted && !expected.startsWith('accept if');
      return expected.startsWith('refuse') && !expected.startsWith('refuse or') && accepted;
    });
    for (const { name, expected } of exceptions)
      console.log(`exception: ${name}: expected ${expected}, got ${statuses.get(`/search ${name}`)?.[0]}`);
    for (const [key, answers] of [...failed, ...unstable]) console.log(`${key}: ${answers.join(', ')}`);

    const accepted = new Set<string>();
    for (const { name } of files) {
      if (statuses.get(`/index ${name}`)?.[0] === '2xx') {
        const digest = await crypto.subtle.digest('SHA-256', await readFile(join(corpus!, name)));
        accepted.add(Buffer.from(digest).toString('hex'));
      }
    }
    const stored = await storedHashes(service.url);
    const wrong =
      stored.filter((hash) => !accepted.has(hash)).length +
      [...accepted].filter((hash) => !stored.includes(hash)).length;
    const peakMiB = peakMemoryBytes(service.process.pid!) / 2 ** 20;
    record({
      criterion: 'A21',
      given: `${files.length} bad and odd files, ${ROUNDS} times each through POST /search and POST /index, 4 at once`,
      measures: [
        atMost('answers 5xx', failed.length, 0),
        atMost('files answered differently from one time to the next', unstable.length, 0),
        below('slowest answer', slowestMs, 5000, 'ms'),
        atMost('share that contradicts the manifest', (100 * exceptions.length) / files.length, 1, '%'),
        atMost('stored and not accepted, or accepted and not stored', wrong, 0),
        below('growth of the service to its peak', peakMiB - startMiB, BUDGET_MIB, 'MiB'),
        atMost('crashes', Number(service.process.exitCode !== null), 0),
      ],
    });
  } finally {
    await service.stop();
    await rm(data, { recursive: true, force: true });
  }
});

/** An answer that is our fault: none of them is an answer to a file. */
const OURS: readonly string[] = [
  'INTERNAL',
  'DECODER_FAILED',
  'ENCODER_FAILED',
  'DEADLINE_EXCEEDED',
  'OVERLOADED',
  'NOT_READY',
];

test('the corpus of bad images through imports and the command line', {
  skip: corpus === undefined && '../shared is absent',
}, async () => {
  const [header = '', ...rows] = (await readFile(join(corpus!, 'manifest.tsv'), 'utf8')).trimEnd().split('\n');
  const paths = rows.map((row) => row.split('\t')[header.split('\t').indexOf('file')]!);
  const files: readonly CorpusFile[] = await Promise.all(
    paths.map(async (path, number) => ({ name: `${number}.jpg`, content: await readFile(join(corpus!, path)) })),
  );
  const data = await mkdtemp(join(tmpdir(), 'likeness-bad-'));
  const site = await serveFiles(files);
  const flags = [
    // Long enough that no answer depends on how busy the machine is.
    ...['--decode-timeout-ms', '60000', '--request-timeout-ms', '120000', '--import-concurrency', '8'],
    ...['--allow-url-fetch', '--url-fetch-ports', String(site.port), '--url-fetch-networks', '127.0.0.1/32'],
  ];
  const service = await startService({ data, flags });
  const { entrances, close } = await corpusEntrances({ url: service.url, files, sitePort: site.port });
  try {
    const direct: string[] = [];
    await inLanes(files, 4, async (file) => {
      const form = new FormData();
      form.set('image', new Blob([new Uint8Array(file.content)]), 'x');
      const response = await fetch(`${service.url}/index?collection=direct`, { method: 'POST', body: form });
      const { code = '' } = (await response.json()) as { code?: string };
      direct[files.indexOf(file)] = response.ok ? 'stored' : code;
    });
    const expected = await storedHashes(service.url, 'direct');
    const base = familyBytes(service.process.pid!);
    const memory = watchPeak(service.process.pid!);
    const [others, ours, unstable]: string[][] = [[], [], []];
    let wrong = 0;
    for (const [at, { name, send }] of entrances.entries()) {
      let first: readonly string[] | undefined;
      for (let round = 0; round < ROUNDS; round++) {
        // Each time into a collection of its own: what is stored already would be answered without a look at it.
        const answers = await send(`entrance-${at}-${round}`);
        first ??= answers;
        for (const [number, answer] of answers.entries()) {
          const told = `${paths[number]} by ${name}: ${answer}, by itself ${direct[number]}`;
          if (answer !== first[number]) unstable!.push(told);
          if (OURS.includes(answer)) ours!.push(told);
          // An archive inside an archive is refused as such, and is no picture by itself either.
          if (answer !== direct[number] && !(direct[number] === 'UNSUPPORTED_FORMAT' && answer === 'ENTRY_REFUSED'))
            others!.push(told);
        }
        wrong += Number(
          JSON.stringify(await storedHashes(service.url, `entrance-${at}-${round}`)) !== JSON.stringify(expected),
        );
      }
    }
    const grownMiB = (memory.stop() - base) / 2 ** 20;
    for (const line of [...others!, ...ours!, ...unstable!]) console.log(line);
    record({
      criterion: 'A21',
      part: 'imports',
      given: `${files.length} bad and odd files, ${ROUNDS} times each by ${entrances.map(({ name }) => name).join(', ')}; told against POST /index of each by itself`,
      measures: [
        atMost('answers that are faults of ours', ours!.length, 0),
        atMost('files answered differently from one time to the next', unstable!.length, 0),
        atMost('files answered otherwise than by POST /index', others!.length, 0),
        atMost('collections that do not hold exactly what POST /index stored', wrong, 0),
        below('growth of service and decoders to their peak', grownMiB, IMPORT_BUDGET_MIB, 'MiB'),
        atMost('crashes', Number(service.process.exitCode !== null), 0),
      ],
    });
  } finally {
    await service.stop();
    site.close();
    await close();
    await rm(data, { recursive: true, force: true });
  }
});
