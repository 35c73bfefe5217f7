/**
 * Pictures named by URL, for the routes: off unless the operator allows it, counted against the memory of uploads like
 * any other picture.
 */

import { SearchError } from '../errors.js';
import { parsePorts } from '../fetching/checked-url.js';
import { createUrlFetcher, type UrlFetcher } from '../fetching/url-fetcher.js';
import type { Settings } from '../settings.js';
import { toSearchError } from './error-answers.js';
import { type Budget, createSharedBudget, reservationOf } from './limits/budget.js';
import type { RequestScope } from './limits/request-tracker.js';
import type { Monitoring } from './monitoring.js';
import { cleanFileName } from './names.js';

/** A picture from elsewhere. `release` gives its memory back to the budget; call it once the bytes are done with. */
type FetchedPicture = { readonly name: string | null; readonly bytes: Buffer; release(): void };

/** Pictures by URL. */
export type PictureUrls = {
  /**
   * Throws as {@link UrlFetcher} does, URL_FETCH_OFF where nothing may be fetched, and OVERLOADED where the memory of
   * uploads is full.
   */
  fetch(scope: RequestScope, url: string): Promise<FetchedPicture>;
  /** Throws URL_FETCH_OFF where nothing may be fetched. */
  refuseWhereOff(): void;
  readonly active: number;
};

type UrlSettings = Pick<
  Settings,
  | 'allowUrlFetch'
  | 'urlFetchPorts'
  | 'urlFetchNetworks'
  | 'urlFetchTimeoutMs'
  | 'urlFetchConcurrency'
  | 'maxUploadBytes'
>;

/** Reads the settings of fetching. Throws INVALID_SETTINGS where one is wrong, also while fetching is off. */
export function createPictureUrls(parts: {
  readonly settings: UrlSettings;
  readonly memory: Budget;
  readonly monitoring: Monitoring;
  readonly version: string;
}): PictureUrls {
  const { settings, memory, monitoring, version } = parts;
  const fetcher: UrlFetcher = createUrlFetcher({
    ports: parsePorts(settings.urlFetchPorts),
    networks:
      settings.urlFetchNetworks === '' ? [] : settings.urlFetchNetworks.split(',').map((network) => network.trim()),
    timeoutMs: settings.urlFetchTimeoutMs,
    concurrency: settings.urlFetchConcurrency,
    userAgent: `likeness/${version}`,
  });
  const permits = createSharedBudget({
    limit: settings.urlFetchConcurrency,
    message: `${settings.urlFetchConcurrency} URLs are fetched at once, and one caller gets a share of them (--url-fetch-concurrency).`,
  });
  const refuseWhereOff = (): void => {
    if (!settings.allowUrlFetch)
      throw new SearchError('URL_FETCH_OFF', 'This service fetches nothing by URL (--allow-url-fetch).');
  };
  return {
    async fetch(scope, url) {
      refuseWhereOff();
      const release = permits.reserve(scope.caller, 1);
      const reservation = reservationOf(memory);
      const startedAt = performance.now();
      try {
        const { bytes, name } = await fetcher.fetch(url, {
          maxBytes: settings.maxUploadBytes,
          signal: scope.signal,
          caller: scope.caller,
          onBytes: (count) => reservation.grow(count),
        });
        monitoring.countUrlFetch('fetched', performance.now() - startedAt);
        return { bytes, name: cleanFileName(name), release: () => reservation.end() };
      } catch (error) {
        reservation.end();
        monitoring.countUrlFetch(toSearchError(error).code, performance.now() - startedAt);
        throw error;
      } finally {
        release();
      }
    },
    refuseWhereOff,
    get active() {
      return fetcher.active;
    },
  };
}
