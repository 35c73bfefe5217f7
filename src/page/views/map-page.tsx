import { useCallback, useState } from 'preact/hooks';
import { Button } from '../parts/button.js';
import { MapCanvas } from '../parts/map/map-canvas.js';
import { MapSelection } from '../parts/map/map-selection.js';
import { Failure, Notice } from '../parts/notice.js';
import { formatAddress, START, searchFor } from '../state/query/page-address.js';
import { useService } from '../state/service.js';
import { useResponse } from '../state/use-response.js';

/** Polling interval while the layout is computed. */
const REFRESH_MS = 4000;

/** The collection as a map (2-D projection of the embeddings), for browsing without a query picture. */
export function MapPage() {
  const { client, address, navigate, announce } = useService();
  const { collection } = address;
  const {
    response: map,
    error,
    reload,
  } = useResponse(
    useCallback((signal: AbortSignal) => client.map({ collection }, { signal }), [client, collection]),
    REFRESH_MS,
  );
  const points = useStable(map?.points ?? [], `${map?.computedAt} ${map?.points.length}`);
  const [isLasso, setIsLasso] = useState(false);
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const open = (id: string): void => navigate(searchFor(address, { kind: 'stored', id }));

  if (error !== undefined && map === undefined) return <Failure error={error} retry={reload} />;
  if (map === undefined) return <Notice title="Loading the map…" />;
  if (points.length === 0) return map.status === 'computing' ? <Computing images={map.images} /> : <NothingToMap />;
  return (
    <div class="map-page">
      <header class="row spread">
        <div>
          <h1>Map</h1>
          <p class="soft">
            Pictures that look alike lie close together
            {points.length < map.images
              ? `; ${points.length.toLocaleString()} of ${map.images.toLocaleString()} pictures are shown`
              : ''}
            {map.status === 'computing' ? '; a newer map is being computed' : ''}.
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
          announce(`${ids.length} pictures selected.`);
        }}
      />
      {chosen.length > 0 && (
        <MapSelection
          ids={chosen}
          onClear={() => setChosen([])}
          onGone={(gone) => {
            setChosen((now) => now.filter((id) => !gone.has(id)));
            reload();
          }}
        />
      )}
      <p class="small soft">
        The same pictures as a list: <a href={formatAddress({ ...START, collection })}>search page</a>.
      </p>
    </div>
  );
}

function Computing({ images }: { readonly images: number }) {
  return (
    <Notice title="The map is being computed">
      <p>
        {images.toLocaleString()} pictures are arranged so that similar ones lie close together. This takes some
        seconds.
      </p>
    </Notice>
  );
}

function NothingToMap() {
  const { navigate, address } = useService();
  return (
    <Notice title="Too few pictures for a map">
      <p>A map needs at least ten pictures in the collection “{address.collection}”.</p>
      <Button look="primary" onClick={() => navigate({ ...START, page: 'import', collection: address.collection })}>
        Import pictures
      </Button>
    </Notice>
  );
}

/** The value of the last change of `version`: a new list of equal points would redraw the map. */
function useStable<Value>(value: Value, version: string): Value {
  const [held, setHeld] = useState({ value, version });
  if (held.version === version) return held.value;
  setHeld({ value, version });
  return value;
}
