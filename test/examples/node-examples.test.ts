/** The Node examples, run as a user runs them, against a real service. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { REPOSITORY, startService } from '../service-process.js';

const run = async (script: string, ...args: readonly string[]): Promise<string> => {
  const path = join(REPOSITORY, 'examples', 'node', script);
  const { stdout } = await promisify(execFile)(process.execPath, [path, ...args], { timeout: 300_000 });
  return stdout;
};

test('pictures of a folder are stored and searched, and their copies are listed', async (context) => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-examples-'));
  context.after(() => rm(data, { recursive: true, force: true }));
  const service = await startService({ data });
  try {
    const edited = join(REPOSITORY, 'examples', 'demo', 'edited');
    const output = await run('index-and-search.mjs', edited, service.url);
    assert.match(output, /: added\n/);
    assert.match(output, /^1\.000 {2}exact copy \(100 %\)/m);

    const broken = await mkdtemp(join(data, 'broken-'));
    await writeFile(join(broken, 'broken.jpg'), 'no picture');
    await assert.rejects(run('index-and-search.mjs', broken, service.url), /UNSUPPORTED_FORMAT|UNREADABLE_IMAGE/);

    const copies = await run('find-copies.mjs', service.url, 'default');
    for (const line of copies.split('\n').filter(Boolean))
      assert.match(line, /^(exact|edited)\t[01]\.\d{3}\t\S+\t\S+$/);
  } finally {
    await service.stop();
  }
});
