import { useEffect, useRef, useState } from 'preact/hooks';
import type { Region } from '../../../client/client.js';
import { CROP_HANDLES, type CropGrip, cropOf, dragBox, keyStep, SIDE_MIN, WHOLE } from '../../state/query/crop-box.js';
import type { Example } from '../../state/query/page-address.js';
import { ExamplePicture } from './example-picture.js';

type CropEditorProps = {
  readonly example: Example;
  readonly crop: Region | undefined;
  /** Called after a change. `isStep`: a step by key, which needs no entry for Back. */
  readonly onCrop: (crop: Region | undefined, isStep: boolean) => void;
};

type Drag = { readonly grip: CropGrip | 'draw'; readonly box: Region; readonly x: number; readonly y: number };

const CORNER_NAMES = { nw: 'upper left', ne: 'upper right', sw: 'lower left', se: 'lower right' } as const;
const KEYS_DEBOUNCE_MS = 350;
/** A shorter drag is a click; fraction of the picture. */
const DRAW_MIN = 0.03;

/** The query picture with a crop box: drag a corner or the box, draw a new box, or use the arrow keys. */
export function CropEditor({ example, crop, onCrop }: CropEditorProps) {
  const [box, setBox] = useState<Region>(crop ?? WHOLE);
  const frame = useRef<HTMLDivElement>(null);
  const drag = useRef<Drag>(undefined);
  const timer = useRef<number>(undefined);
  useEffect(() => setBox(crop ?? WHOLE), [crop?.x, crop?.y, crop?.width, crop?.height]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const at = (event: PointerEvent): { readonly x: number; readonly y: number } => {
    // Set: the event comes from inside the frame.
    const { left, top, width, height } = frame.current!.getBoundingClientRect();
    return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
  };
  const grab = (event: PointerEvent, grip: CropGrip): void => {
    if (event.button !== 0) return;
    const isWhole = cropOf(box) === undefined;
    // Touching the whole picture scrolls the page.
    if (grip === 'move' && isWhole && event.pointerType === 'touch') return;
    event.preventDefault();
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    (event.currentTarget as HTMLElement).focus({ preventScroll: true });
    drag.current = { grip: grip === 'move' && isWhole ? 'draw' : grip, box, ...at(event) };
  };
  const move = (event: PointerEvent): void => {
    if (drag.current === undefined) return;
    const { grip, box: start, x, y } = drag.current;
    const to = at(event);
    setBox(grip === 'draw' ? boxBetween({ x, y }, to) : dragBox(start, grip, { dx: to.x - x, dy: to.y - y }));
  };
  const release = (event: PointerEvent): void => {
    if (drag.current === undefined) return;
    const { x, y } = drag.current;
    drag.current = undefined;
    const to = at(event);
    const hasMoved = Math.hypot(to.x - x, to.y - y) > DRAW_MIN / 3;
    if (hasMoved) onCrop(cropOf(box), false);
  };
  const press = (event: KeyboardEvent, grip: CropGrip): void => {
    const step = keyStep(event.key, event.shiftKey);
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = dragBox(box, grip, step);
    setBox(next);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => onCrop(cropOf(next), true), KEYS_DEBOUNCE_MS);
  };
  const gripHandlers = (grip: CropGrip) => ({
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
      <ExamplePicture example={example} alt="Query picture" isLarge />
      <div class={`crop-box${cropOf(box) === undefined ? ' whole' : ''}`} style={style}>
        <button type="button" class="crop-move" aria-label="Crop: arrow keys move it" {...gripHandlers('move')} />
        {CROP_HANDLES.map((corner) => (
          <button
            key={corner}
            type="button"
            class={`crop-handle ${corner}`}
            aria-label={`Crop, ${CORNER_NAMES[corner]} corner: arrow keys move it`}
            {...gripHandlers(corner)}
          />
        ))}
      </div>
    </div>
  );
}

function boxBetween(
  from: { readonly x: number; readonly y: number },
  to: { readonly x: number; readonly y: number },
): Region {
  const limit = (value: number): number => Math.min(1, Math.max(0, value));
  const [x, y] = [Math.min(limit(from.x), limit(to.x)), Math.min(limit(from.y), limit(to.y))];
  const [width, height] = [Math.abs(limit(to.x) - limit(from.x)), Math.abs(limit(to.y) - limit(from.y))];
  if (width < DRAW_MIN && height < DRAW_MIN) return WHOLE;
  const [wide, high] = [Math.max(SIDE_MIN, width), Math.max(SIDE_MIN, height)];
  return { x: Math.min(x, 1 - wide), y: Math.min(y, 1 - high), width: wide, height: high };
}
