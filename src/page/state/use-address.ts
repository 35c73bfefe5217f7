import { useCallback, useEffect, useState } from 'preact/hooks';
import { formatAddress, type PageAddress, parseAddress } from './page-address.js';

/** Goes to another state. Without `replace` the back button returns to the one before. */
export type Navigate = (next: PageAddress | ((now: PageAddress) => PageAddress), options?: { readonly replace?: boolean }) => void;

/** The page's state, bound to the browser's address and its history. */
export function useAddress(): readonly [PageAddress, Navigate] {
  const [address, setAddress] = useState(() => parseAddress(location.search));
  useEffect(() => {
    const read = (): void => setAddress(parseAddress(location.search));
    addEventListener('popstate', read);
    return () => removeEventListener('popstate', read);
  }, []);
  const navigate = useCallback<Navigate>((next, { replace = false } = {}) => {
    // From the address itself, not from a state of an earlier turn: two calls in one turn both count.
    const now = parseAddress(location.search);
    const target = typeof next === 'function' ? next(now) : next;
    const text = formatAddress(target);
    if (text !== formatAddress(now)) history[replace ? 'replaceState' : 'pushState'](null, '', text);
    setAddress(target);
    if (!replace && target.page !== now.page) scrollTo(0, 0);
  }, []);
  return [address, navigate];
}
