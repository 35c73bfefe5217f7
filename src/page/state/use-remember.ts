import { useEffect } from 'preact/hooks';
import { type Example, exampleName, formatAddress } from './page-address.js';
import { shortName } from './result-words.js';
import { remember } from './search-history.js';
import { useService } from './service.js';
import type { Search } from './use-search.js';

/** Puts every search that was answered into this browser's history. */
export function useRemember({ status, page }: Search): void {
  const { address } = useService();
  const { like, unlike, collection } = address;
  // One answer is one entry, and when it comes the address is still its own.
  useEffect(() => {
    const [first] = like;
    if (status !== 'found' || first === undefined) return;
    const others = like.length + unlike.length - 1;
    remember({
      // Without what narrows it, so that moving a slider does not make a new entry each time.
      address: formatAddress({ ...address, open: undefined, minScore: undefined, crop: undefined, comparison: 'side' }),
      label: `${labelOf(first)}${others === 0 ? '' : ` and ${others} more`}`,
      at: Date.now(),
      picture: { kind: first.kind, value: exampleName(first), collection },
    });
  }, [page]);
}

function labelOf(example: Example): string {
  return example.kind === 'local' ? 'a picture of yours' : shortName(exampleName(example));
}
