import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { readSettings } from '../src/config.js';
import { flagOf, SETTINGS, type SettingName, variableOf } from '../src/settings.js';
import { settingsDocument } from '../src/settings-document.js';

const names = Object.keys(SETTINGS) as SettingName[];

test('without flags and variables every setting has its default', () => {
  const settings = readSettings({}, {});
  for (const name of names) assert.equal(settings[name], SETTINGS[name].default, name);
  assert.ok(Object.isFrozen(settings));
});

test('a flag wins over a variable, a variable over the default', () => {
  assert.equal(readSettings({}, { LIKENESS_PORT: '9000' }).port, 9000);
  assert.equal(readSettings({ port: '9001' }, { LIKENESS_PORT: '9000' }).port, 9001);
  assert.equal(readSettings({ keepOriginals: true }, {}).keepOriginals, true);
});

test('all faults are reported at once, unknown variables among them', () => {
  assert.throws(
    () => readSettings({ port: 'eighty' }, { LIKENESS_DEVICE: 'toaster', LIKENESS_POTR: '1', LIKENESS_HNSW_EF: '-3' }),
    (error: Error) =>
      ['--port=eighty', 'LIKENESS_DEVICE=toaster', 'LIKENESS_POTR', 'LIKENESS_HNSW_EF=-3'].every((part) => error.message.includes(part)),
  );
});

test('a header timeout that would switch the request timeout off is refused', () => {
  assert.throws(() => readSettings({ headersTimeoutMs: 30_000, requestTimeoutMs: 30_000 }, {}), /--headers-timeout-ms must be less/);
});

test('each whole number has a default within its limits', () => {
  for (const name of names) {
    const setting = SETTINGS[name];
    if (setting.kind === 'integer') assert.ok(setting.default >= setting.min && setting.default <= setting.max, name);
  }
});

test('flags and variables are distinct', () => {
  assert.equal(new Set(names.map(flagOf)).size, names.length);
  assert.equal(new Set(names.map(variableOf)).size, names.length);
});

test('docs/settings.md equals the table', () => {
  assert.equal(readFileSync('docs/settings.md', 'utf8'), settingsDocument());
});
