import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { isRunnable, processorMs } from '../../../src/images/decoding/decoder-child.js';
import { eventually } from '../../server/application.js';

test('a process that computes, in whatever thread, is told from one that waits or is stopped', {
  skip: !existsSync('/proc/self/task') && 'Linux only',
}, async (context) => {
  // The main thread waits while another computes, as in a decoder.
  const busyThread = "new (require('node:worker_threads').Worker)('for (;;);', { eval: true });";
  for (const [program, isBusy] of [
    ['for (;;);', true],
    [busyThread, true],
    ['setInterval(() => {}, 1e6)', false],
  ] as const) {
    const child = spawn(process.execPath, ['-e', `console.log('started'); ${program}`], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    context.after(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    await eventually(() => isRunnable(child.pid) === isBusy);
    if (isBusy) {
      const before = processorMs(child.pid);
      await eventually(() => processorMs(child.pid) > before);
      child.kill('SIGSTOP');
      await eventually(() => !isRunnable(child.pid));
    }
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.ok(Number.isNaN(processorMs(child.pid)));
    assert.equal(isRunnable(child.pid), false);
  }
});
