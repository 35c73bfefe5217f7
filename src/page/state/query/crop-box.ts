/** Geometry of the crop box, in fractions of the picture (0..1). Pure. */
import type { Region } from '../../../client/client.js';

/** The corners of the box. */
export const CROP_HANDLES = ['nw', 'ne', 'sw', 'se'] as const;
/** What is dragged: a corner, or the whole box. */
export type CropGrip = (typeof CROP_HANDLES)[number] | 'move';

/** The whole picture. */
export const WHOLE: Region = { x: 0, y: 0, width: 1, height: 1 };
/** Smallest width and height of a crop. */
export const SIDE_MIN = 0.06;
const STEP = 0.02;
const LARGE_STEP = 0.1;

/** The box after its grip moved by (dx, dy), kept within the picture. Moving the whole box keeps its size. */
export function dragBox(box: Region, grip: CropGrip, { dx, dy }: { readonly dx: number; readonly dy: number }): Region {
  if (grip === 'move') {
    return { ...box, x: clamp(box.x + dx, 0, 1 - box.width), y: clamp(box.y + dy, 0, 1 - box.height) };
  }
  const [right, bottom] = [box.x + box.width, box.y + box.height];
  const x = grip.endsWith('w') ? clamp(box.x + dx, 0, right - SIDE_MIN) : box.x;
  const y = grip.startsWith('n') ? clamp(box.y + dy, 0, bottom - SIDE_MIN) : box.y;
  const endX = grip.endsWith('e') ? clamp(right + dx, x + SIDE_MIN, 1) : right;
  const endY = grip.startsWith('s') ? clamp(bottom + dy, y + SIDE_MIN, 1) : bottom;
  return { x, y, width: endX - x, height: endY - y };
}

/** The step of an arrow key; undefined for other keys. `isLarge` (shift) makes it larger. */
export function keyStep(key: string, isLarge: boolean): { readonly dx: number; readonly dy: number } | undefined {
  const step = isLarge ? LARGE_STEP : STEP;
  if (key === 'ArrowLeft') return { dx: -step, dy: 0 };
  if (key === 'ArrowRight') return { dx: step, dy: 0 };
  if (key === 'ArrowUp') return { dx: 0, dy: -step };
  return key === 'ArrowDown' ? { dx: 0, dy: step } : undefined;
}

/** The crop of a box, rounded to 1e-4; undefined where it covers (almost) the whole picture. */
export function cropOf({ x, y, width, height }: Region): Region | undefined {
  if (width > 0.985 && height > 0.985) return undefined;
  const round = (value: number): number => Math.round(value * 1e4) / 1e4;
  const left = round(x);
  const top = round(y);
  return {
    x: left,
    y: top,
    width: Math.min(round(width), round(1 - left)),
    height: Math.min(round(height), round(1 - top)),
  };
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), Math.max(least, most));
}
