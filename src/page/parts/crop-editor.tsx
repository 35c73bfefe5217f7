import { useEffect, useRef, useState } from 'preact/hooks';
import type { Box } from '../../client/client.js';
import { CROP_HANDLES, type CropGrip, cropOf, dragged, keyMove, LEAST_SIDE, WHOLE } from '../state/crop-box.js';
import type { Example } from '../state/page-address.js';
import { ExamplePicture } from './example-picture.js';

type CropEditorProps = {
  readonly example: Example;
  readonly crop: Box | undefined;
  /** Told of a finished change. `isStep` marks one of many small ones by key, which the back button need not know. */
  readonly onCrop: (crop: Box | undefined, isStep: boolean) => void;
};

type Held = { readonly grip: CropGrip | 'draw'; readonly box: Box; readonly x: number; readonly y: number };

const CORNER_NAMES = { nw: 'upper left', ne: 'upper right', sw: 'lower left', se: 'lower right' } as const;
const KEYS_REST_MS = 350;
/** A drag shorter than this is a click. */
const LEAST_DRAW = 0.03;

/** The query picture with a box over it: drag its corners, move it, draw a new one, or use the arrow keys. */
export function CropEditor({ example, crop, onCrop }: CropEditorProps) {
  const [box, setBox] = useState<Box>(crop ?? WHOLE);
  const frame = useRef<HTMLDivElement>(null);
  const held = useRef<Held>(undefined);
  const rest = useRef<number>(undefined);
  useEffect(() => setBox(crop ?? WHOLE), [crop?.x, crop?.y, crop?.width, crop?.height]);
  useEffect(() => () => clearTimeout(rest.current), []);

  const at = (event: PointerEvent): { readonly x: number; readonly y: number } => {
    const { left, top, width, height } = frame.current!.getBoundingClientRect(); // Pointer events come from within the frame.
    return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
  };
  const grab = (event: PointerEvent, grip: CropGrip): void => {
    if (event.button !== 0) return;
    const isWhole = cropOf(box) === undefined;
    if (grip === 'move' && isWhole && event.pointerType === 'touch') return; // A finger on the whole picture scrolls the page.
    event.preventDefault();
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    (event.currentTarget as HTMLElement).focus({ preventScroll: true });
    held.current = { grip: grip === 'move' && isWhole ? 'draw' : grip, box, ...at(event) };
  };
  const move = (event: PointerEvent): void => {
    if (held.current === undefined) return;
    const { grip, box: start, x, y } = held.current;
    const to = at(event);
    setBox(grip === 'draw' ? drawn({ x, y }, to) : dragged(start, grip, { dx: to.x - x, dy: to.y - y }));
  };
  const release = (event: PointerEvent): void => {
    if (held.current === undefined) return;
    const { x, y } = held.current;
    held.current = undefined;
    const to = at(event);
    const hasMoved = Math.hypot(to.x - x, to.y - y) > LEAST_DRAW / 3;
    if (hasMoved) onCrop(cropOf(box), false);
  };
  const press = (event: KeyboardEvent, grip: CropGrip): void => {
    const step = keyMove(event.key, event.shiftKey);
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = dragged(box, grip, step);
    setBox(next);
    clearTimeout(rest.current);
    rest.current = window.setTimeout(() => onCrop(cropOf(next), true), KEYS_REST_MS);
  };
  const holds = (grip: CropGrip) => ({
    onPointerDown: (event: PointerEvent) => grab(event, grip),
    onPointerMove: move,
    onPointerUp: release,
    onPointerCancel: release,
    onKeyDown: (event: KeyboardEvent) => press(event, grip),
  });
  const percent = (value: number): string => `${(value * 100).toFixed(3)}%`;
  const style = { left: percent(box.x), top: percent(box.y), width: percent(box.width), height: percent(box.height) };

  return (
    <div class="crop" ref={frame}>
      <ExamplePicture example={example} alt="The picture you search with" isLarge />
      <div class={`crop-box${cropOf(box) === undefined ? ' whole' : ''}`} style={style}>
        <button type="button" class="crop-move" aria-label="Part of the picture: arrow keys move it" {...holds('move')} />
        {CROP_HANDLES.map((corner) => (
          <button
            key={corner}
            type="button"
            class={`crop-handle ${corner}`}
            aria-label={`Part of the picture, ${CORNER_NAMES[corner]} corner: arrow keys move it`}
            {...holds(corner)}
          />
        ))}
      </div>
    </div>
  );
}

function drawn(from: { readonly x: number; readonly y: number }, to: { readonly x: number; readonly y: number }): Box {
  const limit = (value: number): number => Math.min(1, Math.max(0, value));
  const [x, y] = [Math.min(limit(from.x), limit(to.x)), Math.min(limit(from.y), limit(to.y))];
  const [width, height] = [Math.abs(limit(to.x) - limit(from.x)), Math.abs(limit(to.y) - limit(from.y))];
  if (width < LEAST_DRAW && height < LEAST_DRAW) return WHOLE;
  const [wide, high] = [Math.max(LEAST_SIDE, width), Math.max(LEAST_SIDE, height)];
  return { x: Math.min(x, 1 - wide), y: Math.min(y, 1 - high), width: wide, height: high };
}
