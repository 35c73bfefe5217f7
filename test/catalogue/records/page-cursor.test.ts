import assert from 'node:assert/strict';
import { it } from 'node:test';
import { PageCursors } from '../../../src/catalogue/records/page-cursor.js';

it('a cursor opens to its place under the secret that sealed it, and tells nothing else', () => {
  const [ours, again, other] = [new PageCursors('a'), new PageCursors('a'), new PageCursors('b')];
  const places = [0, 1, 2, 255, 2 ** 32 - 1, Number.MAX_SAFE_INTEGER];
  for (const place of places) {
    const cursor = ours.seal(place);
    assert.match(cursor, /^[A-Za-z0-9_-]{22}$/);
    assert.equal(again.open(cursor), place, 'a restart');
    assert.equal(other.open(cursor), undefined, 'another catalogue');
  }
  assert.equal(
    new Set(places.map((place) => ours.seal(place).slice(0, 4))).size,
    places.length,
    'neighbours do not look alike',
  );
  for (const cursor of ['', '1', '12345', 'x'.repeat(22), `${ours.seal(7)}AAAA`])
    assert.equal(ours.open(cursor), undefined, cursor);
});
