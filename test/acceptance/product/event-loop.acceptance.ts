/** The main thread stays free: its event-loop delay while eight clients index and eight search. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCli, sharedData, startService } from '../../service-process.js';

const photos = sharedData('photos', 'caltech101');
const SECONDS = 30;
const LIMIT_MS = 20;

test(`event-loop delay p99 stays under ${LIMIT_MS} ms`, {
  skip: photos === undefined && '../shared is absent',
}, async () => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-loop-'));
  const service = await startService({ data });
  try {
    const names = (await readdir(photos!, { recursive: true })).filter((name) => name.endsWith('.jpg'));
    await runCli('import', join(photos!, names[0]!.split('/')[0]!), '--url', service.url);
    const pictures = await Promise.all(names.slice(0, 200).map((name) => readFile(join(photos!, name))));
    await delayP99Ms(service.url);
    const endsAt = performance.now() + SECONDS * 1000;
    const counts = { index: 0, search: 0, refused: 0 };
    const client = async (path: 'index' | 'search', seed: number): Promise<void> => {
      for (let turn = seed; performance.now() < endsAt; turn++) {
        const picture = pictures[turn % pictures.length]!;
        // Trailing bytes behind the end of a JPEG are no part of the picture but make every upload a new file.
        const body = path === 'index' ? Buffer.concat([picture, Buffer.from(`#${seed}-${turn}`)]) : picture;
        const response = await fetch(`${service.url}/${path}`, {
          method: 'POST',
          body,
          headers: { 'content-type': 'image/jpeg' },
        });
        await response.arrayBuffer();
        if (response.ok) counts[path]++;
        else counts.refused++;
      }
    };
    await Promise.all(Array.from({ length: 16 }, (_, lane) => client(lane < 8 ? 'index' : 'search', lane * 1000)));
    const p99 = await delayP99Ms(service.url);
    console.log(
      `${SECONDS} s: ${counts.index} indexed, ${counts.search} searched, ${counts.refused} refused; event-loop delay p99 ${p99.toFixed(1)} ms`,
    );
    assert.ok(counts.index > 0 && counts.search > 0);
    assert.ok(p99 < LIMIT_MS, `p99 ${p99} ms`);
  } finally {
    await service.stop();
    await rm(data, { recursive: true, force: true });
  }
});

/** p99 since the last reading; reading it starts the next interval. */
async function delayP99Ms(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = /^\S*eventloop_(?:lag|delay)_p99_seconds(?:\{[^}]*\})? (\S+)$/m.exec(text);
  return Number(line?.[1] ?? Number.NaN) * 1000;
}
