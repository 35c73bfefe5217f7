import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliDecompressSync } from 'node:zlib';
import { API_KEYS, startApplication } from './application.js';

const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
/** The page's own script, compressed as it is sent (issue 4). */
const MAX_SCRIPT_BYTES = 150_000;
const notBuilt = 'dist/page is missing: npm run build';

/** Addresses of the page's own files, as the page names them. */
const filesOf = (html: string): readonly string[] =>
  [...html.matchAll(/(?:src|href)="\.(\/assets\/[^"]+)"/g)].map((match) => match[1]!);

test('a browser gets the page, programs get JSON as ever, with keys or without', async (context) => {
  for (const flags of [{}, { apiKeys: API_KEYS }]) {
    const { app, ask } = await startApplication(context, flags);
    const page = await app.inject({ url: '/?id=cat-1', headers: BROWSER });
    assert.match(String(page.headers['content-type']), /^text\/html/, notBuilt);
    assert.match(page.body, /<title>Likeness<\/title>/);
    assert.equal(page.headers.vary, 'accept');
    const again = await app.inject({ url: '/', headers: { ...BROWSER, 'if-none-match': String(page.headers.etag) } });
    assert.deepEqual([again.statusCode, again.body], [304, '']);
    for (const accept of [undefined, '*/*', 'application/json']) {
      const answer = await ask({ url: '/', headers: accept === undefined ? {} : { accept } });
      assert.equal((answer.json() as { name: string }).name, 'likeness');
      assert.equal(answer.headers.vary, 'accept');
    }
  }
});

test('the page is strict: nothing inline, nothing from elsewhere, its files kept for a year', async (context) => {
  const { app } = await startApplication(context, { apiKeys: API_KEYS });
  const page = await app.inject({ url: '/', headers: BROWSER });
  const policy = String(page.headers['content-security-policy']);
  assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/, notBuilt);
  assert.doesNotMatch(policy, /unsafe|https?:|\*|data:/);
  assert.doesNotMatch(page.body, /<script(?![^>]*\ssrc=)[^>]*>\s*\S|<style|\son\w+=|\sstyle=/, 'nothing inline');
  assert.doesNotMatch(page.body, /(?:src|href)="(?:https?:)?\/\//, 'nothing from elsewhere');
  const files = filesOf(page.body);
  assert.ok(files.length >= 2, page.body);
  for (const url of files) {
    const file = await app.inject({ url });
    assert.equal(file.statusCode, 200, url);
    assert.match(String(file.headers['cache-control']), /max-age=31536000, immutable/);
    assert.equal(file.headers['x-content-type-options'], 'nosniff');
  }
  for (const url of ['/assets/', '/assets/../index.html', '/assets/%2e%2e/index.html', '/assets/nothing.js']) {
    assert.equal((await app.inject({ url })).statusCode, 404, url);
  }
});

test('all scripts of the page together are under 150 kB as sent, and no source map is among its files', async (context) => {
  const { app } = await startApplication(context);
  const page = await app.inject({ url: '/', headers: BROWSER });
  const queue = filesOf(page.body).filter((url) => url.endsWith('.js'));
  assert.ok(queue.length > 0, notBuilt);
  const seen = new Set<string>();
  let bytes = 0;
  for (let url = queue.pop(); url !== undefined; url = queue.pop()) {
    if (seen.has(url)) continue;
    seen.add(url);
    const { rawPayload, headers } = await app.inject({ url, headers: { 'accept-encoding': 'br, gzip' } });
    assert.equal(headers['content-encoding'], 'br', url);
    bytes += rawPayload.length;
    const code = brotliDecompressSync(rawPayload).toString();
    assert.doesNotMatch(code, /sourceMappingURL/);
    // Chunks that are loaded later are named in the code of those before.
    for (const [, name] of code.matchAll(/["'`](?:\.\/|assets\/)([\w.-]+\.js)["'`]/g)) queue.push(`/assets/${name}`);
  }
  context.diagnostic(`${seen.size} scripts, ${bytes} bytes as brotli`);
  assert.ok(bytes < MAX_SCRIPT_BYTES, `${bytes} bytes`);
});
