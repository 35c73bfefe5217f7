import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { ArchiveSpool } from '../../src/importing/archive-spool.js';

test('an archive is on disk when it was received, and nothing is left of one that was not', async (context) => {
  const { spool, folder, names } = await start(context, { bytesMax: 1000 });
  await spool.receive('a', Readable.from([Buffer.alloc(600, 1), Buffer.alloc(400, 2)]));
  assert.equal((await readFile(spool.pathOf('a'))).length, 1000);
  assert.equal(await spool.has('a'), true);
  await assert.rejects(spool.receive('b', Readable.from([Buffer.alloc(600), Buffer.alloc(401)])), {
    code: 'UPLOAD_TOO_LARGE',
  });
  const gone = new Error('the client has gone');
  const body = async function* (): AsyncGenerator<Buffer> {
    yield Buffer.alloc(10);
    throw gone;
  };
  await assert.rejects(spool.receive('c', body()), gone);
  assert.deepEqual(await names(), ['a.archive']);
  for (const id of ['../x', 'a/b', '', 'a.b']) assert.throws(() => spool.pathOf(id), /bug/);
  await writeFile(join(folder, 'd.archive.tmp'), 'half');
  await writeFile(join(folder, 'e.archive'), 'of no job');
  await spool.sweep((id) => id === 'a');
  assert.deepEqual(await names(), ['a.archive']);
  await spool.remove('a');
  await spool.remove('a');
  assert.deepEqual(await names(), []);
});

test('disk that the catalogue needs is not taken', async (context) => {
  const { spool, names } = await start(context, { bytesMax: 1000, reserveBytes: Number.MAX_SAFE_INTEGER });
  await assert.rejects(spool.receive('a', Readable.from([Buffer.alloc(10)])), { code: 'DISK_FULL' });
  assert.deepEqual(await names(), []);
});

async function start(context: TestContext, options: { readonly bytesMax: number; readonly reserveBytes?: number }) {
  const parent = await mkdtemp(join(tmpdir(), 'likeness-spool-'));
  context.after(() => rm(parent, { recursive: true, force: true }));
  const folder = join(parent, 'imports');
  return {
    spool: new ArchiveSpool({ folder, reserveBytes: 0, bytesPerSecondMin: 1000, windowMs: 60_000, ...options }),
    folder,
    names: async () => (await readdir(folder)).sort(),
  };
}
