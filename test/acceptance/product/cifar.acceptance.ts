/**
 * The whole of CIFAR-10 through the service: 50,000 train images imported, 10,000 test images searched, weighted kNN (k
 * = 200, T = 0.1) from the service's own answers against the exact figure over the same embeddings.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { REPOSITORY, runCli, sharedData, startService } from '../../service-process.js';
import { inLanes } from '../lanes.js';

const cifar = sharedData('cifar10');
const K = 200;
const TEMPERATURE = 0.1;
const CLASSES = 10;

test('kNN through the service equals the exact figure within 0.5 points', {
  skip: cifar === undefined && '../shared is absent',
}, async () => {
  const work = await mkdtemp(join(tmpdir(), 'likeness-cifar-'));
  const data = join(work, 'data');
  try {
    execFileSync(process.execPath, [join(cifar!, 'unpack.mjs'), join(work, 'binary')], { cwd: REPOSITORY });
    for (let batch = 1; batch <= 5; batch++)
      await writePictures(join(work, 'binary', `data_batch_${batch}.bin`), join(work, 'train'), batch);
    await writePictures(join(work, 'binary', 'test_batch.bin'), join(work, 'test'), 0);

    const service = await startService({ data });
    const startedAt = performance.now();
    const imported = await runCli(
      'import',
      join(work, 'train'),
      '--url',
      service.url,
      '--concurrency',
      '16',
      '--failures',
      join(work, 'failures.jsonl'),
    );
    console.log(
      `import: ${imported.output.trim().split('\n').at(-1)} in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`,
    );
    assert.equal(imported.exitCode, 0, imported.output);

    const tests = Array.from({ length: 10_000 }, (_, index) => index);
    const testBytes = await readFile(join(work, 'binary', 'test_batch.bin'));
    const rate = async (parameters: string, count: number): Promise<number> => {
      let correct = 0;
      await inLanes(tests.slice(0, count), 8, async (index) => {
        const label = testBytes[index * 3073]!;
        const body = await readFile(join(work, 'test', String(label), `0-${index}.png`));
        const response = await fetch(`${service.url}/search?k=${K}&${parameters}`, {
          method: 'POST',
          body,
          headers: { 'content-type': 'image/png' },
        });
        const { results } = (await response.json()) as { results: { id: string; score: number }[] };
        if (vote(results) === label) correct++;
      });
      return (100 * correct) / count;
    };
    const searchedAt = performance.now();
    const throughService = await rate('', 10_000);
    const perSecond = 10_000 / ((performance.now() - searchedAt) / 1000);
    // The exact scan of the same catalogue, by the same route: the specification the graph is measured against.
    const exact = await rate('exact=true', 10_000);
    console.log(
      `kNN through the service ${throughService.toFixed(2)} %, exact ${exact.toFixed(2)} %; ${perSecond.toFixed(0)} searches/s`,
    );
    await service.stop();
    assert.ok(Math.abs(throughService - exact) <= 0.5);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
});

function vote(results: readonly { readonly id: string; readonly score: number }[]): number {
  const weights = new Float64Array(CLASSES);
  for (const { id, score } of results) weights[Number(id.split('/')[0])]! += Math.exp(score / TEMPERATURE);
  return weights.indexOf(Math.max(...weights));
}

/** One PNG an image, in a folder named after its label. */
async function writePictures(binary: string, folder: string, batch: number): Promise<void> {
  for (let label = 0; label < CLASSES; label++) await mkdir(join(folder, String(label)), { recursive: true });
  const bytes = await readFile(binary);
  await inLanes(
    Array.from({ length: 10_000 }, (_, index) => index),
    8,
    async (index) => {
      const record = bytes.subarray(index * 3073, (index + 1) * 3073);
      const rgb = Buffer.alloc(3072);
      for (let pixel = 0; pixel < 1024; pixel++)
        for (let channel = 0; channel < 3; channel++) rgb[pixel * 3 + channel] = record[1 + channel * 1024 + pixel]!;
      const png = await sharp(rgb, { raw: { width: 32, height: 32, channels: 3 } })
        .png({ compressionLevel: 1 })
        .toBuffer();
      await writeFile(join(folder, String(record[0]), `${batch}-${index}.png`), png);
    },
  );
}
