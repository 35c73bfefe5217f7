import { useEffect, useState } from 'preact/hooks';
import { type Comparison, LikenessError } from '../../client/client.js';
import type { Example } from './page-address.js';
import { useService } from './service.js';
import { localFile } from './use-search.js';

/** What two pictures are to each other; `why` says in words why it is not known. */
export type KnownComparison = { readonly comparison?: Comparison; readonly why?: string; readonly isLoading: boolean };

/** Compares the query with a stored picture. Undefined examples (several, or none) are not compared. */
export function useComparison(query: Example | undefined, id: string | undefined): KnownComparison {
  const { client, address, locals } = useService();
  const { collection } = address;
  const [known, setKnown] = useState<KnownComparison>({ isLoading: false });
  // An example is what its name says.
  useEffect(() => {
    if (query === undefined || id === undefined) return setKnown({ isLoading: false });
    if (query.kind === 'url') return setKnown({ isLoading: false, why: 'Pictures by address are not compared in parts.' });
    const given = new AbortController();
    const compare = async (): Promise<void> => {
      const a = query.kind === 'stored' ? { id: query.id } : await localFile(locals, query.key);
      const place = collection === 'default' ? {} : { collection };
      const comparison = await client.compare({ a, b: { id }, ...place }, { signal: given.signal });
      setKnown({ isLoading: false, comparison });
    };
    setKnown({ isLoading: true });
    compare().catch((error: unknown) => {
      if (!given.signal.aborted) setKnown({ isLoading: false, why: whyNot(error) });
    });
    return () => given.abort();
  }, [client, collection, id, query?.kind, query === undefined ? '' : JSON.stringify(query)]);
  return known;
}

function whyNot(error: unknown): string {
  if (error instanceof LikenessError && error.code === 'NOT_FOUND') return 'This service does not compare pictures in parts.';
  return error instanceof Error ? error.message : 'The comparison failed.';
}
