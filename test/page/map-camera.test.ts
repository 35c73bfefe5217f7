import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  fitMap,
  type MapPoint,
  pan,
  pointAt,
  pointsInside,
  toMap,
  toScreen,
  zoomAt,
} from '../../src/page/state/map/map-camera.js';

const POINTS: readonly MapPoint[] = [
  { id: 'north-west', x: 0, y: 0 },
  { id: 'middle', x: 0.5, y: 0.5 },
  { id: 'south-east', x: 1, y: 1 },
];
const near = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);

test('the whole map fits, in the middle, whatever the shape of the screen', () => {
  for (const size of [
    { width: 800, height: 600 },
    { width: 300, height: 900 },
    { width: 20, height: 20 },
  ]) {
    const camera = fitMap(size);
    const middle = toScreen(camera, POINTS[1]!);
    near(middle.x, size.width / 2);
    near(middle.y, size.height / 2);
  }
});

test('what is under the pointer stays there while zooming, in bounds, and there and back is where one was', () => {
  const fitted = fitMap({ width: 800, height: 600 });
  let camera = fitted;
  const at = { x: 123, y: 456 };
  const held = toMap(camera, at);
  for (const factor of [1.5, 3, 0.2, 1000, 0.0001]) {
    camera = zoomAt(pan(camera, 5, -7), { x: at.x + 5, y: at.y - 7 }, factor, fitted.scale);
    camera = pan(camera, -5, 7);
    const place = toScreen(camera, held);
    near(place.x, at.x);
    near(place.y, at.y);
    assert.ok(camera.scale <= fitted.scale * 60 && camera.scale >= fitted.scale * 0.6);
  }
});

test('the nearest picture within the radius is found, and none beyond', () => {
  const camera = fitMap({ width: 800, height: 600 });
  const middle = toScreen(camera, POINTS[1]!);
  assert.equal(pointAt(POINTS, camera, { x: middle.x + 10, y: middle.y }, 12)?.id, 'middle');
  assert.equal(pointAt(POINTS, camera, { x: middle.x + 13, y: middle.y }, 12), undefined);
});

test('a lasso contains what is inside it, except for hollows', () => {
  const camera = { x: 0, y: 0, scale: 100 };
  const loop = (...places: readonly (readonly [number, number])[]) => places.map(([x, y]) => ({ x, y }));
  assert.deepEqual(
    pointsInside(POINTS, camera, loop([-10, -10], [60, -10], [60, 60], [-10, 60])).map(({ id }) => id),
    ['north-west', 'middle'],
  );
  const hollow = loop([-10, -10], [110, -10], [110, 110], [-10, 110], [-10, 70], [70, 70], [70, 30], [-10, 30]);
  assert.deepEqual(
    pointsInside(POINTS, camera, hollow).map(({ id }) => id),
    ['north-west', 'south-east'],
  );
  assert.deepEqual(pointsInside(POINTS, camera, loop([0, 0], [1, 1])), []);
});
