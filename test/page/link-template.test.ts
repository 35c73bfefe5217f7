import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillLinkTemplate } from '../../src/page/element/link-template.js';

const BASE = 'https://shop.example/search/';
const RESULT = { id: 'a/b c&d', metadata: { sku: 17, name: 'x"y', tags: ['p'], empty: null } };
const filled = (template: string | null): string | undefined => fillLinkTemplate(template, RESULT, BASE);

test('id and metadata are filled in, percent-encoded', () => {
  assert.equal(filled('/items/{id}'), 'https://shop.example/items/a%2Fb%20c%26d');
  assert.equal(filled('detail?sku={metadata.sku}&q={metadata.name}'), 'https://shop.example/search/detail?sku=17&q=x%22y');
  assert.equal(filled('https://other.example/{id}{id}'), 'https://other.example/a%2Fb%20c%26da%2Fb%20c%26d');
});

test('without a template, or without the value it asks for, there is no link', () => {
  for (const template of [null, '', '/{metadata.missing}', '/{metadata.tags}', '/{metadata.empty}'])
    assert.equal(filled(template), undefined);
});

test('a template leads to web addresses only, whatever the result says', () => {
  for (const template of ['javascript:alert(1)', 'data:text/html,{id}', 'file:///{id}', 'https://['])
    assert.equal(filled(template), undefined);
  const hostile = { id: 'javascript:alert(1)', metadata: {} };
  assert.equal(fillLinkTemplate('{id}', hostile, BASE), 'https://shop.example/search/javascript%3Aalert(1)');
});
