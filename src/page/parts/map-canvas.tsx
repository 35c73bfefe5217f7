import { useEffect, useRef, useState } from 'preact/hooks';
import { drawMap } from '../state/draw-map.js';
import { type Camera, fitMap, type MapPoint, type Place, pan, pointAt, pointsInside, zoomAt } from '../state/map-camera.js';
import { type MapPictures, openMapPictures } from '../state/map-pictures.js';
import { shortName } from '../state/result-words.js';
import { useService } from '../state/service.js';

type MapCanvasProps = {
  readonly points: readonly MapPoint[];
  readonly collection: string;
  /** Dragging draws a lasso in place of moving the map. */
  readonly isLasso: boolean;
  readonly chosen: ReadonlySet<string>;
  readonly onChoose: (ids: readonly string[]) => void;
  readonly onOpen: (id: string) => void;
};

const REACH_PX = 28;
const STEP_PX = 80;
const ZOOM_STEP = 1.35;
/** A press that moved less is a click. */
const CLICK_PX = 5;

/**
 * The map as one canvas: wheel and pinch zoom, dragging moves or draws a lasso, pointing shows a picture, clicking searches with it. Keys:
 * arrows move, + and - zoom, 0 shows all, Enter searches with the picture in the middle.
 */
export function MapCanvas({ points, collection, isLasso, chosen, onChoose, onOpen }: MapCanvasProps) {
  const { client } = useService();
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSize(canvas);
  const pictures = useRef<MapPictures>(undefined);
  const [arrivals, setArrivals] = useState(0);
  const [moved, setMoved] = useState<Camera>();
  const [current, setCurrent] = useState<string>();
  const [loop, setLoop] = useState<readonly Place[]>([]);
  const pressed = useRef(new Map<number, Place>());
  const start = useRef<Place>(undefined);
  const drawn = useRef<Place[]>([]); // The loop as it is; the state is drawn a frame later, and the last moves come before that.
  const farthest = useRef(0);
  const fitted = fitMap(size);
  const camera = moved ?? fitted;

  useEffect(() => {
    const opened = openMapPictures({ client, collection, onArrival: () => setArrivals((before) => before + 1) });
    pictures.current = opened;
    return () => opened.close();
  }, [client, collection]);

  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context || pictures.current === undefined) return;
    const held = pictures.current;
    const frame = requestAnimationFrame(() => {
      const style = getComputedStyle(context.canvas);
      const ratio = devicePixelRatio;
      context.canvas.width = size.width * ratio;
      context.canvas.height = size.height * ratio;
      context.scale(ratio, ratio);
      const colours = { dot: style.color, accent: style.accentColor, paper: style.backgroundColor };
      drawMap(context, size, { points, camera, pictures: held, chosen, current, loop, colours });
    });
    return () => cancelAnimationFrame(frame);
  }, [points, camera, size, chosen, current, loop, arrivals]);

  // Listened to by hand: the framework's wheel listener would be passive, and the page would scroll as well.
  useEffect(() => {
    const element = canvas.current;
    const wheel = (event: WheelEvent): void => {
      event.preventDefault();
      const at = { x: event.offsetX, y: event.offsetY };
      setMoved((now) => zoomAt(now ?? fitted, at, Math.exp(-event.deltaY * 0.0016), fitted.scale));
    };
    element?.addEventListener('wheel', wheel, { passive: false });
    return () => element?.removeEventListener('wheel', wheel);
  }, [fitted.scale, fitted.x, fitted.y]);

  const move = (event: PointerEvent): void => {
    const at = { x: event.offsetX, y: event.offsetY };
    const before = pressed.current.get(event.pointerId);
    if (before === undefined) {
      setCurrent(pointAt(points, camera, at, REACH_PX)?.id);
      return;
    }
    const others = [...pressed.current].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    pressed.current.set(event.pointerId, at);
    farthest.current = Math.max(farthest.current, Math.hypot(at.x - (start.current?.x ?? at.x), at.y - (start.current?.y ?? at.y)));
    if (others[0] !== undefined) {
      const other = others[0];
      const factor = Math.hypot(at.x - other.x, at.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y));
      setMoved(zoomAt(camera, other, factor, fitted.scale));
    } else if (isLasso) {
      drawn.current.push(at);
      setLoop([...drawn.current]);
    } else setMoved(pan(camera, at.x - before.x, at.y - before.y));
  };
  const release = (event: PointerEvent): void => {
    const at = { x: event.offsetX, y: event.offsetY };
    pressed.current.delete(event.pointerId);
    if (pressed.current.size > 0) return;
    // By how far it went, not by where it ended: a lasso ends where it began.
    if (farthest.current < CLICK_PX) {
      const hit = pointAt(points, camera, at, REACH_PX);
      if (hit !== undefined) onOpen(hit.id);
    } else if (isLasso) onChoose(pointsInside(points, camera, drawn.current).map(({ id }) => id));
    drawn.current = [];
    setLoop([]);
  };
  const middle = { x: size.width / 2, y: size.height / 2 };
  const look = (next: Camera): void => {
    setMoved(next);
    setCurrent(pointAt(points, next, middle, Number.POSITIVE_INFINITY)?.id);
  };
  const press = (event: KeyboardEvent): void => {
    const steps: { readonly [key: string]: () => void } = {
      ArrowLeft: () => look(pan(camera, STEP_PX, 0)),
      ArrowRight: () => look(pan(camera, -STEP_PX, 0)),
      ArrowUp: () => look(pan(camera, 0, STEP_PX)),
      ArrowDown: () => look(pan(camera, 0, -STEP_PX)),
      '+': () => look(zoomAt(camera, middle, ZOOM_STEP, fitted.scale)),
      '=': () => look(zoomAt(camera, middle, ZOOM_STEP, fitted.scale)),
      '-': () => look(zoomAt(camera, middle, 1 / ZOOM_STEP, fitted.scale)),
      '0': () => look(fitted),
      Enter: () => {
        if (current !== undefined) onOpen(current);
      },
    };
    const step = steps[event.key];
    if (step === undefined || event.metaKey || event.ctrlKey || event.altKey) return;
    event.preventDefault();
    step();
  };

  return (
    <div class="map-frame">
      {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it takes keys of its own, which is what an application is. */}
      <canvas
        ref={canvas}
        class={`map${isLasso ? ' lasso' : ''}${current !== undefined ? ' pointing' : ''}`}
        tabIndex={0}
        role="application"
        aria-label={`Map of ${points.length} pictures. Arrows move, plus and minus zoom, Enter searches with the picture in the middle.`}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          start.current = { x: event.offsetX, y: event.offsetY };
          farthest.current = 0;
          drawn.current = [];
          pressed.current.set(event.pointerId, start.current);
        }}
        onPointerMove={move}
        onPointerUp={release}
        onPointerCancel={(event) => {
          pressed.current.delete(event.pointerId);
          drawn.current = [];
          setLoop([]);
        }}
        onPointerLeave={() => setCurrent(undefined)}
        onKeyDown={press}
      />
      <p class="map-word small" aria-live="polite">
        {current === undefined ? '' : shortName(current)}
      </p>
      <div class="map-tools">
        <button
          type="button"
          class="button small"
          aria-label="Nearer"
          onClick={() => setMoved(zoomAt(camera, middle, ZOOM_STEP, fitted.scale))}
        >
          +
        </button>
        <button
          type="button"
          class="button small"
          aria-label="Farther"
          onClick={() => setMoved(zoomAt(camera, middle, 1 / ZOOM_STEP, fitted.scale))}
        >
          −
        </button>
        <button type="button" class="button small" onClick={() => setMoved(undefined)}>
          Show all
        </button>
      </div>
    </div>
  );
}

/** The size of an element in CSS pixels, as it changes. */
function useSize(element: { readonly current: HTMLElement | null }): { readonly width: number; readonly height: number } {
  const [size, setSize] = useState({ width: 1, height: 1 });
  useEffect(() => {
    if (element.current === null) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) setSize({ width: Math.round(entry.contentRect.width), height: Math.round(entry.contentRect.height) });
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return size;
}
