import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib';
import { API_KEYS, startApplication } from './application.js';

test('the embeddable search box is one classic script, open to pages of other origins, and small', async (context) => {
  const { app } = await startApplication(context, { apiKeys: API_KEYS });
  const script = await app.inject({ url: '/likeness-search.js' });
  assert.equal(script.statusCode, 200, 'npm run build makes it');
  assert.match(String(script.headers['content-type']), /^text\/javascript/);
  assert.equal(script.headers['cross-origin-resource-policy'], 'cross-origin');
  assert.doesNotMatch(script.body, /^\s*(?:import|export)\b/m, 'a module of another origin would need CORS');
  assert.match(script.body, /customElements\.define/);
  const bytes = gzipSync(script.body).length;
  assert.ok(bytes < 15_000, `${bytes} bytes compressed`);
  for (const [accepted, encoding, unpack] of [
    ['gzip, deflate, br', 'br', brotliDecompressSync],
    ['gzip, br;q=0', 'gzip', gunzipSync],
    ['identity', undefined, (packed: Buffer) => packed],
  ] as const) {
    const sent = await app.inject({ url: '/likeness-search.js', headers: { 'accept-encoding': accepted } });
    assert.deepEqual([sent.headers['content-encoding'], sent.headers.vary], [encoding, 'accept-encoding'], accepted);
    assert.equal(unpack(sent.rawPayload).toString(), script.body);
  }
  const again = await app.inject({
    url: '/likeness-search.js',
    headers: { 'if-none-match': String(script.headers.etag) },
  });
  assert.deepEqual([again.statusCode, again.body], [304, '']);
});
