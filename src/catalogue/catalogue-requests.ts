import type { SearchErrorData } from '../errors.js';
import type { DurableCatalogue } from './catalogue.js';

type Methods = Omit<DurableCatalogue, 'close'>;
type RequestOf<Method extends keyof Methods> = {
  [Name in Method]: { readonly method: Name; readonly args: Parameters<Methods[Name]> };
}[Method];

/** What changes records; such requests are committed in groups. */
export type WriteRequest = RequestOf<'add' | 'remove' | 'patchMetadata' | 'changeImport'>;
/** What is answered at once, from one state of records and index. */
export type ReadRequest = RequestOf<Exclude<keyof Methods, WriteRequest['method'] | FileRequest['method']>>;
/** What writes files beside the database and takes as long as it takes; everything else goes on meanwhile. */
export type FileRequest = RequestOf<'saveIndexes' | 'copyTo'>;
/** One call of a {@link DurableCatalogue}'s method as data; answered by its value or an error. */
export type CatalogueRequest = WriteRequest | ReadRequest | FileRequest;

export type RequestOutcome = { readonly value: unknown } | { readonly error: unknown };

/** How many writes one transaction held and how long it took until it was flushed. */
export type CommitReport = { readonly images: number; readonly ms: number };

/** From the catalogue's owner to its worker thread. */
export type MessageToWorker =
  | { readonly kind: 'request'; readonly number: number; readonly request: CatalogueRequest }
  | { readonly kind: 'close' };

/** From the worker thread to the catalogue's owner. `closed` is the last. */
export type MessageFromWorker =
  | { readonly kind: 'opened' | 'closed' }
  | { readonly kind: 'failed'; readonly error: SearchErrorData }
  | { readonly kind: 'answer'; readonly number: number; readonly value: unknown }
  | { readonly kind: 'refusal'; readonly number: number; readonly error: SearchErrorData }
  | { readonly kind: 'commit'; readonly report: CommitReport }
  | { readonly kind: 'warning'; readonly message: string };

export function isWrite(request: CatalogueRequest): request is WriteRequest {
  return request.method === 'add' || request.method === 'remove' || request.method === 'patchMetadata' || request.method === 'changeImport';
}
