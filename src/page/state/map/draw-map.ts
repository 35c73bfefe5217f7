import { type Camera, type MapPoint, type Place, pictureSide, toScreen } from './map-camera.js';
import type { MapPictures } from './map-pictures.js';

/** What to draw. `loop` is the unfinished lasso, in CSS pixels. */
type MapScene = {
  readonly points: readonly MapPoint[];
  readonly camera: Camera;
  readonly pictures: MapPictures;
  readonly chosen: ReadonlySet<string>;
  readonly current: string | undefined;
  readonly loop: readonly Place[];
  readonly colours: { readonly dot: string; readonly accent: string; readonly paper: string };
};

/** Smaller pictures are drawn as dots; CSS pixels. */
const PICTURE_SIDE_MIN = 18;
const DOT = 3;

/** Draws the map: dots or pictures by zoom, chosen ones with a ring, the current one last and larger. */
export function drawMap(
  context: CanvasRenderingContext2D,
  size: { readonly width: number; readonly height: number },
  scene: MapScene,
): void {
  const { points, camera, pictures, chosen, current, loop, colours } = scene;
  context.clearRect(0, 0, size.width, size.height);
  const side = pictureSide(camera, points.length);
  for (const point of points) {
    if (point.id === current) continue;
    const at = toScreen(camera, point);
    if (at.x < -side || at.y < -side || at.x > size.width + side || at.y > size.height + side) continue;
    const bitmap = side >= PICTURE_SIDE_MIN ? pictures.get(point.id) : undefined;
    if (bitmap === undefined)
      drawDot(context, at, chosen.has(point.id) ? colours.accent : colours.dot, chosen.has(point.id) ? DOT * 1.6 : DOT);
    else drawPicture(context, { bitmap, at, side, ring: chosen.has(point.id) ? colours.accent : undefined });
  }
  const focus = points.find(({ id }) => id === current);
  if (focus !== undefined) {
    const at = toScreen(camera, focus);
    const bitmap = pictures.get(focus.id);
    if (bitmap === undefined) drawDot(context, at, colours.accent, DOT * 2.2);
    else drawPicture(context, { bitmap, at, side: Math.max(72, side * 1.2), ring: colours.accent });
  }
  if (loop.length > 1) drawLoop(context, loop, colours.accent);
}

function drawDot(context: CanvasRenderingContext2D, { x, y }: Place, colour: string, radius: number): void {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

type DrawnPicture = {
  readonly bitmap: ImageBitmap;
  readonly at: Place;
  readonly side: number;
  readonly ring: string | undefined;
};

function drawPicture(context: CanvasRenderingContext2D, { bitmap, at, side, ring }: DrawnPicture): void {
  const scale = side / Math.max(bitmap.width, bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  const [x, y] = [at.x - width / 2, at.y - height / 2];
  context.drawImage(bitmap, x, y, width, height);
  if (ring === undefined) return;
  context.strokeStyle = ring;
  context.lineWidth = 3;
  context.strokeRect(x - 1.5, y - 1.5, width + 3, height + 3);
}

function drawLoop(context: CanvasRenderingContext2D, loop: readonly Place[], colour: string): void {
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.setLineDash([6, 4]);
  context.beginPath();
  for (const { x, y } of loop) context.lineTo(x, y);
  context.closePath();
  context.stroke();
  context.setLineDash([]);
}
