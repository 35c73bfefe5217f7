import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SearchAnswer } from '../../src/server/schemas.js';
import { assertSchema, form, picture, startApplication } from './application.js';

test('a picture just stored is found by the very next search, itself first', async (context) => {
  const { app } = await startApplication(context);
  for (let seed = 1; seed <= 5; seed++) {
    const stored = await app.inject({
      method: 'POST',
      url: `/index?id=picture-${seed}`,
      payload: await picture(seed),
      headers: { 'content-type': 'image/png' },
    });
    assert.equal(stored.statusCode, 201, stored.body);
    const response = await app.inject({
      method: 'POST',
      url: '/search?k=3',
      ...form({ name: 'image', fileName: 'query.jpg', content: await picture(seed, 'jpeg') }),
    });
    assert.equal(response.statusCode, 200, response.body);
    assertSchema(SearchAnswer, response.body);
    const { results } = response.json() as { results: { id: string; score: number }[] };
    assert.equal(results[0]?.id, `picture-${seed}`);
    assert.ok(results[0].score > 0.99);
    assert.equal(results.length, Math.min(seed, 3));
  }
});
