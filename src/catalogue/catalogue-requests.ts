import type { AddResult, DurableCatalogue, KnownFile, NewImage } from './catalogue.js';

/** An image as it is sent to the engine: checked, its embedding of length 1. */
export type CheckedImage = Omit<NewImage, 'metadata'> & { readonly metadataJson: string | undefined };
/** A stored file under another id, as it is sent to the engine. */
export type KnownImage = Omit<KnownFile, 'metadata'> & { readonly metadataJson: string | undefined };

/** The catalogue's methods as its engine serves them; arguments are checked already. */
type EngineMethods = Omit<DurableCatalogue, 'add' | 'addKnown' | 'close'> & {
  add(collection: string, image: CheckedImage): Promise<AddResult>;
  addKnown(collection: string, image: KnownImage): Promise<AddResult | undefined>;
};

type RequestOf<Method extends keyof EngineMethods> = {
  [Name in Method]: { readonly method: Name; readonly args: Parameters<EngineMethods[Name]> };
}[Method];

/** Requests that change records; they are committed in groups. */
export type WriteRequest = RequestOf<
  'add' | 'addKnown' | 'remove' | 'removeCollection' | 'patchMetadata' | 'changeImport'
>;
/** Requests that only read. */
export type ReadRequest = RequestOf<Exclude<keyof EngineMethods, WriteRequest['method'] | 'saveIndexes' | 'copyTo'>>;
/**
 * One call of a method as data. saveIndexes and copyTo write files beside the database while everything else goes on.
 */
export type CatalogueRequest = RequestOf<keyof EngineMethods>;

export type RequestOutcome = { readonly value: unknown } | { readonly error: unknown };

/** Images of one transaction and its duration until it was flushed. */
export type CommitReport = { readonly images: number; readonly ms: number };

/** What the thread tells its owner without being asked. */
export type EngineEvent =
  | { readonly kind: 'commit'; readonly report: CommitReport }
  | { readonly kind: 'warning'; readonly message: string };

const WRITES: ReadonlySet<string> = new Set<WriteRequest['method']>([
  'add',
  'addKnown',
  'remove',
  'removeCollection',
  'patchMetadata',
  'changeImport',
]);

export function isWrite(request: CatalogueRequest): request is WriteRequest {
  return WRITES.has(request.method);
}
