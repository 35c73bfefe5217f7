/** View transform of the map. Map units are 0..1 in x and y, screen units are CSS pixels. Pure. */

/** A position, on the map or on the screen. */
export type Place = { readonly x: number; readonly y: number };
/** A picture and its position on the map. */
export type MapPoint = Place & { readonly id: string };
/** Screen position of the map's upper left corner, and pixels per map unit. */
export type Camera = { readonly x: number; readonly y: number; readonly scale: number };

/** Margin, so that pictures at the edge are not cut off; pixels. */
const MARGIN = 48;
/** Limits of the zoom, relative to the whole map. */
const ZOOM_MAX = 60;
const ZOOM_MIN = 0.6;

/** Fits the whole map into the window, centred. */
export function fitMap({ width, height }: { readonly width: number; readonly height: number }): Camera {
  const scale = Math.max(1, Math.min(width, height) - 2 * MARGIN);
  return { x: (width - scale) / 2, y: (height - scale) / 2, scale };
}

/** Map to screen. */
export function toScreen(camera: Camera, { x, y }: Place): Place {
  return { x: camera.x + x * camera.scale, y: camera.y + y * camera.scale };
}

/** Screen to map; inverse of {@link toScreen}. */
export function toMap(camera: Camera, { x, y }: Place): Place {
  return { x: (x - camera.x) / camera.scale, y: (y - camera.y) / camera.scale };
}

/** Zooms around `at`, which keeps its map position. `fitted` is the scale of the whole map. */
export function zoomAt(camera: Camera, at: Place, factor: number, fitted: number): Camera {
  const scale = Math.min(fitted * ZOOM_MAX, Math.max(fitted * ZOOM_MIN, camera.scale * factor));
  const held = toMap(camera, at);
  return { scale, x: at.x - held.x * scale, y: at.y - held.y * scale };
}

/** Moves by pixels. */
export function pan(camera: Camera, dx: number, dy: number): Camera {
  return { ...camera, x: camera.x + dx, y: camera.y + dy };
}

/** The picture nearest to a screen position, within a radius of pixels. */
export function pointAt(points: readonly MapPoint[], camera: Camera, at: Place, within: number): MapPoint | undefined {
  let nearest: MapPoint | undefined;
  let least = within;
  for (const point of points) {
    const place = toScreen(camera, point);
    const distance = Math.hypot(place.x - at.x, place.y - at.y);
    if (distance <= least) {
      least = distance;
      nearest = point;
    }
  }
  return nearest;
}

/** The pictures inside a closed loop on the screen (even-odd rule). */
export function pointsInside(points: readonly MapPoint[], camera: Camera, loop: readonly Place[]): MapPoint[] {
  if (loop.length < 3) return [];
  return points.filter((point) => isInside(toScreen(camera, point), loop));
}

function isInside({ x, y }: Place, loop: readonly Place[]): boolean {
  let inside = false;
  for (let at = 0, before = loop.length - 1; at < loop.length; before = at++) {
    const a = loop[at]!;
    const b = loop[before]!;
    if (a.y > y !== b.y > y && x < ((b.x - a.x) * (y - a.y)) / (b.y - a.y) + a.x) inside = !inside;
  }
  return inside;
}

/** Side of a drawn picture in pixels: at most the mean distance of neighbours. */
export function pictureSide(camera: Camera, pictures: number): number {
  const room = camera.scale / Math.sqrt(Math.max(1, pictures));
  return Math.min(96, room * 0.9);
}
