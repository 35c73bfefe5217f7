/**
 * Load on a service, open and closed. Open: requests set out at their appointed times (a Poisson stream), however slow
 * the answers are; a closed loop would wait politely with an overloaded service and never show it. An answer's time
 * counts from its appointed time, so that a late start of ours is not forgiven the service either; refusals, which are
 * about the service's own quickness, count from when the request was really sent.
 */
import { Agent, type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** One request of a load. */
export type Shot = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
};

/** How it went: `status` 0 where the connection failed. Milliseconds. */
export type Hit = {
  readonly status: number;
  readonly sinceDueMs: number;
  readonly sinceSentMs: number;
  readonly retryAfter: string | undefined;
  /** Of failures: the connection's own code. */
  readonly fault: string | undefined;
};

/** Requests set out at a mean rate for so long, whatever becomes of them. Resolves when all are answered. */
export async function openLoop(load: {
  readonly url: string;
  readonly perSecond: number;
  readonly seconds: number;
  readonly random: () => number;
  readonly shot: (number: number) => Shot;
}): Promise<readonly Hit[]> {
  const { url, perSecond, seconds, random, shot } = load;
  const agent = new Agent({ keepAlive: true });
  const hits: Promise<Hit>[] = [];
  const startedAt = performance.now();
  const endsAt = startedAt + seconds * 1000;
  try {
    for (let dueAt = startedAt; dueAt < endsAt; dueAt += (-Math.log(1 - random()) * 1000) / perSecond) {
      const waitMs = dueAt - performance.now();
      if (waitMs > 1) await sleep(waitMs);
      // Behind: give the answers that have come in a turn, or none would be read while we catch up.
      else if (hits.length % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
      hits.push(send(url, agent, shot(hits.length), dueAt));
    }
    return await Promise.all(hits);
  } finally {
    agent.destroy();
  }
}

/** So many clients, each sending its next request when it has the answer to the last. */
export async function closedLoop(load: {
  readonly url: string;
  readonly clients: number;
  readonly seconds: number;
  readonly shot: (number: number) => Shot;
}): Promise<readonly Hit[]> {
  const { url, clients, seconds, shot } = load;
  const agent = new Agent({ keepAlive: true });
  const hits: Hit[] = [];
  const endsAt = performance.now() + seconds * 1000;
  let sent = 0;
  const client = async (): Promise<void> => {
    while (performance.now() < endsAt) hits.push(await send(url, agent, shot(sent++), performance.now()));
  };
  try {
    await Promise.all(Array.from({ length: clients }, client));
    return hits;
  } finally {
    agent.destroy();
  }
}

/** What a load came to. Refusals: 429 and 503. Times in milliseconds, NaN where there were none. */
export type LoadSummary = {
  readonly sent: number;
  readonly accepted: number;
  readonly acceptedPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly refused: number;
  readonly refusalP99: number;
  readonly slowestRefusal: number;
  /** Refusals that do not say when to come again. */
  readonly withoutRetryAfter: number;
  /** Answers that are neither success nor refusal, by status. */
  readonly others: number;
  /** Connections that failed. */
  readonly resets: number;
};

/** Sums up the hits of so many seconds. */
export function summarise(hits: readonly Hit[], seconds: number): LoadSummary {
  const accepted = hits.filter(({ status }) => status >= 200 && status < 300);
  const refused = hits.filter(({ status }) => status === 429 || status === 503);
  const times = accepted.map(({ sinceDueMs }) => sinceDueMs);
  const refusals = refused.map(({ sinceSentMs }) => sinceSentMs);
  const resets = hits.filter(({ status }) => status === 0).length;
  return {
    sent: hits.length,
    accepted: accepted.length,
    acceptedPerSecond: accepted.length / seconds,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    refused: refused.length,
    refusalP99: quantile(refusals, 0.99),
    slowestRefusal: quantile(refusals, 1),
    withoutRetryAfter: refused.filter(({ retryAfter }) => !(Number(retryAfter) >= 1)).length,
    others: hits.length - accepted.length - refused.length - resets,
    resets,
  };
}

/** The value below which a share of the values lies (nearest rank); NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

function send(url: string, agent: Agent, { method, path, headers, body }: Shot, dueAt: number): Promise<Hit> {
  const sentAt = performance.now();
  return new Promise((resolve) => {
    const end = (status: number, response?: IncomingMessage, fault?: string): void => {
      const now = performance.now();
      resolve({
        status,
        sinceDueMs: now - dueAt,
        sinceSentMs: now - sentAt,
        retryAfter: response?.headers['retry-after'],
        fault,
      });
    };
    const outgoing = request(`${url}${path}`, {
      method,
      agent,
      headers: { ...headers, ...(body !== undefined && { 'content-length': String(body.length) }) },
    });
    outgoing.once('response', (response) => {
      response.resume().once('end', () => end(response.statusCode ?? 0, response));
      response.once('error', (error: NodeJS.ErrnoException) => end(0, undefined, error.code));
    });
    outgoing.once('error', (error: NodeJS.ErrnoException) => end(0, undefined, error.code ?? error.message));
    outgoing.end(body);
  });
}
