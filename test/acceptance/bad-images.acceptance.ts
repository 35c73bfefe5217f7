/** Every bad and odd file through POST /search and POST /index, three times: never a 5xx, never slow, always the same answer. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { peakMemoryBytes, sharedData, startService } from '../service-process.js';
import { inLanes } from './lanes.js';

const corpus = sharedData('bad-images');
const ROUNDS = 3;

test('the corpus of bad images through both entrances', { skip: corpus === undefined && '../shared is absent' }, async () => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-bad-'));
  const service = await startService({ data });
  try {
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
    console.log(
      `${files.length} files, slowest ${slowestMs.toFixed(0)} ms, service peak ${(peakMemoryBytes(service.process.pid!) / 2 ** 20).toFixed(0)} MiB`,
    );
    for (const { name, expected } of exceptions)
      console.log(`exception: ${name}: expected ${expected}, got ${statuses.get(`/search ${name}`)?.[0]}`);
    assert.deepEqual(failed, []);
    assert.deepEqual(unstable, []);
    assert.ok(slowestMs < 5000, `slowest ${slowestMs} ms`);
    assert.ok(exceptions.length <= files.length * 0.01, `${exceptions.length} exceptions`);

    const accepted = new Set<string>();
    for (const { name } of files) {
      if (statuses.get(`/index ${name}`)?.[0] === '2xx') {
        const digest = await crypto.subtle.digest('SHA-256', await readFile(join(corpus!, name)));
        accepted.add(Buffer.from(digest).toString('hex'));
      }
    }
    assert.deepEqual(await storedHashes(service.url), [...accepted].sort());
    console.log(`catalogue holds exactly the ${accepted.size} distinct accepted images`);
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
