import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { ERROR_TABLE, type ErrorCode, SearchError } from '../../src/errors.js';
import { errorsDocument, toSearchError } from '../../src/server/error-answers.js';
import { generateOpenApiDocument } from '../../src/server/generate-openapi.js';
import { buildMetricsApp } from '../../src/server/metrics-app.js';
import { API_KEYS, assertError, eventually, KEYS, picture, raw, startApplication } from './application.js';
import { resolvedReferences } from './resolved-references.js';

const root = new URL('../../../', import.meta.url);
const documentOf = (path: string): string => readFileSync(new URL(path, root), 'utf8');

test('openapi.yaml is what the routes say (npx tsc && node dist/src/cli.js docs writes it)', async () => {
  assert.equal(documentOf('openapi.yaml'), await generateOpenApiDocument());
});

test('openapi.yaml names its types, refers only to what it holds, and is under 2,600 lines', async () => {
  const text = await generateOpenApiDocument();
  assert.ok(text.split('\n').length < 2600);
  const document = parse(text) as { readonly paths: object; readonly components: { readonly schemas: object } };
  resolvedReferences(document);
  const { schemas } = document.components;
  for (const [name, schema] of Object.entries(schemas))
    assert.ok(text.includes(`#/components/schemas/${name}"`) && typeof schema === 'object', name);
  const inline = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods as { readonly [method: string]: { readonly responses: object } }).flatMap(
      ([method, { responses }]) =>
        /"application\/json":\{"schema":\{"type"/.test(JSON.stringify(responses)) ? [`${method} ${path}`] : [],
    ),
  );
  assert.deepEqual(inline, [], 'every JSON response has a named type');
});

test('docs/errors.md is what the table says', () => {
  assert.equal(documentOf('docs/errors.md'), errorsDocument());
});

test('docs/api.md names every route, and no other', async () => {
  const { paths } = parse(await generateOpenApiDocument()) as { paths: Record<string, Record<string, unknown>> };
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
  );
  const named = [...documentOf('docs/api.md').matchAll(/^#+ `((?:GET|POST|PATCH|DELETE) [^`]+)`/gm)].map(
    (match) => match[1]!,
  );
  assert.deepEqual(named.toSorted(), routes.toSorted());
});

test('every error code answers with its status and the one shape; of our own faults no detail is shown', async (context) => {
  const server = await startApplication(context);
  for (const code of Object.keys(ERROR_TABLE) as ErrorCode[]) {
    if (code === 'OVERLOADED') continue; // said by admission alone; of the encoder it would be a bug
    const { httpStatus } = ERROR_TABLE[code];
    server.encoder.fail = new SearchError(code, 'detail: /var/lib/secret.sqlite', {
      cause: new Error('SQLITE_IOERR'),
      retryAfterSeconds: 2.5,
    });
    const response = await server.ask({ method: 'POST', url: '/search', ...raw(await picture(1)) });
    assertError(response, { status: httpStatus, code });
    assert.equal(response.headers['retry-after'], '3');
    assert.equal(response.body.includes('secret.sqlite'), httpStatus < 500, code);
    assert.ok(!response.body.includes('SQLITE') && !response.body.includes('stack'));
  }
  server.encoder.fail = new TypeError('x is not a function of /srv/secret.js');
  const response = await server.ask({ method: 'POST', url: '/search', ...raw(await picture(1)) });
  assertError(response, { status: 500, code: 'INTERNAL' });
  assert.doesNotMatch(response.body, /secret/);
  const requestId = String(response.headers['x-request-id']);
  await eventually(() => server.log.some((line) => line.includes('x is not a function') && line.includes(requestId)));
  assert.equal(toSearchError('a thrown string').code, 'INTERNAL');
});

test('security headers stand on every answer, and the documentation page works under its policy', async (context) => {
  const server = await startApplication(context);
  for (const url of ['/', '/livez', '/images', '/nowhere', '/metrics', '/openapi.yaml', '/docs/', '/docs/json']) {
    const { headers } = await server.ask({ url });
    assert.equal(headers['x-content-type-options'], 'nosniff', url);
    assert.match(String(headers['content-security-policy']), /^default-src 'none'/, url);
    assert.doesNotMatch(String(headers['content-security-policy']), /unsafe|https?:|\*/, url);
    assert.match(String(headers['content-security-policy']), /frame-ancestors 'none'/, url);
    assert.ok(headers['x-request-id']);
    assert.equal(headers['access-control-allow-origin'], undefined);
  }
  const page = await server.ask({ url: '/docs/' });
  assert.equal(page.statusCode, 200);
  assert.doesNotMatch(page.body, /<script(?![^>]*\ssrc=)[^>]*>\s*\S|<style|\son\w+=/, 'nothing inline');
  const files = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!);
  assert.ok(files.length >= 4);
  for (const file of files) {
    const { statusCode } = await server.app.inject({ url: new URL(file, 'http://localhost/docs/').pathname });
    assert.equal(statusCode, 200, file);
  }
  const description = await server.ask({ url: '/openapi.yaml' });
  assert.equal(description.headers['content-type'], 'application/yaml; charset=utf-8');
  assert.equal((parse(description.body) as { openapi: string }).openapi, '3.1.0');
  const welcome = (await server.ask({ url: '/' })).json() as { name: string };
  assert.equal(welcome.name, 'likeness');
});

test('metrics move to a port of their own where one is set, which serves nothing else and asks for no key', async (context) => {
  const server = await startApplication(context, { metricsPort: 9, apiKeys: API_KEYS });
  assertError(await server.app.inject({ url: '/metrics', headers: { 'x-api-key': KEYS.admin } }), {
    status: 404,
    code: 'NOT_FOUND',
  });
  assert.equal(server.settings.metricsHost, '127.0.0.1', 'it asks for no key, so --host does not open it');
  const metrics = await buildMetricsApp({ monitoring: server.monitoring, settings: server.settings });
  context.after(() => metrics.close());
  const response = await metrics.inject({ url: '/metrics' });
  assert.equal(response.statusCode, 200);
  assert.match(response.body, /likeness_build_info/);
  for (const url of ['/', '/images', '/readyz'])
    assertError(await metrics.inject({ url }), { status: 404, code: 'NOT_FOUND' });
});
