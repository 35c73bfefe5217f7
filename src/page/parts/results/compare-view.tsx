import { useEffect, useState } from 'preact/hooks';
import type { RegionPair, Regions } from '../../../client/client.js';
import { COMPARISONS, type ComparisonView, type Example } from '../../state/query/page-address.js';
import { Button } from '../button.js';
import { Picture, type PictureSize } from '../picture.js';
import { ExamplePicture } from '../query/example-picture.js';

type CompareViewProps = {
  /** Undefined where the search has several examples; then only the result is shown. */
  readonly query: Example | undefined;
  /** `originalUrl`: null where no original is stored, or not known yet. */
  readonly result: { readonly thumbnailUrl: string; readonly originalUrl: string | null };
  readonly view: ComparisonView;
  readonly onView: (view: ComparisonView) => void;
  readonly regions: Regions | undefined;
};

const VIEW_LABELS: { readonly [view in ComparisonView]: string } = {
  side: 'Side by side',
  slider: 'Slider',
  flicker: 'Flicker',
};
const FLICKER_MS = 700;
/** More boxes would hide the picture. */
const PAIRS_MAX = 5;

/** Compares query and result: side by side with matching areas, by slider, or by flicker. */
export function CompareView({ query, result, view, onView, regions }: CompareViewProps) {
  const [current, setCurrent] = useState<number>();
  const [ratios, setRatios] = useState<{ readonly query?: number; readonly result?: number }>({});
  // Both pictures get one height, at which the wider one fits its column.
  const widest = Math.max(0, ...Object.values(ratios)) || 1;
  const measure = (side: 'query' | 'result') => (size: PictureSize) =>
    setRatios((now) => ({ ...now, [side]: size.width / Math.max(1, size.height) }));
  const resultPicture = (
    <Picture
      path={result.originalUrl ?? result.thumbnailUrl}
      fallback={result.thumbnailUrl}
      alt="Result"
      eager
      onSize={measure('result')}
    />
  );
  if (query === undefined) {
    return (
      <div class="compare side alone" style={{ '--widest': widest }}>
        <figure>
          <div class="fitted">{resultPicture}</div>
        </figure>
      </div>
    );
  }
  const queryPicture = <ExamplePicture example={query} alt="Query picture" isLarge onSize={measure('query')} />;
  const pairs = regions?.available === true ? regions.pairs : [];
  return (
    <div class="compare-frame">
      <fieldset class="choices" aria-label="How to compare">
        {COMPARISONS.map((one) => (
          <button key={one} type="button" aria-pressed={view === one} onClick={() => onView(one)}>
            {VIEW_LABELS[one]}
          </button>
        ))}
      </fieldset>
      {view === 'side' && (
        <div class="compare side" style={{ '--widest': widest }}>
          <figure>
            <div class="fitted">
              {queryPicture}
              <RegionBoxes pairs={pairs} side="a" current={current} onCurrent={setCurrent} />
            </div>
            <figcaption>Your picture</figcaption>
          </figure>
          <figure>
            <div class="fitted">
              {resultPicture}
              <RegionBoxes pairs={pairs} side="b" current={current} onCurrent={setCurrent} />
            </div>
            <figcaption>Result</figcaption>
          </figure>
        </div>
      )}
      {view === 'slider' && <Slider queryPicture={queryPicture} resultPicture={resultPicture} />}
      {view === 'flicker' && <Flicker queryPicture={queryPicture} resultPicture={resultPicture} />}
    </div>
  );
}

type ComparedPictures = { readonly queryPicture: preact.JSX.Element; readonly resultPicture: preact.JSX.Element };

/** Both pictures in one place; the query is left of the line. */
function Slider({ queryPicture, resultPicture }: ComparedPictures) {
  const [share, setShare] = useState(50);
  return (
    <div class="compare over">
      <div class="layer">{resultPicture}</div>
      <div class="layer" style={{ clipPath: `inset(0 ${100 - share}% 0 0)` }}>
        {queryPicture}
      </div>
      <span class="slider-line" style={{ left: `${share}%` }} aria-hidden="true" />
      <input
        type="range"
        min="0"
        max="100"
        value={share}
        aria-label="How much of your picture is shown over the result"
        onInput={(event) => setShare(Number(event.currentTarget.value))}
      />
    </div>
  );
}

/** Alternates the pictures in one place, which shows differences. Stopped at first with prefers-reduced-motion. */
function Flicker({ queryPicture, resultPicture }: ComparedPictures) {
  const [isQueryShown, setIsQueryShown] = useState(true);
  const [isRunning, setIsRunning] = useState(() => !matchMedia('(prefers-reduced-motion: reduce)').matches);
  useEffect(() => {
    if (!isRunning) return;
    const timer = setInterval(() => setIsQueryShown((now) => !now), FLICKER_MS);
    return () => clearInterval(timer);
  }, [isRunning]);
  return (
    <div class="compare over">
      <div class="layer" style={{ visibility: isQueryShown ? 'hidden' : 'visible' }}>
        {resultPicture}
      </div>
      <div class="layer" style={{ visibility: isQueryShown ? 'visible' : 'hidden' }}>
        {queryPicture}
      </div>
      <div class="row flicker-controls">
        <Button look="small" aria-pressed={isRunning} onClick={() => setIsRunning(!isRunning)}>
          {isRunning ? 'Stop' : 'Start'}
        </Button>
        <Button look="small" onClick={() => setIsQueryShown(!isQueryShown)}>
          {isQueryShown ? 'Your picture' : 'The result'}
        </Button>
      </div>
    </div>
  );
}

type RegionBoxesProps = {
  readonly pairs: readonly RegionPair[];
  readonly side: 'a' | 'b';
  readonly current: number | undefined;
  readonly onCurrent: (pair: number | undefined) => void;
};

/** Boxes around the matching areas of one picture; number and colour are the same on the other. */
function RegionBoxes({ pairs, side, current, onCurrent }: RegionBoxesProps) {
  return (
    <span class="regions" aria-hidden="true">
      {pairs.slice(0, PAIRS_MAX).map((pair, at) => {
        const { x, y, width, height } = pair[side];
        const percent = (value: number): string => `${value * 100}%`;
        return (
          // Pointing highlights the pair; the facts beside give the same as text.
          <span
            // Pairs are identified by rank.
            key={at}
            class={`region pair-${at + 1}${current === at ? ' current' : ''}`}
            style={{ left: percent(x), top: percent(y), width: percent(width), height: percent(height) }}
            onPointerEnter={() => onCurrent(at)}
            onPointerLeave={() => onCurrent(undefined)}
          >
            <b>{at + 1}</b>
          </span>
        );
      })}
    </span>
  );
}
