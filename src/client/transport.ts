import { errorOfResponse, LikenessError } from './likeness-error.js';

/**
 * Retries of a request that got the status 429 or 503 and, with `whenUnreachable`, of one that got no response.
 * `attempts` counts the first one. A pause is what Retry-After says, otherwise it doubles from 250 ms, and is at most
 * `longestPauseMs` (default 10,000).
 */
export type RetryOptions = {
  readonly attempts: number;
  readonly longestPauseMs?: number;
  readonly whenUnreachable?: boolean;
};

/** Address and key of the service. Without `retry` no request is sent twice. `fetch` replaces the global function. */
export type ClientOptions = {
  readonly url: string | URL;
  readonly apiKey?: string | undefined;
  readonly retry?: RetryOptions;
  readonly fetch?: (url: URL, init: RequestInit) => Promise<Response>;
};

/** Options of one call: a signal that aborts it, and its own retries. */
export type CallOptions = { readonly signal?: AbortSignal | undefined; readonly retry?: RetryOptions };

/** A value in a query string. A list repeats the parameter; undefined omits it. */
export type QueryValue = string | number | boolean | readonly string[] | undefined;

/** One request: the path below the address of the service, query and body. */
export type ServiceRequest = {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: { readonly [name: string]: QueryValue };
  readonly json?: unknown;
  readonly body?: FormData | Blob;
  readonly call?: CallOptions | undefined;
};

/**
 * Sends requests. A response of another status than 2xx is thrown as {@link LikenessError}, an abort as the reason of
 * the signal.
 */
export type Transport = {
  /** The URL of a path of the service; a path prefix in the address of the service is kept. */
  address(path: string, query?: ServiceRequest['query']): URL;
  send(request: ServiceRequest): Promise<Response>;
  /**
   * The JSON of a response. Its type is not checked here: the schemas of the service define it, and tests compare them.
   */
  json<Body>(request: ServiceRequest): Promise<Body>;
};

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

/** The only caller of fetch. */
export function createTransport(options: ClientOptions): Transport {
  const base = new URL(options.url);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  const fetchOf = options.fetch ?? ((url: URL, init: RequestInit) => fetch(url, init));

  const address: Transport['address'] = (path, query = {}) => {
    const url = new URL(path.replace(/^\//, ''), base);
    for (const [name, value] of Object.entries(query)) {
      if (value === undefined) continue;
      for (const one of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(one));
    }
    return url;
  };

  const sendOnce = async ({ method = 'GET', path, query, json, body, call }: ServiceRequest): Promise<Response> => {
    const headers: Record<string, string> = {};
    if (options.apiKey !== undefined) headers['x-api-key'] = options.apiKey;
    if (json !== undefined) headers['content-type'] = 'application/json';
    const url = address(path, query);
    const payload = json === undefined ? body : JSON.stringify(json);
    let response: Response;
    try {
      const init = {
        method,
        headers,
        ...(payload !== undefined && { body: payload }),
        ...(call?.signal && { signal: call.signal }),
      };
      response = await fetchOf(url, init);
    } catch (cause) {
      if (call?.signal?.aborted) throw cause;
      throw new LikenessError({
        code: 'UNREACHABLE',
        message: `No response from ${base.origin}: ${reasonOf(cause)}.`,
        httpStatus: 0,
        cause,
      });
    }
    if (response.ok) return response;
    throw errorOfResponse(response, await response.json().catch(() => undefined));
  };

  const send = async (request: ServiceRequest): Promise<Response> => {
    const { call } = request;
    const {
      attempts = 1,
      longestPauseMs = LONGEST_PAUSE_MS,
      whenUnreachable = false,
    } = call?.retry ?? options.retry ?? {};
    for (let attempt = 1; ; attempt++) {
      try {
        return await sendOnce(request);
      } catch (error) {
        if (!(error instanceof LikenessError) || attempt >= attempts) throw error;
        if (!error.isTemporary && !(whenUnreachable && error.code === 'UNREACHABLE')) throw error;
        const { retryAfterSeconds = (FIRST_PAUSE_MS * 2 ** (attempt - 1)) / 1000 } = error;
        await pause(Math.min(retryAfterSeconds * 1000, longestPauseMs), call?.signal);
      }
    }
  };

  return {
    address,
    send,
    async json<Body>(request: ServiceRequest) {
      const response = await send(request);
      try {
        return (await response.json()) as Body;
      } catch (cause) {
        if (request.call?.signal?.aborted) throw cause;
        throw new LikenessError({
          code: 'UNEXPECTED_ANSWER',
          message: 'The response is not JSON.',
          httpStatus: response.status,
          requestId: response.headers.get('x-request-id') ?? undefined,
          cause,
        });
      }
    },
  };
}

/** The reason of a failed fetch, which is the cause of its error. */
function reasonOf(error: unknown): string {
  const { cause } = error as { readonly cause?: unknown };
  if (cause instanceof Error && cause.message !== '') return cause.message;
  const code = (cause as { readonly code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : error instanceof Error ? error.message : String(error);
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}
