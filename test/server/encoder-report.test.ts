import assert from 'node:assert/strict';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createClient } from '../../src/client/client.js';
import { readSavedEncoder } from '../../src/encoder/saved-encoder.js';
import { readEncoderReport } from '../../src/server/encoder-report.js';
import { assertError, KEYS, startApplication } from './application.js';

const MODEL = fileURLToPath(new URL('../../../models/photos', import.meta.url));
const silent = (message: string): void => assert.fail(message);

async function shippedReport() {
  const { manifest } = await readSavedEncoder(MODEL);
  const report = await readEncoderReport(MODEL, manifest.id, silent);
  assert.ok(report, 'the default encoder ships with its report');
  return report;
}

async function temporaryFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-report-'));
  context.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('the report is served whole over a real connection, and its policy lets it load nothing and be nobody', async (context) => {
  const report = await shippedReport();
  const server = await startApplication(context, {}, { report });
  const { url } = await server.listen();
  const client = createClient({ url });
  assert.equal((await client.statistics()).report, '/encoder/report');
  assert.deepEqual(Buffer.from(await (await client.encoderReport()).arrayBuffer()), report.html);

  const answer = await fetch(`${url}/encoder/report`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-type'), 'text/html; charset=utf-8');
  const policy = answer.headers.get('content-security-policy')!.split('; ').toSorted().join('; ');
  assert.equal(
    policy,
    "base-uri 'none'; default-src 'none'; form-action 'none'; frame-ancestors 'none'; img-src data:; sandbox; style-src 'unsafe-inline'",
  );
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  // What the policy forbids the report must not need.
  const html = await answer.text();
  assert.doesNotMatch(html, /<script|<link|<iframe|<form|\son\w+=|url\((?!['"]?data:)/i);
  for (const [, source] of html.matchAll(/\b(?:src|href)="([^"]{1,40})/g)) assert.match(source!, /^(data:image\/|#)/);

  const again = await fetch(`${url}/encoder/report`, { headers: { 'if-none-match': answer.headers.get('etag')! } });
  assert.equal(again.status, 304);
  const page = await fetch(`${url}/stats`);
  assert.doesNotMatch(
    page.headers.get('content-security-policy')!,
    /unsafe|data:/,
    'other answers keep their own policy',
  );
});

test('an encoder without a report says so, and its numbers name none', async (context) => {
  const server = await startApplication(context);
  const { url } = await server.listen();
  assertError(await server.ask({ url: '/encoder/report' }), { status: 404, code: 'REPORT_MISSING' });
  await assert.rejects(createClient({ url }).encoderReport(), { code: 'REPORT_MISSING', httpStatus: 404 });
  assert.equal((await createClient({ url }).statistics()).report, null);
});

test('a key limited to collections neither gets the report, whose pictures may be of others, nor hears of it', async (context) => {
  const limited = 'limited-key-0123456789';
  const server = await startApplication(
    context,
    { apiKeys: `read:${KEYS.read},read@shop:${limited}` },
    { report: await shippedReport() },
  );
  const statistics = async (key: string) =>
    (await server.ask({ url: '/stats', headers: { 'x-api-key': key } })).json() as { report: unknown };
  assertError(await server.ask({ url: '/encoder/report', headers: { 'x-api-key': limited } }), {
    status: 403,
    code: 'FORBIDDEN',
  });
  assertError(await server.ask({ url: '/encoder/report' }), { status: 401, code: 'UNAUTHORISED' });
  assert.equal((await statistics(limited)).report, null);
  assert.equal((await statistics(KEYS.read)).report, '/encoder/report');
  assert.equal((await server.ask({ url: '/encoder/report', headers: { 'x-api-key': KEYS.read } })).statusCode, 200);
});

test('a report of another encoder or beyond all size is passed over with a warning, one that is missing without', async (context) => {
  const folder = await temporaryFolder(context);
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  assert.equal(await readEncoderReport(folder, 'abc', warn), undefined);
  assert.deepEqual(warnings, []);
  await writeFile(join(folder, 'report.html'), '<p>Encoder abc</p>');
  assert.equal((await readEncoderReport(folder, 'abc', warn))?.html.toString(), '<p>Encoder abc</p>');
  assert.equal(await readEncoderReport(folder, 'another', warn), undefined);
  await truncate(join(folder, 'report.html'), 33 * 1024 * 1024);
  assert.equal(await readEncoderReport(folder, 'abc', warn), undefined);
  assert.equal(warnings.length, 2);
  assert.match(warnings[0]!, /another encoder/);
  assert.match(warnings[1]!, /limit/);
});
