import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { Picture, SearchPage, SearchQuery, SearchResult } from '../../client/client.js';
import { MissingPictureError } from './error-words.js';
import type { LocalPictures } from './local-pictures.js';
import { type Example, type PageAddress, searchKey } from './page-address.js';
import { useService } from './service.js';

/** What a search has found so far. `page` is the latest answer; while a new search runs, the results of the one before stay in sight. */
export type Found = {
  readonly status: 'idle' | 'searching' | 'found' | 'failed';
  readonly results: readonly SearchResult[];
  readonly page: SearchPage | undefined;
  readonly error: unknown;
  readonly isLoadingMore: boolean;
  readonly moreError: unknown;
};

/** The search, and what can be done with its results. */
export type Search = Found & {
  /** Loads the next page, where there is one and it is not on its way. */
  readonly loadMore: () => void;
  readonly again: () => void;
  /** Takes removed images out of the results. */
  readonly drop: (ids: ReadonlySet<string>) => void;
  /** Puts changed metadata into the results. */
  readonly update: (id: string, metadata: SearchResult['metadata']) => void;
};

const NOTHING: Found = { status: 'idle', results: [], page: undefined, error: undefined, isLoadingMore: false, moreError: undefined };
/** A slider that moves asks once it rests. */
const REST_MS = 120;

/** Runs the search that the address describes, again whenever that changes; a newer one gives up the older. */
export function useSearch(): Search {
  const { client, address, locals } = useService();
  const [found, setFound] = useState(NOTHING);
  const [turn, setTurn] = useState(0);
  const isMore = useRef(false);
  const latest = useRef(address);
  latest.current = address;
  const key = searchKey(address);

  // The key stands for what matters of the address; turn asks once more.
  useEffect(() => {
    if (latest.current.like.length === 0) return setFound(NOTHING);
    const given = new AbortController();
    isMore.current = false;
    setFound((before) => ({ ...before, status: 'searching', error: undefined, isLoadingMore: false, moreError: undefined }));
    const timer = setTimeout(async () => {
      try {
        const page = await client.search(await toQuery(latest.current, locals), { signal: given.signal });
        if (!given.signal.aborted) setFound({ ...NOTHING, status: 'found', results: page.results, page });
      } catch (error) {
        if (!given.signal.aborted) setFound({ ...NOTHING, status: 'failed', error });
      }
    }, REST_MS);
    return () => {
      clearTimeout(timer);
      given.abort();
    };
  }, [key, client, turn]);

  const cursor = found.page?.nextCursor;
  const loadMore = useCallback(async () => {
    if (cursor === undefined || isMore.current) return;
    isMore.current = true;
    setFound((before) => ({ ...before, isLoadingMore: true, moreError: undefined }));
    try {
      const page = await client.search({ ...(await toQuery(latest.current, locals)), cursor });
      setFound((before) => {
        if (before.page?.nextCursor !== cursor) return before; // Another search began in the meantime.
        const known = new Set(before.results.map(({ id }) => id));
        return { ...before, page, isLoadingMore: false, results: [...before.results, ...page.results.filter(({ id }) => !known.has(id))] };
      });
    } catch (moreError) {
      setFound((before) => (before.page?.nextCursor === cursor ? { ...before, isLoadingMore: false, moreError } : before));
    } finally {
      isMore.current = false;
    }
  }, [client, locals, cursor]);

  return {
    ...found,
    loadMore,
    again: useCallback(() => setTurn((now) => now + 1), []),
    drop: useCallback((ids) => setFound((now) => ({ ...now, results: now.results.filter(({ id }) => !ids.has(id)) })), []),
    update: useCallback((id, metadata) => {
      const change = (result: SearchResult): SearchResult => (result.id === id ? { ...result, metadata } : result);
      setFound((now) => ({ ...now, results: now.results.map(change) }));
    }, []),
  };
}

/** The picture of an example that this browser keeps. Throws MissingPictureError where it keeps it no longer. */
export async function localFile(locals: LocalPictures, key: string): Promise<File> {
  const kept = await locals.get(key);
  if (kept === undefined) throw new MissingPictureError();
  return new File([kept.file], kept.name, { type: kept.file.type });
}

/** What the client is asked: pictures from this browser's store, options only where the service takes them. */
export async function toQuery(address: PageAddress, locals: LocalPictures): Promise<SearchQuery> {
  const { like, unlike, crop, collection, k, fold, mirror, turn, minScore, filter } = address;
  const isOne = like.length === 1 && unlike.length === 0;
  const views = [mirror && 'mirror', turn && 'turn'].filter(Boolean).join(',');
  const files = (examples: readonly Example[]): Promise<Picture[]> =>
    Promise.all(examples.filter((one) => one.kind === 'local').map(({ key }) => localFile(locals, key)));
  const ids = (examples: readonly Example[]): string[] => examples.filter((one) => one.kind === 'stored').map(({ id }) => id);
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
