import { useCallback, useEffect, useState } from 'preact/hooks';
import { formatAddress, type PageAddress, parseAddress } from './page-address.js';

/**
 * Changes the state. `replace` leaves no entry for Back. Entries made here have a history.state, those of links
 * have none.
 */
export type Navigate = (
  next: PageAddress | ((now: PageAddress) => PageAddress),
  options?: { readonly replace?: boolean },
) => void;

/** The page's state, bound to the browser's address and history. */
export function useAddress(): readonly [PageAddress, Navigate] {
  const [address, setAddress] = useState(() => parseAddress(location.search));
  useEffect(() => {
    const read = (): void => setAddress(parseAddress(location.search));
    addEventListener('popstate', read);
    return () => removeEventListener('popstate', read);
  }, []);
  const navigate = useCallback<Navigate>((next, { replace = false } = {}) => {
    // From location, not from React state: two calls before a render both count.
    const now = parseAddress(location.search);
    const target = typeof next === 'function' ? next(now) : next;
    const text = formatAddress(target);
    if (text !== formatAddress(now)) history[replace ? 'replaceState' : 'pushState']({}, '', text);
    setAddress(target);
    if (!replace && target.page !== now.page) scrollTo(0, 0);
  }, []);
  return [address, navigate];
}
