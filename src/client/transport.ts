import { errorOfAnswer, LikenessError } from './likeness-error.js';

/** How often a request that was answered 429 or 503 is sent again, and how long it waits at most in between. The first time counts. */
export type RetryOptions = { readonly attempts: number; readonly longestPauseMs?: number };

/** Where the service is and how to speak to it. Without `retry` nothing is sent twice. `fetch` is the runtime's own where none is given. */
export type ClientOptions = {
  readonly url: string | URL;
  readonly apiKey?: string | undefined;
  readonly retry?: RetryOptions;
  readonly fetch?: (url: URL, init: RequestInit) => Promise<Response>;
};

/** What a caller may choose for one call: a signal that gives it up, and patience of its own. */
export type CallOptions = { readonly signal?: AbortSignal | undefined; readonly retry?: RetryOptions };

/** A value of a query string; lists are repeated, what is undefined is left out. */
export type QueryValue = string | number | boolean | readonly string[] | undefined;

/** One request: the path below the service's address, its query and its body. */
export type Ask = {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: { readonly [name: string]: QueryValue };
  readonly json?: unknown;
  readonly body?: FormData | Blob;
  readonly call?: CallOptions | undefined;
};

/** Sends requests: answers of success come back, all others are thrown as {@link LikenessError}; an abort is thrown as it is. */
export type Transport = {
  /** The address of a path of the service; it keeps a prefix that a proxy put before it. */
  address(path: string, query?: Ask['query']): URL;
  send(ask: Ask): Promise<Response>;
  /** The JSON of an answer. Its type is the caller's word: the service's own schemas wrote it, and the tests check them. */
  json<Answer>(ask: Ask): Promise<Answer>;
};

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

/** The one place that calls fetch. */
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

  const sendOnce = async ({ method = 'GET', path, query, json, body, call }: Ask): Promise<Response> => {
    const headers: Record<string, string> = {};
    if (options.apiKey !== undefined) headers['x-api-key'] = options.apiKey;
    if (json !== undefined) headers['content-type'] = 'application/json';
    const url = address(path, query);
    const payload = json === undefined ? body : JSON.stringify(json);
    let response: Response;
    try {
      const init = { method, headers, ...(payload !== undefined && { body: payload }), ...(call?.signal && { signal: call.signal }) };
      response = await fetchOf(url, init);
    } catch (cause) {
      if (call?.signal?.aborted) throw cause;
      throw new LikenessError({ code: 'UNREACHABLE', message: `No answer from ${base.origin}.`, httpStatus: 0, cause });
    }
    if (response.ok) return response;
    throw errorOfAnswer(response, await response.json().catch(() => undefined));
  };

  const send = async (ask: Ask): Promise<Response> => {
    const { attempts = 1, longestPauseMs = LONGEST_PAUSE_MS } = ask.call?.retry ?? options.retry ?? {};
    for (let attempt = 1; ; attempt++) {
      try {
        return await sendOnce(ask);
      } catch (error) {
        if (!(error instanceof LikenessError) || !error.isTemporary || attempt >= attempts) throw error;
        const asked = error.retryAfterSeconds === undefined ? FIRST_PAUSE_MS * 2 ** (attempt - 1) : error.retryAfterSeconds * 1000;
        await pause(Math.min(asked, longestPauseMs), ask.call?.signal);
      }
    }
  };

  return {
    address,
    send,
    async json<Answer>(ask: Ask) {
      const response = await send(ask);
      try {
        return (await response.json()) as Answer;
      } catch (cause) {
        if (ask.call?.signal?.aborted) throw cause;
        throw new LikenessError({
          code: 'UNEXPECTED_ANSWER',
          message: 'The answer is not JSON.',
          httpStatus: response.status,
          requestId: response.headers.get('x-request-id') ?? undefined,
          cause,
        });
      }
    },
  };
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const give = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', give);
      resolve();
    }, milliseconds);
    if (signal?.aborted) give();
    else signal?.addEventListener('abort', give, { once: true });
  });
}
