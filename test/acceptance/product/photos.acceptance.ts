/** 1,500 photographs imported by the command line, then each searched again as it is, re-encoded and at half size. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { runCli, sharedData, startService } from '../../service-process.js';
import { inLanes } from '../lanes.js';

const photos = sharedData('photos', 'caltech101');

const EDITS: Readonly<Record<string, (bytes: Buffer) => Promise<Buffer>>> = {
  'as it is': async (bytes) => bytes,
  'JPEG quality 60': (bytes) => sharp(bytes).jpeg({ quality: 60 }).toBuffer(),
  'half size': async (bytes) => {
    const { width = 2 } = await sharp(bytes).metadata();
    return await sharp(bytes)
      .resize(Math.round(width / 2))
      .jpeg({ quality: 90 })
      .toBuffer();
  },
};
const LEAST_SHARE: Readonly<Record<string, number>> = { 'as it is': 1, 'JPEG quality 60': 0.97, 'half size': 0.97 };

test('every photograph finds itself, and re-encoded and half-size copies find their original', {
  skip: photos === undefined && '../shared is absent',
}, async () => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-photos-'));
  const service = await startService({ data });
  try {
    const imported = await runCli('import', photos!, '--url', service.url, '--failures', join(data, 'failures.jsonl'));
    console.log(imported.output.trim().split('\n').at(-1));
    assert.equal(imported.exitCode, 0, imported.output);

    const names = (await readdir(photos!, { recursive: true })).filter((name) => name.endsWith('.jpg'));
    for (const [edit, change] of Object.entries(EDITS)) {
      const missed: string[] = [];
      const tookMs: number[] = [];
      await inLanes(names, 4, async (name) => {
        const body = await change(await readFile(join(photos!, name)));
        const startedAt = performance.now();
        const response = await fetch(`${service.url}/search?k=5`, {
          method: 'POST',
          body,
          headers: { 'content-type': 'image/jpeg' },
        });
        tookMs.push(performance.now() - startedAt);
        const answer = (await response.json()) as { results: { id: string; score: number }[] };
        assert.equal(response.status, 200, JSON.stringify(answer));
        if (answer.results[0]?.id !== name) missed.push(name);
      });
      const share = 1 - missed.length / names.length;
      tookMs.sort((a, b) => a - b);
      console.log(
        `${edit}: first for ${(share * 100).toFixed(2)} % of ${names.length}; median ${tookMs[names.length >> 1]?.toFixed(1)} ms; missed ${missed.slice(0, 5)}`,
      );
      // Two files of the collection may hold the same picture; the import then says so, and the file is not stored
      // under its own name.
      assert.ok(share >= LEAST_SHARE[edit]!, `${edit}: ${missed.join(', ')}`);
    }
  } finally {
    await service.stop();
    await rm(data, { recursive: true, force: true });
  }
});
