import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CROP_HANDLES,
  type CropGrip,
  cropOf,
  dragBox,
  keyStep,
  SIDE_MIN,
  WHOLE,
} from '../../src/page/state/query/crop-box.js';

test('however it is dragged, the box stays within the picture and keeps a least size', () => {
  let state = 7;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  let box = WHOLE;
  const grips: readonly CropGrip[] = [...CROP_HANDLES, 'move'];
  for (let turn = 0; turn < 5000; turn++) {
    const grip = grips[Math.floor(random() * grips.length)]!;
    box = dragBox(box, grip, { dx: random() * 3 - 1.5, dy: random() * 3 - 1.5 });
    assert.ok(
      box.x >= 0 && box.y >= 0 && box.x + box.width <= 1 + 1e-9 && box.y + box.height <= 1 + 1e-9,
      JSON.stringify(box),
    );
    assert.ok(box.width >= SIDE_MIN - 1e-9 && box.height >= SIDE_MIN - 1e-9, JSON.stringify(box));
    const crop = cropOf(box);
    if (crop !== undefined) assert.ok(crop.x + crop.width <= 1 && crop.y + crop.height <= 1, JSON.stringify(crop));
  }
});

test('a moved box keeps its size, a dragged corner leaves the opposite one where it is', () => {
  const box = { x: 0.25, y: 0.25, width: 0.5, height: 0.25 };
  assert.deepEqual(dragBox(box, 'move', { dx: 9, dy: -9 }), { ...box, x: 0.5, y: 0 });
  assert.deepEqual(dragBox(box, 'nw', { dx: -0.25, dy: 0.125 }), { x: 0, y: 0.375, width: 0.75, height: 0.125 });
  assert.deepEqual(dragBox(box, 'se', { dx: 0.125, dy: 0.25 }), { x: 0.25, y: 0.25, width: 0.625, height: 0.5 });
});

test('the whole picture is no crop; arrow keys move, with shift further', () => {
  assert.equal(cropOf(WHOLE), undefined);
  assert.deepEqual(cropOf({ x: 0, y: 0, width: 1, height: 0.5 }), { x: 0, y: 0, width: 1, height: 0.5 });
  assert.ok(keyStep('ArrowLeft', false)!.dx < 0 && keyStep('ArrowDown', true)!.dy > keyStep('ArrowDown', false)!.dy);
  assert.equal(keyStep('Enter', false), undefined);
});
