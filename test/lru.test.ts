import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LruMap } from '../src/lru.js';

test('the least recently used entry is evicted, and told', () => {
  const evicted: string[] = [];
  const map = new LruMap<string, number>(2, (key, value) => evicted.push(`${key}${value}`));
  map.set('a', 1);
  map.set('b', 2);
  assert.equal(map.get('a'), 1);
  map.set('c', 3);
  assert.deepEqual([...map.keys()], ['a', 'c']);
  assert.equal(map.peek('a'), 1);
  map.set('a', 4);
  assert.deepEqual([...map.values()], [3, 4]);
  map.evictOldest();
  assert.deepEqual(evicted, ['b2', 'c3']);
  assert.ok(map.delete('a'));
  assert.equal(map.size, 0);
  assert.equal(map.get('a'), undefined);
});
