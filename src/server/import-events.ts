import { Readable } from 'node:stream';
import type { ImportJob, ImportJobs } from '../importing/import-jobs.js';

/** A comment line so often, so that proxies and both ends know that the other is there. */
const HEARTBEAT_MS = 15_000;

/**
 * A job as server-sent events: `data:` with the job as it is, again whenever it has moved on, until it ends or the service stops. A reader who is slower than the job gets the newest state and
 * no queue. Throws OVERLOADED where too many follow already.
 */
export function importEvents(jobs: ImportJobs, job: ImportJob, toText: (job: ImportJob) => string): Readable {
  let latest: string | undefined;
  let isWanted = false;
  let isEnded = false;
  const stream = new Readable({
    read() {
      isWanted = true;
      flush();
    },
    destroy(error, done) {
      stop();
      clearInterval(heartbeat);
      done(error);
    },
  });
  const flush = (): void => {
    if (isWanted && latest !== undefined) {
      isWanted = stream.push(latest);
      latest = undefined;
    }
    if (isEnded && latest === undefined && !stream.readableEnded) stream.push(null);
  };
  const onMove = (moved: ImportJob): void => {
    latest = `data: ${toText(moved)}\n\n`;
    flush();
  };
  const onEnd = (): void => {
    if (isEnded) return;
    isEnded = true;
    clearInterval(heartbeat);
    flush();
  };
  const heartbeat = setInterval(() => {
    if (isWanted && !isEnded) isWanted = stream.push(':\n\n');
  }, HEARTBEAT_MS);
  heartbeat.unref();
  let stop = (): void => {};
  try {
    stop = jobs.watch(job.id, { onMove, onEnd });
  } catch (error) {
    clearInterval(heartbeat);
    throw error;
  }
  onMove(job);
  if (job.status !== 'running') onEnd();
  return stream;
}
