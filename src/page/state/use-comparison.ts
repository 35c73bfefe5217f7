import { useEffect, useState } from 'preact/hooks';
import { type Comparison, LikenessError } from '../../client/client.js';
import type { Example } from './query/page-address.js';
import { useService } from './service.js';
import { localFile } from './use-search.js';

/** The comparison of two pictures; `why` says why there is none. */
export type KnownComparison = { readonly comparison?: Comparison; readonly why?: string; readonly isLoading: boolean };

/** Compares the query with a stored picture. `query` is undefined where the search has several examples. */
export function useComparison(query: Example | undefined, id: string | undefined): KnownComparison {
  const { client, address, locals } = useService();
  const { collection } = address;
  const [known, setKnown] = useState<KnownComparison>({ isLoading: false });
  // An example is equal to another by value.
  useEffect(() => {
    if (query === undefined || id === undefined) return setKnown({ isLoading: false });
    if (query.kind === 'url')
      return setKnown({ isLoading: false, why: 'Matching areas are not available for image URLs.' });
    const controller = new AbortController();
    const compare = async (): Promise<void> => {
      const a = query.kind === 'stored' ? { id: query.id } : await localFile(locals, query.key);
      const place = collection === 'default' ? {} : { collection };
      const comparison = await client.compare({ a, b: { id }, ...place }, { signal: controller.signal });
      setKnown({ isLoading: false, comparison });
    };
    setKnown({ isLoading: true });
    compare().catch((error: unknown) => {
      if (!controller.signal.aborted) setKnown({ isLoading: false, why: whyNot(error) });
    });
    return () => controller.abort();
  }, [client, collection, id, query?.kind, query === undefined ? '' : JSON.stringify(query)]);
  return known;
}

function whyNot(error: unknown): string {
  if (error instanceof LikenessError && error.code === 'NOT_FOUND') return 'This service has no comparison of areas.';
  return error instanceof Error ? error.message : 'The comparison failed.';
}
