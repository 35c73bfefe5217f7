import { useCallback, useState } from 'preact/hooks';
import { MapCanvas } from '../parts/map-canvas.js';
import { MapSelection } from '../parts/map-selection.js';
import { Failure, Notice } from '../parts/notice.js';
import { formatAddress, START, searchFor } from '../state/page-address.js';
import { useService } from '../state/service.js';
import { useAnswer } from '../state/use-answer.js';

/** While the layout is computed it is asked for this often; afterwards the answer hardly changes. */
const REFRESH_MS = 4000;

/** The collection as a map: what looks alike lies together. To browse where there is no picture to search with. */
export function MapPage() {
  const { client, address, navigate, announce } = useService();
  const { collection } = address;
  const { answer, error, again } = useAnswer(
    useCallback((signal: AbortSignal) => client.map({ collection }, { signal }), [client, collection]),
    REFRESH_MS,
  );
  const points = useStable(answer?.points ?? [], `${answer?.computedAt} ${answer?.points.length}`);
  const [isLasso, setIsLasso] = useState(false);
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const open = (id: string): void => navigate(searchFor(address, { kind: 'stored', id }));

  if (error !== undefined && answer === undefined) return <Failure error={error} retry={again} />;
  if (answer === undefined) return <Notice title="Opening the map…" />;
  if (points.length === 0) return answer.status === 'computing' ? <Computing images={answer.images} /> : <NothingToMap />;
  return (
    <div class="map-page">
      <header class="row spread">
        <div>
          <h1>Map</h1>
          <p class="soft">
            What the encoder holds for alike lies together
            {points.length < answer.images
              ? `; ${points.length.toLocaleString()} of ${answer.images.toLocaleString()} pictures are drawn`
              : ''}
            {answer.status === 'computing' ? '; a newer map is being computed' : ''}.
          </p>
        </div>
        <span class="choices">
          <button type="button" aria-pressed={!isLasso} onClick={() => setIsLasso(false)}>
            Move
          </button>
          <button type="button" aria-pressed={isLasso} onClick={() => setIsLasso(true)}>
            Lasso
          </button>
        </span>
      </header>
      <MapCanvas
        points={points}
        collection={collection}
        isLasso={isLasso}
        chosen={new Set(chosen)}
        onOpen={open}
        onChoose={(ids) => {
          setChosen(ids);
          announce(`${ids.length} pictures chosen.`);
        }}
      />
      {chosen.length > 0 && (
        <MapSelection
          ids={chosen}
          onClear={() => setChosen([])}
          onGone={(gone) => {
            setChosen((now) => now.filter((id) => !gone.has(id)));
            again();
          }}
        />
      )}
      <p class="small soft">
        The same pictures as a list: <a href={formatAddress({ ...START, collection })}>on the search page</a>.
      </p>
    </div>
  );
}

function Computing({ images }: { readonly images: number }) {
  return (
    <Notice title="The map is being drawn">
      <p>{images.toLocaleString()} pictures are laid out so that what is alike lies together. This takes some seconds.</p>
    </Notice>
  );
}

function NothingToMap() {
  const { navigate, address } = useService();
  return (
    <Notice title="Too few pictures for a map">
      <p>A map needs at least ten pictures in the collection “{address.collection}”.</p>
      <button type="button" class="button primary" onClick={() => navigate({ ...START, page: 'import', collection: address.collection })}>
        Import pictures
      </button>
    </Notice>
  );
}

/** The value while its version stays: a new list of the same points would draw, and forget, all anew. */
function useStable<Value>(value: Value, version: string): Value {
  const [held, setHeld] = useState({ value, version });
  if (held.version === version) return held.value;
  setHeld({ value, version });
  return value;
}
