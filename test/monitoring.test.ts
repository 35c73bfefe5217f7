/** Dashboard and alerts ask only for metrics that the service has. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { createMonitoring, type WatchedParts } from '../src/server/monitoring.js';
import { SETTINGS } from '../src/settings.js';
import { REPOSITORY } from './service-process.js';

const dashboard = readFileSync(join(REPOSITORY, 'docs/monitoring/grafana/dashboards/likeness.json'), 'utf8');
const alerts = readFileSync(join(REPOSITORY, 'docs/monitoring/alerts.yml'), 'utf8');

test('every metric in the dashboard and the alerts is one that the service prints', async () => {
  const monitoring = createMonitoring();
  monitoring.watch(parts);
  const names = new Set((await monitoring.registry.getMetricsAsJSON()).map(({ name }) => name));
  const expressions: unknown[] = [];
  JSON.parse(dashboard, (key, value) => {
    if (key === 'expr') expressions.push(value);
    return value;
  });
  for (const group of parse(alerts).groups) for (const rule of group.rules) expressions.push(rule.expr);
  assert.ok(expressions.length > 15);
  for (const expression of expressions) {
    const used = String(expression).match(/\b(?:likeness|nodejs|process)_\w+/g) ?? [];
    for (const name of used)
      assert.ok(
        names.has(name.replace(/_(bucket|sum|count)$/, '')) || names.has(name),
        `${name} in ${String(expression)}`,
      );
  }
});

/** Threads of a decoder process, as seen on machines of many processors, and of the service without its decoders. */
const DECODER_THREADS_MAX = 13;
const SERVICE_THREADS_MAX = 100;

test('the compose file starts the service, Prometheus and Grafana, the service without privileges', () => {
  const { services } = parse(readFileSync(join(REPOSITORY, 'docker-compose.yml'), 'utf8'));
  assert.deepEqual(Object.keys(services), ['likeness', 'prometheus', 'grafana']);
  assert.equal(services.likeness.read_only, true);
  assert.deepEqual(services.likeness.cap_drop, ['ALL']);
  assert.ok(SETTINGS.decoders.default <= 8, 'however many processors there are');
  assert.ok(services.likeness.pids_limit >= SERVICE_THREADS_MAX + 8 * DECODER_THREADS_MAX, 'pids_limit counts threads');
  for (const { image } of [services.prometheus, services.grafana])
    assert.match(image, /^[a-z]+\/[a-z]+:v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$/);
  const { environment } = services.grafana;
  assert.equal(environment.GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION, 'true', 'no admin with the password admin');
  assert.equal(environment.GF_AUTH_ANONYMOUS_ORG_ROLE, 'Viewer');
});

const idle = { queued: 0, active: 0 };
const parts: WatchedParts = {
  decoder: { statistics: { ...idle, restarts: 0 } } as WatchedParts['decoder'],
  encoder: {
    statistics: idle,
    description: {
      name: 'none',
      id: '0',
      dimensions: 2,
      device: 'cpu',
      runtime: 'none',
      preprocessing: { width: 1, height: 1, fit: 'cover', mean: [0, 0, 0], scale: [1, 1, 1], layout: 'NCHW' },
    },
  } as unknown as WatchedParts['encoder'],
  catalogue: {
    statistics: async () => ({ collections: [], lastSequence: 0, databaseBytes: 0, walBytes: 0, queued: 0 }),
  },
  imagesInFlight: { held: 0 } as WatchedParts['imagesInFlight'],
  readsInFlight: { held: 0 },
  responseMemory: { held: 0 },
  urlFetchesActive: () => 0,
  imports: { running: 0, listeners: 0 },
  uploadMemory: { held: 0 } as WatchedParts['uploadMemory'],
  requestsInFlight: () => 0,
  version: '0',
};
