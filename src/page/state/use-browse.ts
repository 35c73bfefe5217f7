import { useCallback, useEffect, useState } from 'preact/hooks';
import type { StoredImage } from '../../client/client.js';
import { useService } from './service.js';

const PAGE_SIZE = 60;

/** Stored pictures, oldest first, page by page. */
export type Browse = {
  readonly images: readonly StoredImage[];
  readonly hasMore: boolean;
  readonly isLoading: boolean;
  readonly error: unknown;
  readonly loadMore: () => void;
};

type Listed = {
  readonly images: readonly StoredImage[];
  readonly cursor: string | undefined;
  readonly isWhole: boolean;
  readonly error: unknown;
};
const NOTHING: Listed = { images: [], cursor: undefined, isWhole: false, error: undefined };

/** Lists the collection of the address. A new `version` lists it again from the start. */
export function useBrowse(version: number): Browse {
  const { client, address } = useService();
  const { collection } = address;
  const [listed, setListed] = useState(NOTHING);
  const [isLoading, setIsLoading] = useState(false);
  const load = useCallback(
    async (cursor: string | undefined, signal?: AbortSignal): Promise<void> => {
      setIsLoading(true);
      try {
        const page = await client.images(
          { collection, limit: PAGE_SIZE, ...(cursor !== undefined && { cursor }) },
          { signal },
        );
        setListed((now) => {
          if (now.cursor !== cursor) return now;
          const images = [...now.images, ...page.images];
          return { images, cursor: page.nextCursor, isWhole: page.nextCursor === undefined, error: undefined };
        });
      } catch (error) {
        if (!signal?.aborted) setListed((now) => ({ ...now, error }));
      }
      if (!signal?.aborted) setIsLoading(false);
    },
    [client, collection],
  );
  // version is a trigger only.
  useEffect(() => {
    const controller = new AbortController();
    setListed(NOTHING);
    void load(undefined, controller.signal);
    return () => controller.abort();
  }, [load, version]);
  const { cursor } = listed;
  const loadMore = useCallback(() => {
    if (!isLoading && cursor !== undefined) void load(cursor);
  }, [load, isLoading, cursor]);
  return { images: listed.images, hasMore: cursor !== undefined, isLoading, error: listed.error, loadMore };
}
