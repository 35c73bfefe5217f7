import { useCallback, useEffect, useState } from 'preact/hooks';
import { type Collections, LikenessError } from '../../client/client.js';
import { useService } from './service.js';

/** The collections of the service; `images` counts the pictures of the one that the address names. Undefined while they are not known. */
export type KnownCollections = {
  readonly collections: Collections['collections'] | undefined;
  readonly images: number | undefined;
  readonly error: unknown;
  readonly again: () => void;
};

/** Asks for the collections once, and again when told to. A service that wants a key asks for it here first. */
export function useCollections(): KnownCollections {
  const { client, address, apiKey, askForKey } = useService();
  const [known, setKnown] = useState<Pick<KnownCollections, 'collections' | 'error'>>({ collections: undefined, error: undefined });
  const [turn, setTurn] = useState(0);
  // Turn asks once more.
  useEffect(() => {
    const given = new AbortController();
    client.collections({ signal: given.signal }).then(
      ({ collections }) => setKnown({ collections, error: undefined }),
      (error: unknown) => {
        if (given.signal.aborted) return;
        setKnown({ collections: undefined, error });
        if (error instanceof LikenessError && error.code === 'UNAUTHORISED') {
          askForKey(apiKey === undefined ? 'This service asks for a key.' : 'The service does not know this key.');
        }
      },
    );
    return () => given.abort();
  }, [client, turn]);
  const images = known.collections?.find(({ name }) => name === address.collection)?.images;
  return {
    ...known,
    images: known.collections === undefined ? undefined : (images ?? 0),
    again: useCallback(() => setTurn((now) => now + 1), []),
  };
}
