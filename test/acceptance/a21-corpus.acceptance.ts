/** Every bad and odd file through POST /search and POST /index (A21), three times: never a 5xx, never slow, always the same answer. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { peakMemoryBytes, sharedData, startService } from '../service-process.js';
import { inLanes } from './lanes.js';
import { atMost, below, record } from './record.js';

const corpus = sharedData('bad-images');
const ROUNDS = 3;
/** The service's own process; the decoders' memory is bounded by --decode-memory-bytes. */
const BUDGET_MIB = 512;

test('the corpus of bad images through both entrances', { skip: corpus === undefined && '../shared is absent' }, async () => {
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
    const wrong = stored.filter((hash) => !accepted.has(hash)).length + [...accepted].filter((hash) => !stored.includes(hash)).length;
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

async function storedHashes(url: string): Promise<string[]> {
  const hashes: string[] = [];
  let cursor: string | undefined;
  do {
    const response = await fetch(`${url}/images?limit=100${cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`}`);
    const page = (await response.json()) as { images: { sha256: string }[]; nextCursor?: string };
    hashes.push(...page.images.map(({ sha256 }) => sha256));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return hashes.sort();
}
