/** Web pages of other origins, by configuration. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOrigins } from '../../src/server/cors.js';
import { API_KEYS, KEYS, startApplication } from './application.js';

const SHOP = 'https://shop.example';
const preflight = (origin: string) => ({
  method: 'OPTIONS' as const,
  url: '/search',
  headers: {
    origin,
    host: 'localhost',
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'x-api-key',
  },
});

test('by default no page of another origin is answered or told anything', async (context) => {
  const { app } = await startApplication(context);
  for (const request of [preflight(SHOP), { url: '/images', headers: { origin: SHOP, host: 'localhost' } }]) {
    const { statusCode, headers } = await app.inject(request);
    assert.ok(statusCode >= 400);
    assert.equal(headers['access-control-allow-origin'], undefined);
  }
});

test('pages of a named origin are let in, exactly those, with keys and without', async (context) => {
  for (const apiKeys of ['', API_KEYS]) {
    const { app } = await startApplication(context, { corsOrigins: `${SHOP}, http://localhost:3000`, apiKeys });
    const key: Record<string, string> = apiKeys === '' ? {} : { 'x-api-key': KEYS.read };
    const asked = await app.inject(preflight(SHOP));
    assert.equal(asked.statusCode, 204);
    assert.equal(asked.headers['access-control-allow-origin'], SHOP);
    assert.match(String(asked.headers['access-control-allow-methods']), /DELETE/);
    assert.match(String(asked.headers['access-control-allow-headers']), /x-api-key/);
    assert.equal(asked.headers['access-control-allow-credentials'], undefined);
    const answered = await app.inject({ url: '/images', headers: { origin: SHOP, host: 'localhost', ...key } });
    assert.equal(answered.statusCode, 200);
    assert.equal(answered.headers['access-control-allow-origin'], SHOP);
    assert.match(String(answered.headers['access-control-expose-headers']), /retry-after/);
    assert.match(String(answered.headers.vary), /origin/i);
    const refused = await app.inject({ url: '/images/none', headers: { origin: SHOP, host: 'localhost', ...key } });
    assert.deepEqual(
      [refused.statusCode, refused.headers['access-control-allow-origin']],
      [404, SHOP],
      'a page can read why it was refused',
    );
    for (const origin of [
      'https://evil.example',
      `${SHOP}.evil.example`,
      'http://shop.example',
      `${SHOP}:8443`,
      'null',
    ]) {
      const answers = [
        await app.inject(preflight(origin)),
        await app.inject({ url: '/images', headers: { origin, host: 'localhost', ...key } }),
      ];
      for (const { headers } of answers) assert.equal(headers['access-control-allow-origin'], undefined, origin);
      if (apiKeys === '') assert.equal(answers[1]?.statusCode, 403, origin);
    }
    if (apiKeys !== '')
      assert.equal(
        (await app.inject({ url: '/images', headers: { origin: SHOP, host: 'localhost' } })).statusCode,
        401,
      );
  }
});

test('all origins are let in with keys only, and what is no origin stops the start', async (context) => {
  const { app } = await startApplication(context, { corsOrigins: '*', apiKeys: API_KEYS });
  assert.equal((await app.inject(preflight('https://any.example'))).headers['access-control-allow-origin'], '*');
  for (const text of [
    'shop.example',
    `${SHOP}/`,
    `${SHOP}/a`,
    'https://*.example',
    'null',
    `*,${SHOP}`,
    'ftp://a',
    `${SHOP},`,
  ]) {
    assert.throws(() => parseOrigins(text, true), { code: 'INVALID_SETTINGS' }, text);
  }
  assert.throws(() => parseOrigins('*', false), { code: 'INVALID_SETTINGS' });
  assert.deepEqual(parseOrigins('', false), []);
});
