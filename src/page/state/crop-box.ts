/** Geometry of the crop box: moved and sized by pointer or keys, always within the picture. Fractions of the picture, 0..1. Pure. */
import type { Box } from '../../client/client.js';

/** What is held: the box itself, or one of its corners. */
export const CROP_HANDLES = ['nw', 'ne', 'sw', 'se'] as const;
/** One of {@link CROP_HANDLES}, or the whole box. */
export type CropGrip = (typeof CROP_HANDLES)[number] | 'move';

/** The whole picture. */
export const WHOLE: Box = { x: 0, y: 0, width: 1, height: 1 };
/** The least width and height: less of a picture tells an encoder nothing. */
export const LEAST_SIDE = 0.06;
const STEP = 0.02;
const LARGE_STEP = 0.1;

/** The box after its grip went by (dx, dy). A corner stops at the opposite one and at the edge; a box keeps its size when it is moved. */
export function dragged(box: Box, grip: CropGrip, { dx, dy }: { readonly dx: number; readonly dy: number }): Box {
  if (grip === 'move') {
    return { ...box, x: clamp(box.x + dx, 0, 1 - box.width), y: clamp(box.y + dy, 0, 1 - box.height) };
  }
  const [right, bottom] = [box.x + box.width, box.y + box.height];
  const x = grip.endsWith('w') ? clamp(box.x + dx, 0, right - LEAST_SIDE) : box.x;
  const y = grip.startsWith('n') ? clamp(box.y + dy, 0, bottom - LEAST_SIDE) : box.y;
  const endX = grip.endsWith('e') ? clamp(right + dx, x + LEAST_SIDE, 1) : right;
  const endY = grip.startsWith('s') ? clamp(bottom + dy, y + LEAST_SIDE, 1) : bottom;
  return { x, y, width: endX - x, height: endY - y };
}

/** The move that a key makes, or undefined for another key. With shift it is larger. */
export function keyMove(key: string, isLarge: boolean): { readonly dx: number; readonly dy: number } | undefined {
  const step = isLarge ? LARGE_STEP : STEP;
  if (key === 'ArrowLeft') return { dx: -step, dy: 0 };
  if (key === 'ArrowRight') return { dx: step, dy: 0 };
  if (key === 'ArrowUp') return { dx: 0, dy: -step };
  return key === 'ArrowDown' ? { dx: 0, dy: step } : undefined;
}

/** The crop that a box stands for: none where it is as good as the whole picture. Rounded, so that the service never sees 1.0000001. */
export function cropOf({ x, y, width, height }: Box): Box | undefined {
  if (width > 0.985 && height > 0.985) return undefined;
  const round = (value: number): number => Math.round(value * 1e4) / 1e4;
  const left = round(x);
  const top = round(y);
  return { x: left, y: top, width: Math.min(round(width), round(1 - left)), height: Math.min(round(height), round(1 - top)) };
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), Math.max(least, most));
}
