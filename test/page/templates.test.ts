import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { messagesFor } from '../../src/page/element/element-messages.js';
import { fillCaptionTemplate, fillLinkTemplate } from '../../src/page/element/templates.js';
import { REPOSITORY } from '../service-process.js';

const BASE = 'https://shop.example/search/';
const RESULT = {
  id: 'a/b c&d',
  fileName: null,
  score: 0.4271,
  metadata: { sku: 17, name: 'x"y', tags: ['p'], empty: null },
};
const filled = (template: string | null): string | undefined => fillLinkTemplate(template, RESULT, BASE);

test('placeholders of id and metadata are replaced, percent-encoded', () => {
  assert.equal(filled('/items/{id}'), 'https://shop.example/items/a%2Fb%20c%26d');
  assert.equal(
    filled('detail?sku={metadata.sku}&q={metadata.name}'),
    'https://shop.example/search/detail?sku=17&q=x%22y',
  );
  assert.equal(filled('https://other.example/{id}{id}'), 'https://other.example/a%2Fb%20c%26da%2Fb%20c%26d');
});

test('no link without a template or without a value', () => {
  for (const template of [null, '', '/{metadata.missing}', '/{metadata.tags}', '/{metadata.empty}'])
    assert.equal(filled(template), undefined);
});

test('links are http(s) only, whatever the result contains', () => {
  for (const template of ['javascript:alert(1)', 'data:text/html,{id}', 'file:///{id}', 'https://['])
    assert.equal(filled(template), undefined);
  const hostile = { ...RESULT, id: 'javascript:alert(1)' };
  assert.equal(fillLinkTemplate('{id}', hostile, BASE), 'https://shop.example/search/javascript%3Aalert(1)');
});

test('a caption takes what is there, and is absent where nothing is', () => {
  const caption = (template: string | null) => fillCaptionTemplate(template, RESULT);
  assert.equal(caption('{metadata.name}: {metadata.sku} € ({score})'), 'x"y: 17 € (0.43)');
  assert.equal(caption('{metadata.missing} {metadata.name}'), 'x"y');
  assert.equal(caption('From the shop'), 'From the shop');
  for (const template of [null, '', '{fileName}', '{metadata.missing} {metadata.tags}'])
    assert.equal(caption(template), undefined);
});

test('texts follow the primary language, English for unknown ones, and own texts win', () => {
  assert.equal(messagesFor('de-CH').choose, 'Bild auswählen');
  for (const language of ['', 'en-GB', 'xx', 'constructor'])
    assert.equal(messagesFor(language).choose, 'Choose a picture');
  const own = messagesFor('fr', { choose: 'Photo' });
  assert.deepEqual([own.choose, own.similar], ['Photo', 'Similaires']);
  const keys = Object.keys(messagesFor('en')).sort();
  for (const language of ['de', 'fr', 'es']) {
    assert.deepEqual(Object.keys(messagesFor(language)).sort(), keys, language);
    assert.match(messagesFor(language).results, /\{count\}/);
  }
});

const SCRIPT = join(REPOSITORY, 'dist', 'page', 'likeness-search.js.br');
test('docs/embedding.md states the size of the script and every text', {
  skip: !existsSync(SCRIPT) && 'the page is not built',
}, () => {
  const document = readFileSync(join(REPOSITORY, 'docs', 'embedding.md'), 'utf8');
  assert.equal(/about (\d+) kB \(Brotli\)/.exec(document)?.[1], String(Math.round(statSync(SCRIPT).size / 1000)));
  for (const name of Object.keys(messagesFor('en'))) assert.match(document, new RegExp(`\`${name}\``));
});
