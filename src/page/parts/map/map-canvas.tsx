import { useEffect, useRef, useState } from 'preact/hooks';
import { drawMap } from '../../state/map/draw-map.js';
import {
  type Camera,
  fitMap,
  type MapPoint,
  type Place,
  pan,
  pointAt,
  pointsInside,
  zoomAt,
} from '../../state/map/map-camera.js';
import { type MapPictures, openMapPictures } from '../../state/map/map-pictures.js';
import { displayName } from '../../state/result-messages.js';
import { useService } from '../../state/service.js';
import { Button } from '../button.js';

type MapCanvasProps = {
  readonly points: readonly MapPoint[];
  readonly collection: string;
  /** Dragging draws a lasso instead of moving the map. */
  readonly isLasso: boolean;
  readonly chosen: ReadonlySet<string>;
  readonly onChoose: (ids: readonly string[]) => void;
  readonly onOpen: (id: string) => void;
};

const HIT_RADIUS_PX = 28;
const STEP_PX = 80;
const ZOOM_STEP = 1.35;
/** Pointing for this long loads the name of a picture. */
const NAME_DELAY_MS = 120;
/** A press that moves less is a click. */
const CLICK_PX = 5;

/**
 * The map on one canvas. Wheel and pinch zoom, dragging moves or draws a lasso, pointing enlarges a picture, clicking
 * searches with it. Keys: arrows move, + and - zoom, 0 shows all, Enter searches with the picture in the middle.
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
  const drawn = useRef<Place[]>([]); // The current loop; the state lags by one frame.
  const farthest = useRef(0);
  const name = useImageName(current, collection);
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

  // Added by hand: Preact's wheel listener is passive, and the page would scroll too.
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
      setCurrent(pointAt(points, camera, at, HIT_RADIUS_PX)?.id);
      return;
    }
    const others = [...pressed.current].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    pressed.current.set(event.pointerId, at);
    farthest.current = Math.max(
      farthest.current,
      Math.hypot(at.x - (start.current?.x ?? at.x), at.y - (start.current?.y ?? at.y)),
    );
    if (others[0] !== undefined) {
      const other = others[0];
      const factor =
        Math.hypot(at.x - other.x, at.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y));
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
    // By the distance moved, not by the end point: a lasso ends where it began.
    if (farthest.current < CLICK_PX) {
      const hit = pointAt(points, camera, at, HIT_RADIUS_PX);
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
      {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it handles its own keys, as role application says. */}
      <canvas
        ref={canvas}
        class={`map${isLasso ? ' lasso' : ''}${current !== undefined ? ' pointing' : ''}`}
        tabIndex={0}
        role="application"
        aria-label={`Map of ${points.length} pictures. Arrow keys move, plus and minus zoom, Enter searches with the picture in the middle.`}
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
      <p class="map-label small" aria-live="polite">
        {name}
      </p>
      <div class="map-tools">
        <Button
          look="small"
          aria-label="Zoom in"
          onClick={() => setMoved(zoomAt(camera, middle, ZOOM_STEP, fitted.scale))}
        >
          +
        </Button>
        <Button
          look="small"
          aria-label="Zoom out"
          onClick={() => setMoved(zoomAt(camera, middle, 1 / ZOOM_STEP, fitted.scale))}
        >
          −
        </Button>
        <Button look="small" onClick={() => setMoved(undefined)}>
          Show all
        </Button>
      </div>
    </div>
  );
}

/** The name of an image, loaded once it has been current for a moment; empty until then. */
function useImageName(id: string | undefined, collection: string): string {
  const { client } = useService();
  const [known, setKnown] = useState<{ readonly id: string; readonly name: string }>();
  useEffect(() => {
    if (id === undefined) return;
    const controller = new AbortController();
    const { signal } = controller;
    const timer = setTimeout(() => {
      client.image(id, { collection }, { signal }).then(
        ({ fileName }) => setKnown({ id, name: displayName({ id, fileName }) }),
        () => undefined, // Deleted, or the service is busy: no name.
      );
    }, NAME_DELAY_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [client, id, collection]);
  return known !== undefined && known.id === id ? known.name : '';
}

/** The size of an element in CSS pixels. */
function useSize(element: { readonly current: HTMLElement | null }): {
  readonly width: number;
  readonly height: number;
} {
  const [size, setSize] = useState({ width: 1, height: 1 });
  useEffect(() => {
    if (element.current === null) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined)
        setSize({ width: Math.round(entry.contentRect.width), height: Math.round(entry.contentRect.height) });
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return size;
}
