/** What all parts of the page share: API client, key, address, messages. */
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { createClient, type LikenessClient } from '../../client/client.js';
import type { LocalPictures } from './query/local-pictures.js';
import type { PageAddress } from './query/page-address.js';
import type { Navigate } from './query/use-address.js';
import type { Incoming } from './query/use-incoming.js';

/** Shared by all parts of the page; see {@link useService}. */
export type Service = {
  readonly client: LikenessClient;
  readonly apiKey: string | undefined;
  readonly locals: LocalPictures;
  readonly address: PageAddress;
  readonly navigate: Navigate;
  /** Whether the service fetches image URLs; undefined until known. */
  readonly canFetchUrls: boolean | undefined;
  /** Announces a message to screen readers (aria-live, polite). */
  readonly announce: (message: string) => void;
  /** Opens the key dialog, after UNAUTHORISED or FORBIDDEN. */
  readonly askForKey: (reason: string) => void;
  /** Shows a message for a few seconds. */
  readonly toast: (message: string) => void;
  /** Receives dropped and pasted pictures while set; otherwise they start a search. */
  readonly receiver: { current: ((incoming: Incoming) => void) | undefined };
};

const KEY_NAME = 'likeness.key';

/** The API key of this tab (sessionStorage). */
export function readKey(): string | undefined {
  try {
    return sessionStorage.getItem(KEY_NAME) ?? undefined;
  } catch {
    return undefined; // Forbidden by the browser's settings.
  }
}

/** Stores the API key for this tab, or removes it. */
export function keepKey(key: string | undefined): void {
  try {
    if (key === undefined) sessionStorage.removeItem(KEY_NAME);
    else sessionStorage.setItem(KEY_NAME, key);
  } catch {
    // Forbidden: the key lasts until the page is reloaded.
  }
}

/** A client of the service that served the page. */
export function pageClient(apiKey: string | undefined): LikenessClient {
  return createClient({ url: new URL('./', document.baseURI), apiKey, retry: { attempts: 3, longestPauseMs: 3000 } });
}

/** Provided by app.tsx. */
export const ServiceContext = createContext<Service | undefined>(undefined);

/** The service, in any part of the page. */
export function useService(): Service {
  const service = useContext(ServiceContext);
  if (service === undefined) throw new Error('useService needs a ServiceContext provider. This is a bug.');
  return service;
}
