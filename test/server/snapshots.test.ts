import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkCatalogue } from '../../src/catalogue/snapshots/check.js';
import { restoreSnapshot } from '../../src/catalogue/snapshots/restore.js';
import { API_KEYS, assertError, KEYS, picture, raw, startApplication } from './application.js';

const admin = { 'x-api-key': KEYS.admin };

test('a snapshot is made, listed, downloaded, restored and removed', async (context) => {
  const server = await startApplication(context, { apiKeys: API_KEYS });
  for (let seed = 0; seed < 3; seed++) {
    const body = raw(await picture(seed));
    const added = await server.ask({ method: 'POST', url: '/index', ...body, headers: { ...body.headers, ...admin } });
    assert.equal(added.statusCode, 201, added.body);
  }
  assert.deepEqual((await server.ask({ url: '/snapshots', headers: admin })).json(), { snapshots: [] });
  const [made, refused] = await Promise.all([
    server.ask({ method: 'POST', url: '/snapshots', headers: admin }),
    server.ask({ method: 'POST', url: '/snapshots', headers: admin }),
  ]);
  assert.equal(made.statusCode, 201, made.body);
  assertError(refused, { status: 409, code: 'SNAPSHOT_IN_PROGRESS' });
  const facts = made.json() as { name: string; bytes: number; created: string };
  const { id: encoderId, dimensions } = server.encoder.description;
  const { name, bytes, created } = facts;
  const collections = [{ name: 'default', images: 3 }];
  assert.deepEqual(facts, {
    name,
    bytes,
    whole: true,
    created,
    encoderId,
    dimensions,
    lastSequence: 3,
    images: 3,
    collections,
  });
  assert.equal(made.headers.location, `/snapshots/${name}`);
  assert.deepEqual((await server.ask({ url: '/snapshots', headers: admin })).json(), { snapshots: [facts] });

  const file = await server.ask({ url: `/snapshots/${name}`, headers: admin });
  assert.equal(file.headers['content-type'], 'application/x-tar');
  assert.equal(file.headers['content-disposition'], `attachment; filename="${name}.tar"`);
  assert.equal(Number(file.headers['content-length']), bytes);
  assert.equal(file.rawPayload.length, bytes);
  const folder = await mkdtemp(join(tmpdir(), 'likeness-restore-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'snapshot.tar'), file.rawPayload);
  await restoreSnapshot({ file: join(folder, 'snapshot.tar'), folder: join(folder, 'data'), maxBytes: 2 ** 30 });
  const { ok, lastSequence } = checkCatalogue(join(folder, 'data'), { deep: true });
  assert.deepEqual({ ok, lastSequence }, { ok: true, lastSequence: 3 });

  assert.equal((await server.ask({ method: 'DELETE', url: `/snapshots/${name}`, headers: admin })).statusCode, 204);
  assert.deepEqual((await server.ask({ url: '/snapshots', headers: admin })).json(), { snapshots: [] });
});

test('a name that no snapshot has is 404, whatever it points at', async (context) => {
  const server = await startApplication(context);
  for (const name of ['20260101T000000000Z', '..%2F..%2Fcatalogue.db', '%2Fetc%2Fpasswd', 'copy.tmp', 'x'.repeat(64)]) {
    for (const method of ['GET', 'DELETE'] as const) {
      assertError(await server.ask({ method, url: `/snapshots/${name}` }), { status: 404, code: 'NOT_FOUND' });
    }
  }
});
