/**
 * Preloaded into a service by a20, into each of its threads: on SIGUSR2 the wall clock of its JavaScript goes back by
 * an hour, as after a correction. Monotonic clocks stay, as they do. Signals reach the main thread alone, which tells
 * the others.
 */
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

const HOUR_MS = 3_600_000;
const RealDate = Date;
let shiftMs = 0;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, given) =>
    Reflect.construct(target, given.length === 0 ? [RealDate.now() + shiftMs] : given) as object,
  get: (target, name) => (name === 'now' ? () => RealDate.now() + shiftMs : Reflect.get(target, name)),
});

const channel = new BroadcastChannel('shifted-clock');
channel.unref();
channel.onmessage = () => {
  shiftMs -= HOUR_MS;
};
if (isMainThread)
  process.on('SIGUSR2', () => {
    shiftMs -= HOUR_MS;
    channel.postMessage('back');
  });
