/** Where the map is looked at from, and what lies where on the screen. Pure: map units are 0..1 both ways, screen units are CSS pixels. */

/** A place, on the map or on the screen. */
export type Place = { readonly x: number; readonly y: number };
/** A picture on the map. */
export type MapPoint = Place & { readonly id: string };
/** The camera: the map's corner on the screen, and pixels per map unit. */
export type Camera = { readonly x: number; readonly y: number; readonly scale: number };

/** A frame around the map, so that pictures at its edge are whole. */
const MARGIN = 48;
/** So much nearer than the whole map one can come. */
const MOST_ZOOM = 60;
const LEAST_ZOOM = 0.6;

/** The whole map, as large as fits, in the middle. */
export function fitMap({ width, height }: { readonly width: number; readonly height: number }): Camera {
  const scale = Math.max(1, Math.min(width, height) - 2 * MARGIN);
  return { x: (width - scale) / 2, y: (height - scale) / 2, scale };
}

/** Where a place of the map is on the screen. */
export function toScreen(camera: Camera, { x, y }: Place): Place {
  return { x: camera.x + x * camera.scale, y: camera.y + y * camera.scale };
}

/** What place of the map is at a place of the screen. The inverse of {@link toScreen}. */
export function toMap(camera: Camera, { x, y }: Place): Place {
  return { x: (x - camera.x) / camera.scale, y: (y - camera.y) / camera.scale };
}

/** Nearer or farther, what is under `at` staying where it is. `fitted` is the scale of the whole map, which bounds both. */
export function zoomAt(camera: Camera, at: Place, factor: number, fitted: number): Camera {
  const scale = Math.min(fitted * MOST_ZOOM, Math.max(fitted * LEAST_ZOOM, camera.scale * factor));
  const held = toMap(camera, at);
  return { scale, x: at.x - held.x * scale, y: at.y - held.y * scale };
}

/** Aside by pixels. */
export function pan(camera: Camera, dx: number, dy: number): Camera {
  return { ...camera, x: camera.x + dx, y: camera.y + dy };
}

/** The picture nearest to a place of the screen, within so many pixels. */
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

/** The pictures inside a loop drawn on the screen (even-odd rule), its ends joined. */
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

/** Side of a drawn picture in pixels: dots from afar, pictures from near by, never so large that one hides its neighbours. */
export function pictureSide(camera: Camera, pictures: number): number {
  const room = camera.scale / Math.sqrt(Math.max(1, pictures));
  return Math.min(96, room * 0.9);
}
