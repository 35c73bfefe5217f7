/** What the command line says to a running service: POST /index and POST /search, with patience where the service asks for it. */
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where the service is and how to speak to it. */
export type ServiceAddress = { readonly url: string; readonly apiKey: string | undefined; readonly collection: string };

/** A refusal of the service, with its stable code. */
export class RefusedError extends Error {
  readonly code: string;
  readonly statusCode: number;

  constructor(statusCode: number, code: string, message: string) {
    super(message);
    this.name = 'RefusedError';
    this.code = code;
    this.statusCode = statusCode;
  }
}

/** One file as POST /index answers it. */
export type IndexOutcome = { readonly id: string; readonly status: 'added' | 'replaced' | 'exists' };

/** One result of POST /search. */
export type SearchResult = {
  readonly id: string;
  readonly score: number;
  readonly metadata: Record<string, unknown>;
  readonly thumbnailUrl: string;
};

const ATTEMPTS = 8;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 15_000;

/**
 * Adds one image. 429 and 503 are waited out as Retry-After says; a lost connection likewise; after {@link ATTEMPTS} the last refusal is
 * thrown. Throws RefusedError for any other answer than 2xx.
 */
export async function indexImage(
  service: ServiceAddress,
  image: { readonly name: string; readonly bytes: Uint8Array; readonly id: string | undefined; readonly metadata: Record<string, unknown> },
  options: { readonly replace: boolean; readonly signal?: AbortSignal },
): Promise<IndexOutcome> {
  const form = (): FormData => {
    const body = new FormData();
    if (image.id !== undefined) body.set('id', image.id);
    body.set('metadata', JSON.stringify(image.metadata));
    // The cast: a Buffer over a SharedArrayBuffer would not do, and none is made here.
    body.set('image', new Blob([image.bytes as Uint8Array<ArrayBuffer>]), image.name);
    return body;
  };
  const path = `/index?collection=${encodeURIComponent(service.collection)}${options.replace ? '&replace=true' : ''}`;
  const answer = (await post(service, path, form, options.signal)) as { images: IndexOutcome[] };
  const outcome = answer.images[0];
  if (outcome === undefined) throw new Error('POST /index answered without an image. This is a bug.');
  return outcome;
}

/** The nearest images to a picture. Throws as {@link indexImage}. */
export async function searchImage(
  service: ServiceAddress,
  query: { readonly bytes: Uint8Array; readonly k: number; readonly minScore?: number; readonly filter?: string },
): Promise<{ readonly results: readonly SearchResult[]; readonly tookMs: Record<string, number> }> {
  const parameters = new URLSearchParams({ collection: service.collection, k: String(query.k) });
  if (query.minScore !== undefined) parameters.set('minScore', String(query.minScore));
  if (query.filter !== undefined) parameters.set('filter', query.filter);
  const form = (): FormData => {
    const body = new FormData();
    body.set('image', new Blob([query.bytes as Uint8Array<ArrayBuffer>]), 'query');
    return body;
  };
  return (await post(service, `/search?${parameters}`, form)) as { results: SearchResult[]; tookMs: Record<string, number> };
}

/**
 * One request without a body, sent once and waited for as long as it takes, unlike by fetch, which gives up after five minutes. Resolves with the
 * answer, its body to be read. Throws RefusedError for any other answer than 2xx.
 */
export async function requestService(
  service: ServiceAddress,
  { method, path }: { readonly method: 'GET' | 'POST' | 'DELETE'; readonly path: string },
): Promise<IncomingMessage> {
  const url = new URL(path, service.url);
  const headers = service.apiKey === undefined ? {} : { 'x-api-key': service.apiKey };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const send = url.protocol === 'https:' ? https.request : http.request;
    send(url, { method, headers }, resolve)
      .on('error', (error) => reject(unreachable(service.url, error)))
      .end();
  });
  const { statusCode = 0 } = response;
  if (statusCode >= 200 && statusCode < 300) return response;
  throw refusal(statusCode, await json(response).catch(() => ({})));
}

async function post(service: ServiceAddress, path: string, form: () => FormData, signal?: AbortSignal): Promise<unknown> {
  const headers: Record<string, string> = service.apiKey === undefined ? {} : { 'x-api-key': service.apiKey };
  for (let attempt = 1; ; attempt++) {
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
    let response: Response;
    try {
      response = await fetch(new URL(path, service.url), { method: 'POST', body: form(), headers, ...(signal && { signal }) });
    } catch (error) {
      if (signal?.aborted || attempt === ATTEMPTS) throw unreachable(service.url, error);
      await sleep(pauseMs, undefined, signal && { signal });
      continue;
    }
    const body: unknown = await response.json().catch(() => ({}));
    if (response.ok) return body;
    const waits = response.status === 429 || response.status === 503;
    if (!waits || attempt === ATTEMPTS) throw refusal(response.status, body);
    const retryAfterMs = Number(response.headers.get('retry-after') ?? Number.NaN) * 1000;
    await sleep(Number.isFinite(retryAfterMs) ? Math.min(LONGEST_PAUSE_MS, retryAfterMs) : pauseMs, undefined, signal && { signal });
  }
}

function refusal(statusCode: number, body: unknown): RefusedError {
  const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown };
  return new RefusedError(statusCode, String(code ?? statusCode), String(message ?? `The service answered ${statusCode}.`));
}

function unreachable(url: string, error: unknown): Error {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
  return new Error(`No answer from ${url}: ${cause}. Is \`likeness serve\` running there?`, { cause: error });
}
