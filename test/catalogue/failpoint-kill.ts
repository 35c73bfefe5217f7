/**
 * Loaded before a program (`node --import`), in its threads too: kills the process at the n-th time that it reaches a
 * failpoint. Never part of what ships.
 */
import { subscribe } from 'node:diagnostics_channel';
import { FAILPOINT_CHANNEL } from '../../src/catalogue/failpoint.js';

const [point, nth = '1', delayMs = '0'] = (process.env.TEST_FAILPOINT ?? '').split('|');
let times = 0;

function kill(): void {
  process.kill(process.pid, 'SIGKILL');
  // The signal may reach another thread first: not one more step is taken here.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

subscribe(FAILPOINT_CHANNEL, (name) => {
  if (name !== point || ++times !== Number(nth)) return;
  if (Number(delayMs) > 0) setTimeout(kill, Number(delayMs));
  else kill();
});
