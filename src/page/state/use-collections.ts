import { useCallback, useEffect, useState } from 'preact/hooks';
import { type Collections, LikenessError } from '../../client/client.js';
import { useService } from './service.js';

/** The collections of the service; `images` counts the pictures of the current one. Undefined until loaded. */
export type KnownCollections = {
  readonly collections: Collections['collections'] | undefined;
  readonly images: number | undefined;
  readonly error: unknown;
  readonly reload: () => void;
};

/** Loads the collections. It is the page's first request, so a missing key is noticed here. */
export function useCollections(): KnownCollections {
  const { client, address, apiKey, askForKey } = useService();
  const [known, setKnown] = useState<Pick<KnownCollections, 'collections' | 'error'>>({
    collections: undefined,
    error: undefined,
  });
  const [attempt, setAttempt] = useState(0);
  // attempt is a trigger only.
  useEffect(() => {
    const controller = new AbortController();
    client.collections({ signal: controller.signal }).then(
      ({ collections }) => setKnown({ collections, error: undefined }),
      (error: unknown) => {
        if (controller.signal.aborted) return;
        setKnown({ collections: undefined, error });
        if (error instanceof LikenessError && error.code === 'UNAUTHORISED') {
          askForKey(apiKey === undefined ? 'This service requires an API key.' : 'The service rejected this API key.');
        }
      },
    );
    return () => controller.abort();
  }, [client, attempt]);
  const images = known.collections?.find(({ name }) => name === address.collection)?.images;
  return {
    ...known,
    images: known.collections === undefined ? undefined : (images ?? 0),
    reload: useCallback(() => setAttempt((now) => now + 1), []),
  };
}
