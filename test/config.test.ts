import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { METADATA_LIMITS } from '../src/catalogue/records/metadata.js';
import { readSettings } from '../src/config.js';
import { flagOf, SETTINGS, type SettingName, settingsDocument, variableOf } from '../src/settings.js';

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
      ['--port=eighty', 'LIKENESS_DEVICE=toaster', 'LIKENESS_POTR', 'LIKENESS_HNSW_EF=-3'].every((part) =>
        error.message.includes(part),
      ),
  );
});

test('a header timeout that would switch the request timeout off is refused', () => {
  assert.throws(
    () => readSettings({ headersTimeoutMs: 30_000, requestTimeoutMs: 30_000 }, {}),
    /--headers-timeout-ms must be less/,
  );
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

test('variables that Kubernetes and Docker set for a service named likeness are ignored with a warning', () => {
  const warnings: string[] = [];
  const links = {
    LIKENESS_PORT: 'tcp://10.96.12.7:8080',
    LIKENESS_SERVICE_HOST: '10.96.12.7',
    LIKENESS_SERVICE_PORT: '8080',
    LIKENESS_SERVICE_PORT_HTTP: '8080',
    LIKENESS_PORT_8080_TCP: 'tcp://10.96.12.7:8080',
    LIKENESS_PORT_8080_TCP_ADDR: '10.96.12.7',
    LIKENESS_METRICS_PORT: 'tcp://10.96.12.8:9090',
    LIKENESS_METRICS_SERVICE_HOST: '10.96.12.8',
  };
  const settings = readSettings({}, links, (warning) => warnings.push(warning));
  assert.deepEqual([settings.port, settings.metricsPort, warnings.length], [8080, 0, 1]);
  for (const name of Object.keys(links)) assert.ok(warnings[0]?.includes(name), name);
  assert.throws(() => readSettings({}, { LIKENESS_PORTS: '1' }), /LIKENESS_PORTS: no such setting/);
  assert.throws(() => readSettings({}, { LIKENESS_PORT: 'x' }), /LIKENESS_PORT=x/);
});

test('an encoder of the package is found from every working folder, and one of the working folder first', () => {
  const cwd = process.cwd();
  try {
    process.chdir('/');
    assert.ok(existsSync(join(readSettings({}, {}).model, 'encoder.json')));
    assert.equal(readSettings({ model: 'none/at-all' }, {}).model, 'none/at-all');
  } finally {
    process.chdir(cwd);
  }
});

test('no metadata that the settings allow is refused by the catalogue', () => {
  assert.equal(SETTINGS.maxMetadataBytes.max, METADATA_LIMITS.bytes);
});
