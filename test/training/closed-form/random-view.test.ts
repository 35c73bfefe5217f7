import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pixels } from '../../../src/images/pixels.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { randomView } from '../../../src/training/closed-form/random-view.js';
import { range, wavyPictures } from './closed-form-reference.js';

test('views keep the size, change with the generator and not without it', () => {
  const [picture] = wavyPictures(1, 16, 4) as [Pixels];
  const view = (seed: number) => randomView(picture, seededRandom(seed, 'view'), { frameProbability: 0 });
  assert.deepEqual(view(1), view(1));
  assert.notDeepEqual(view(1).rgb, view(2).rgb);
  assert.deepEqual([view(1).width, view(1).height, view(1).rgb.length], [16, 16, 768]);
  // Colours of one flat picture stay flat: a crop of it is it, in another light.
  const flat = randomView(
    { width: 4, height: 4, rgb: Uint8Array.from({ length: 48 }, (_, at) => [90, 120, 150][at % 3]!) },
    seededRandom(3, 'view'),
    { frameProbability: 0 },
  );
  for (let at = 3; at < 48; at++) assert.equal(flat.rgb[at], flat.rgb[at % 3]);
});

test('a frameProbability view has one colour all round and the same view inside, smaller', () => {
  const [picture] = wavyPictures(1, 48, 4) as [Pixels];
  for (let seed = 0; seed < 8; seed++) {
    const plain = randomView(picture, seededRandom(seed, 'view'), { frameProbability: 0 });
    const frameProbability = randomView(picture, seededRandom(seed, 'view'), { frameProbability: 1 });
    const colourAt = ({ rgb }: Pixels, x: number, y: number) =>
      String(rgb.subarray((y * 48 + x) * 3, (y * 48 + x) * 3 + 3));
    const edge = new Set(
      range(48).flatMap((at) => [
        colourAt(frameProbability, at, 0),
        colourAt(frameProbability, at, 47),
        colourAt(frameProbability, 0, at),
        colourAt(frameProbability, 47, at),
      ]),
    );
    assert.equal(edge.size, 1, `seed ${seed}`);
    // Every colour inside is one of the view's own.
    const own = new Set(range(48 * 48).map((at) => colourAt(plain, at % 48, Math.floor(at / 48))));
    for (let at = 5; at < 43; at++) assert.ok(own.has(colourAt(frameProbability, at, at)), `seed ${seed}, place ${at}`);
  }
});
