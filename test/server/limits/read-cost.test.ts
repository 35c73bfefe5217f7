/** Costs in slots of the read queue: a plain search is 1. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imagesOf, listCost, quotaOf, searchCost } from '../../../src/server/limits/read-cost.js';
import { parseSearch } from '../../../src/server/search/search-request.js';

test('a search costs what it ranks and returns, once for each view and for the expanded query', () => {
  const cost = (options: Parameters<typeof parseSearch>[0]): number => searchCost(parseSearch(options));
  assert.equal(cost({}), 1);
  assert.equal(cost({ k: 50 }), 1);
  assert.equal(cost({ k: 51 }), 2);
  assert.equal(cost({ k: 50, cursor: 'after-100' }), 3, 'what stands before the page is ranked too');
  assert.equal(cost({ views: 'mirror' }), 3);
  assert.equal(cost({ views: 'mirror,turn' }), 8);
  assert.equal(cost({ expand: 2 }), 2);
  assert.equal(cost({ exact: true }), 4);
  assert.equal(cost({ include: 'vector' }), 2);
  assert.equal(cost({ k: 1000, exact: true, include: 'vector' }), 32, 'the dearest runs alone');
});

test('pictures that a search decodes count as images of the quota, and so does a dear read', () => {
  assert.equal(imagesOf(parseSearch({ id: 'a' })), 0);
  assert.equal(imagesOf(parseSearch({ id: 'a', crop: '0,0,1,0.5' })), 1);
  assert.equal(imagesOf(parseSearch({ id: 'a', k: 20, include: 'regions' })), 20);
  assert.equal(quotaOf(parseSearch({ id: 'a' })), 0.1);
  assert.equal(quotaOf(parseSearch({ id: 'a', k: 1000, exact: true, include: 'vector' })), 3.2);
});

test('a page costs by its records, four times as much where a filter examines more than it returns', () => {
  assert.equal(listCost({ limit: 50, hasFilter: false }), 1);
  assert.equal(listCost({ limit: 1000, hasFilter: false }), 20);
  assert.equal(listCost({ limit: 100, hasFilter: true }), 8);
  assert.equal(listCost({ limit: 1000, hasFilter: true }), 32);
});
