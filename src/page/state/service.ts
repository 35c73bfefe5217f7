/** The page's side of the service: a client under the key of this tab, pictures that need the key, and word of what it knows. */
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { createClient, type LikenessClient } from '../../client/client.js';
import type { LocalPictures } from './local-pictures.js';
import type { PageAddress } from './page-address.js';
import type { Navigate } from './use-address.js';
import type { Incoming } from './use-incoming.js';

/** What every part of the page may use. */
export type Service = {
  readonly client: LikenessClient;
  readonly apiKey: string | undefined;
  readonly locals: LocalPictures;
  readonly address: PageAddress;
  readonly navigate: Navigate;
  /** Says something to who hears the page: politely, once. */
  readonly announce: (words: string) => void;
  /** Asks the person for a key; called where an answer was UNAUTHORISED or FORBIDDEN. */
  readonly askForKey: (reason: string) => void;
  /** Shows a short message that goes by itself. */
  readonly toast: (words: string) => void;
  /** Takes what is dropped or pasted in place of the search, while a page has put a function here. */
  readonly receiver: { current: ((incoming: Incoming) => void) | undefined };
};

const KEY_NAME = 'likeness.key';

/** The key of this tab; it is forgotten when the tab is closed. */
export function readKey(): string | undefined {
  try {
    return sessionStorage.getItem(KEY_NAME) ?? undefined;
  } catch {
    return undefined; // Forbidden by the browser's settings.
  }
}

/** Keeps the key for this tab, or forgets it. */
export function keepKey(key: string | undefined): void {
  try {
    if (key === undefined) sessionStorage.removeItem(KEY_NAME);
    else sessionStorage.setItem(KEY_NAME, key);
  } catch {
    // Forbidden: the key lasts as long as the page.
  }
}

/** A client of the service that the page came from. */
export function pageClient(apiKey: string | undefined): LikenessClient {
  return createClient({ url: new URL('./', document.baseURI), apiKey, retry: { attempts: 3, longestPauseMs: 3000 } });
}

/** Provided by app.tsx. */
export const ServiceContext = createContext<Service | undefined>(undefined);

/** The service, in any part of the page. */
export function useService(): Service {
  const service = useContext(ServiceContext);
  if (service === undefined) throw new Error('A part of the page stands outside of it. This is a bug.');
  return service;
}
