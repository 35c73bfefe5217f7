import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatAddress,
  type PageAddress,
  parseAddress,
  START,
  searchFor,
  searchKey,
  withExample,
  withoutExample,
} from '../../src/page/state/query/page-address.js';

/** The address after a reload. */
const reloaded = (address: PageAddress): PageAddress => parseAddress(formatAddress(address).replace(/^\.\//, ''));

const FULL: PageAddress = {
  page: 'search',
  collection: 'shop.2026',
  like: [
    { kind: 'url', url: 'https://example.org/a?b=c&d=e#f' },
    { kind: 'stored', id: 'a/b & c=ü+1' },
    { kind: 'local', key: '0123456789abcdef' },
  ],
  unlike: [
    { kind: 'local', key: 'fedcba9876543210' },
    { kind: 'stored', id: '?' },
  ],
  crop: { x: 0.25, y: 0, width: 0.5, height: 0.125 },
  minScore: -0.5,
  k: 100,
  filter: '{"field":"tag","in":["red","50 % & more"]}',
  fold: true,
  mirror: true,
  turn: true,
  open: 'x y',
  comparison: 'flicker',
};

test('every part of the state survives a reload, examples in order', () => {
  assert.deepEqual(reloaded(FULL), FULL);
  assert.deepEqual(reloaded(START), START);
  for (const [name, value] of Object.entries(FULL)) {
    const one = { ...START, [name]: value } as PageAddress;
    assert.deepEqual(reloaded(one), one, name);
  }
});

test('an address omits defaults', () => {
  assert.equal(formatAddress(START), './');
  assert.equal(
    formatAddress({ ...START, like: [{ kind: 'stored', id: 'clothing/dress/1.jpg' }] }),
    './?id=clothing/dress/1.jpg',
  );
  assert.equal(formatAddress({ ...START, page: 'map', collection: 'b' }), './?page=map&collection=b');
});

test('links written by hand with ?url= and ?id= work as in the API', () => {
  assert.deepEqual(parseAddress('?url=https%3A%2F%2Fexample.org%2Fa.jpg').like, [
    { kind: 'url', url: 'https://example.org/a.jpg' },
  ]);
  assert.deepEqual(parseAddress('?id=a&id=b&notId=c').like.length, 2);
});

test('invalid parameters are ignored', () => {
  const wrong = parseAddress('?page=admin&k=1e9&min=7&crop=0,0,2,1&views=spin&fold=yes&view=x&id=&collection=&filter=');
  assert.deepEqual(wrong, START);
  for (const crop of ['', '1,2', 'a,b,c,d', '0,0,0,1', '0.5,0,0.6,1', '-0.1,0,0.5,1', 'NaN,0,1,1']) {
    assert.equal(parseAddress(`?crop=${crop}`).crop, undefined, crop);
  }
});

test('an example is positive or negative, never both; a crop belongs to a single picture', () => {
  const id = { kind: 'stored', id: 'a' } as const;
  const other = { kind: 'stored', id: 'b' } as const;
  const crop = { x: 0, y: 0, width: 0.5, height: 0.5 };
  const one: PageAddress = { ...START, like: [id], crop };
  assert.deepEqual(withExample(one, 'unlike', other), { ...one, unlike: [other] });
  const two = withExample(one, 'like', other);
  assert.deepEqual([two.like, two.crop], [[id, other], undefined]);
  assert.deepEqual(withExample(two, 'unlike', other), { ...two, like: [id], unlike: [other] });
  assert.deepEqual(withExample(two, 'like', other).like, [id, other]);
  assert.deepEqual(withoutExample(one, id), { ...one, like: [], crop: undefined });
  assert.deepEqual(searchFor({ ...FULL, fold: true }, id), {
    ...FULL,
    like: [id],
    unlike: [],
    crop: undefined,
    open: undefined,
  });
});

test('opening a result is not a new search', () => {
  assert.equal(searchKey({ ...FULL, open: 'other', comparison: 'side' }), searchKey(FULL));
  assert.notEqual(searchKey({ ...FULL, minScore: 0 }), searchKey(FULL));
});
