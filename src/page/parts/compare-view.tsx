import { useEffect, useState } from 'preact/hooks';
import type { Regions } from '../../client/client.js';
import { COMPARISONS, type ComparisonView, type Example } from '../state/page-address.js';
import { ExamplePicture } from './example-picture.js';
import { Picture } from './picture.js';
import { RegionBoxes } from './region-boxes.js';

type CompareViewProps = {
  /** Undefined where the search has several examples: then only the result is shown. */
  readonly query: Example | undefined;
  /** `originalUrl`: null where none is kept, or where that is not known yet. */
  readonly result: { readonly thumbnailUrl: string; readonly originalUrl: string | null };
  readonly view: ComparisonView;
  readonly onView: (view: ComparisonView) => void;
  readonly regions: Regions | undefined;
};

const VIEW_WORDS: { readonly [view in ComparisonView]: string } = { side: 'Side by side', slider: 'Slider', flicker: 'Flicker' };
const FLICKER_MS = 700;

/** Query and result against each other: side by side with the parts that match, under a slider, or one after the other in the same place. */
export function CompareView({ query, result, view, onView, regions }: CompareViewProps) {
  const [current, setCurrent] = useState<number>();
  const found = <Picture path={result.originalUrl ?? result.thumbnailUrl} fallback={result.thumbnailUrl} alt="The result" eager />;
  if (query === undefined) {
    return (
      <div class="compare side alone">
        <figure>
          <div class="fitted">{found}</div>
        </figure>
      </div>
    );
  }
  const asked = <ExamplePicture example={query} alt="The picture you search with" isLarge />;
  const pairs = regions?.available === true ? regions.pairs : [];
  return (
    <div class="compare-frame">
      <fieldset class="choices" aria-label="How to compare">
        {COMPARISONS.map((one) => (
          <button key={one} type="button" aria-pressed={view === one} onClick={() => onView(one)}>
            {VIEW_WORDS[one]}
          </button>
        ))}
      </fieldset>
      {view === 'side' && (
        <div class="compare side">
          <figure>
            <div class="fitted">
              {asked}
              <RegionBoxes pairs={pairs} side="a" current={current} onCurrent={setCurrent} />
            </div>
            <figcaption>Your picture</figcaption>
          </figure>
          <figure>
            <div class="fitted">
              {found}
              <RegionBoxes pairs={pairs} side="b" current={current} onCurrent={setCurrent} />
            </div>
            <figcaption>Result</figcaption>
          </figure>
        </div>
      )}
      {view === 'slider' && <Slider asked={asked} found={found} />}
      {view === 'flicker' && <Flicker asked={asked} found={found} />}
    </div>
  );
}

type Two = { readonly asked: preact.JSX.Element; readonly found: preact.JSX.Element };

/** Both pictures in the same place; left of the line is yours. */
function Slider({ asked, found }: Two) {
  const [share, setShare] = useState(50);
  return (
    <div class="compare over">
      <div class="layer">{found}</div>
      <div class="layer" style={{ clipPath: `inset(0 ${100 - share}% 0 0)` }}>
        {asked}
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

/** One after the other in the same place, so that the eye sees what differs. It stands still for who asked for less motion. */
function Flicker({ asked, found }: Two) {
  const [isAsked, setIsAsked] = useState(true);
  const [isRunning, setIsRunning] = useState(() => !matchMedia('(prefers-reduced-motion: reduce)').matches);
  useEffect(() => {
    if (!isRunning) return;
    const timer = setInterval(() => setIsAsked((now) => !now), FLICKER_MS);
    return () => clearInterval(timer);
  }, [isRunning]);
  return (
    <div class="compare over">
      <div class="layer" style={{ visibility: isAsked ? 'hidden' : 'visible' }}>
        {found}
      </div>
      <div class="layer" style={{ visibility: isAsked ? 'visible' : 'hidden' }}>
        {asked}
      </div>
      <div class="row flicker-controls">
        <button type="button" class="button small" aria-pressed={isRunning} onClick={() => setIsRunning(!isRunning)}>
          {isRunning ? 'Stop' : 'Start'}
        </button>
        <button type="button" class="button small" onClick={() => setIsAsked(!isAsked)}>
          {isAsked ? 'Your picture' : 'The result'}
        </button>
      </div>
    </div>
  );
}
