import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { Picture, SearchPage, SearchQuery, SearchResult } from '../../client/client.js';
import { MissingPictureError } from './error-messages.js';
import type { LocalPictures } from './query/local-pictures.js';
import { type Example, type PageAddress, searchKey } from './query/page-address.js';
import { useService } from './service.js';

/** State of a search. `page` is the latest response. While a new search runs, the earlier results stay visible. */
type Found = {
  readonly status: 'idle' | 'searching' | 'found' | 'failed';
  readonly results: readonly SearchResult[];
  readonly page: SearchPage | undefined;
  readonly error: unknown;
  readonly isLoadingMore: boolean;
  readonly moreError: unknown;
};

/** The state of a search and its actions. */
export type Search = Found & {
  /** Loads the next page, if there is one and it is not being loaded. */
  readonly loadMore: () => void;
  readonly retry: () => void;
  /** Removes deleted images from the results. */
  readonly drop: (ids: ReadonlySet<string>) => void;
  /** Replaces the metadata of a result. */
  readonly update: (id: string, metadata: SearchResult['metadata']) => void;
};

const NOTHING: Found = {
  status: 'idle',
  results: [],
  page: undefined,
  error: undefined,
  isLoadingMore: false,
  moreError: undefined,
};
/** Wait after the last change of the address, e.g. of a moving slider. */
const DEBOUNCE_MS = 120;

/** Runs the search of the address, again on each change; a newer search aborts the older one. */
export function useSearch(): Search {
  const { client, address, locals } = useService();
  const [found, setFound] = useState(NOTHING);
  const [attempt, setAttempt] = useState(0);
  const isMore = useRef(false);
  const latest = useRef(address);
  latest.current = address;
  const key = searchKey(address);

  // key covers all of the address that matters; attempt is a trigger only.
  useEffect(() => {
    if (latest.current.like.length === 0) return setFound(NOTHING);
    const controller = new AbortController();
    isMore.current = false;
    setFound((before) => ({
      ...before,
      status: 'searching',
      error: undefined,
      isLoadingMore: false,
      moreError: undefined,
    }));
    const timer = setTimeout(async () => {
      try {
        const page = await client.search(await toQuery(latest.current, locals), { signal: controller.signal });
        if (!controller.signal.aborted) setFound({ ...NOTHING, status: 'found', results: page.results, page });
      } catch (error) {
        if (!controller.signal.aborted) setFound({ ...NOTHING, status: 'failed', error });
      }
    }, DEBOUNCE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [key, client, attempt]);

  const cursor = found.page?.nextCursor;
  const loadMore = useCallback(async () => {
    if (cursor === undefined || isMore.current) return;
    isMore.current = true;
    setFound((before) => ({ ...before, isLoadingMore: true, moreError: undefined }));
    try {
      const page = await client.search({ ...(await toQuery(latest.current, locals)), cursor });
      setFound((before) => {
        if (before.page?.nextCursor !== cursor) return before; // Another search has started.
        const known = new Set(before.results.map(({ id }) => id));
        return {
          ...before,
          page,
          isLoadingMore: false,
          results: [...before.results, ...page.results.filter(({ id }) => !known.has(id))],
        };
      });
    } catch (moreError) {
      setFound((before) =>
        before.page?.nextCursor === cursor ? { ...before, isLoadingMore: false, moreError } : before,
      );
    } finally {
      isMore.current = false;
    }
  }, [client, locals, cursor]);

  return {
    ...found,
    loadMore,
    retry: useCallback(() => setAttempt((now) => now + 1), []),
    drop: useCallback(
      (ids) => setFound((now) => ({ ...now, results: now.results.filter(({ id }) => !ids.has(id)) })),
      [],
    ),
    update: useCallback((id, metadata) => {
      const change = (result: SearchResult): SearchResult => (result.id === id ? { ...result, metadata } : result);
      setFound((now) => ({ ...now, results: now.results.map(change) }));
    }, []),
  };
}

/** The file of a query picture held by this browser. Throws MissingPictureError if it is gone. */
export async function localFile(locals: LocalPictures, key: string): Promise<File> {
  const kept = await locals.get(key);
  if (kept === undefined) throw new MissingPictureError();
  return new File([kept.file], kept.name, { type: kept.file.type });
}

/** The request of the address: files from this browser's store, options only where the service accepts them. */
async function toQuery(address: PageAddress, locals: LocalPictures): Promise<SearchQuery> {
  const { like, unlike, crop, collection, k, fold, mirror, turn, minScore, filter } = address;
  const isOne = like.length === 1 && unlike.length === 0;
  const views = [mirror && 'mirror', turn && 'turn'].filter(Boolean).join(',');
  const files = (examples: readonly Example[]): Promise<Picture[]> =>
    Promise.all(examples.filter((one) => one.kind === 'local').map(({ key }) => localFile(locals, key)));
  const ids = (examples: readonly Example[]): string[] =>
    examples.filter((one) => one.kind === 'stored').map(({ id }) => id);
  const url = like.find((one) => one.kind === 'url')?.url;
  return {
    k,
    groups: true,
    ...(fold && { fold }),
    ...(isOne && views !== '' && { views }),
    ...(like.length === 1 && crop !== undefined && { crop }),
    ...(minScore !== undefined && { minScore }),
    ...(filter !== undefined && { filter }),
    ...(collection !== 'default' && { collection }),
    ...(url !== undefined && { url }),
    ids: ids(like),
    negativeIds: ids(unlike),
    pictures: await files(like),
    negativePictures: await files(unlike),
  };
}
