import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeAtomically, writeAtomicallySync } from '../src/atomic-write.js';

test('a file is replaced in one step, and a failed write leaves the former file and nothing else', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'likeness-atomic-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file.txt');
  await writeAtomically(path, 'first');
  await writeAtomically(path, async (file) => {
    await file.writeFile('sec');
    assert.equal(readFileSync(path, 'utf8'), 'first');
    await file.writeFile('ond');
  });
  assert.equal(readFileSync(path, 'utf8'), 'second');
  const fault = new Error('the content cannot be made');
  await assert.rejects(
    writeAtomically(path, async (file) => {
      await file.writeFile('half');
      throw fault;
    }),
    fault,
  );
  assert.throws(() =>
    writeAtomicallySync(path, 'third', {
      beforeRename: () => {
        throw fault;
      },
    }),
  );
  assert.equal(readFileSync(path, 'utf8'), 'second');
  writeAtomicallySync(path, new Uint8Array([51, 51]));
  assert.equal(readFileSync(path, 'utf8'), '33');
  assert.deepEqual(readdirSync(folder), ['file.txt']);
  await assert.rejects(writeAtomically(join(folder, 'missing', 'file.txt'), ''), { code: 'ENOENT' });
});
