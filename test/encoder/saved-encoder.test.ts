import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { encoderId, nameEncoders, readSavedEncoder, writeSavedEncoder } from '../../src/encoder/saved-encoder.js';
import { SearchError } from '../../src/errors.js';
import { firstPixels } from './programs.js';

async function inFolder(check: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-saved-'));
  try {
    await check(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const { manifest, onnx } = firstPixels(16);
const write = (folder: string, replace = false, name = 'test') =>
  writeSavedEncoder({ folder, manifest: { ...manifest, name }, onnx, card: '# test\n', replace });
const invalid = (message: RegExp) => (error: unknown) =>
  error instanceof SearchError && error.code === 'INVALID_ENCODER' && message.test(error.message);

test('what is written reads back, with an id that the program and the preprocessing decide', () =>
  inFolder(async (root) => {
    const folder = join(root, 'models', 'small');
    const written = await write(folder);
    const read = await readSavedEncoder(folder);
    assert.deepEqual(read.manifest, written.manifest);
    assert.deepEqual(new Uint8Array(read.onnx), new Uint8Array(onnx));
    assert.equal(read.manifest.id, encoderId(onnx, manifest.preprocessing));
    assert.deepEqual((await readdir(folder)).sort(), ['README.md', 'encoder.json', 'encoder.onnx']);
    assert.deepEqual(await readdir(join(root, 'models')), ['small'], 'nothing is left beside it');
    assert.notEqual(encoderId(onnx, { ...manifest.preprocessing, fit: 'contain' }), read.manifest.id);
    const { mean, layout, width, height, fit, scale } = manifest.preprocessing;
    assert.equal(
      encoderId(onnx, { scale, fit, layout, mean, height, width }),
      read.manifest.id,
      'the order of keys does not matter',
    );
  }));

test('an existing folder is replaced only where that was asked for', () =>
  inFolder(async (root) => {
    const folder = join(root, 'small');
    await write(folder);
    await assert.rejects(
      write(folder, false, 'other'),
      (error: unknown) => error instanceof SearchError && error.code === 'INVALID_SETTINGS',
    );
    assert.equal((await readSavedEncoder(folder)).manifest.name, 'test');
    await write(folder, true, 'other');
    assert.equal((await readSavedEncoder(folder)).manifest.name, 'other');
    assert.deepEqual(await readdir(root), ['small']);
  }));

test('any flipped byte of the program and any edited preprocessing is found', () =>
  inFolder(async (root) => {
    const folder = join(root, 'small');
    await write(folder);
    for (let at = 0; at < onnx.length; at += 97) {
      const damaged = Buffer.from(onnx);
      damaged[at] = damaged[at]! ^ 1;
      await writeFile(join(folder, 'encoder.onnx'), damaged);
      await assert.rejects(
        readSavedEncoder(folder),
        invalid(/encoder\.onnx is not the program that encoder\.json was written for/),
        `byte ${at}`,
      );
    }
    await writeFile(join(folder, 'encoder.onnx'), onnx);
    const text = await readFile(join(folder, 'encoder.json'), 'utf8');
    await writeFile(join(folder, 'encoder.json'), text.replace('"cover"', '"contain"'));
    await assert.rejects(readSavedEncoder(folder), invalid(/its preprocessing was edited/));
  }));

test('a manifest that is missing, no JSON, incomplete or of another version is refused by name', () =>
  inFolder(async (root) => {
    const folder = join(root, 'small');
    await assert.rejects(
      readSavedEncoder(folder),
      invalid(/encoder\.json cannot be read\. Give the folder of a saved encoder/),
    );
    await mkdir(folder);
    const path = join(folder, 'encoder.json');
    const refuse = async (text: string, message: RegExp) => {
      await writeFile(path, text);
      await assert.rejects(readSavedEncoder(folder), invalid(message), text);
    };
    await refuse('{', /encoder\.json is not JSON/);
    await refuse('{}', /not a manifest of version 1/);
    await refuse(JSON.stringify({ ...manifest, formatVersion: 2 }), /formatVersion/);
    await refuse(JSON.stringify({ ...manifest, dimensions: 0 }), /dimensions/);
    await refuse(JSON.stringify({ ...manifest, surprise: 1 }), /additional/i);
    await refuse(
      JSON.stringify({ ...manifest, preprocessing: { ...manifest.preprocessing, fit: 'squash' } }),
      /preprocessing\/fit/,
    );
    await refuse(JSON.stringify(manifest), /encoder\.onnx cannot be read/);
  }));

test('messages name encoders, with the flag that opens them, where they lie beside the model', () =>
  inFolder(async (root) => {
    const model = join(root, 'small');
    await write(model);
    const other = firstPixels(8);
    const saved = { folder: join(root, 'other'), manifest: { ...other.manifest, name: 'other' }, onnx: other.onnx };
    const { id } = (await writeSavedEncoder({ ...saved, card: '# other\n' })).manifest;
    await mkdir(join(root, 'broken'));
    const unknown = 'f'.repeat(64);
    assert.equal(
      await nameEncoders(`made with ${id}, not ${unknown}`, model),
      `made with other (--model ${join(root, 'other')}), not ffffffffffff...`,
    );
  }));
