import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type { Application } from './app.js';

const POLL_MS = 20;
/** Of the time a stop may take, the share that uploads which are still arriving get once all others are answered. */
const HALF_SENT_SHARE = 0.25;

/**
 * A graceful stop, which no server gives by itself: accept no one new; refuse new requests on open connections; wait for the answers of
 * those that have arrived whole, and a little for those still arriving; drop idle connections meanwhile; at the end drop all.
 */
export async function drain({ app, ledger, startDraining }: Application, drainTimeoutMs: number): Promise<void> {
  startDraining();
  const { server } = app;
  if (server.listening) server.close(); // Only stops to listen; app.close() awaits the end.
  const startedAt = performance.now();
  let answeredAt: number | undefined;
  for (;;) {
    server.closeIdleConnections();
    const { total, whole } = ledger.inFlight;
    const now = performance.now();
    if (whole > 0) answeredAt = undefined;
    else answeredAt ??= now;
    const isPatienceOver = answeredAt !== undefined && now - answeredAt >= drainTimeoutMs * HALF_SENT_SHARE;
    if (total === 0 || isPatienceOver || now - startedAt >= drainTimeoutMs) break;
    await pause(POLL_MS);
  }
  const { total } = ledger.inFlight;
  app.log.info({ waitedMs: Math.round(performance.now() - startedAt), unanswered: total }, 'drained');
  server.closeAllConnections();
  await app.close();
}
