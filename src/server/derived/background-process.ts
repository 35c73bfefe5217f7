import { fork } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { CallPort, processChannel } from '../../call-port.js';
import type { BackgroundTasks } from './background-tasks.js';

/**
 * A process of the lowest priority that computes what is derived from collections; it ends with the task it was
 * started for.
 */
export type BackgroundProcess = {
  /** Rejects with the task's own SearchError, or with a plain Error where the process died or took too long. */
  readonly run: CallPort<BackgroundTasks>['call'];
  /** Ends it at once, whatever it does. Resolves when it is gone. */
  close(): Promise<void>;
};

const ENTRY = fileURLToPath(new URL('./background-tasks.js', import.meta.url));
/** Of V8 alone. */
const HEAP_MIB = 512;
/** Seconds are usual; at the lowest priority a busy machine may let it stand still for long. */
const TASK_TIMEOUT_MS = 15 * 60_000;
const LAST_WORDS_MAX = 2000;

/** Starts the process. It inherits nothing of the environment, so no secret can leak through it. */
export function startBackgroundProcess(): BackgroundProcess {
  const child = fork(ENTRY, {
    serialization: 'advanced',
    execArgv: [`--max-old-space-size=${HEAP_MIB}`],
    env: { MALLOC_ARENA_MAX: '2', UV_THREADPOOL_SIZE: '2' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let lastWords = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    lastWords = (lastWords + chunk.toString()).slice(-LAST_WORDS_MAX);
  });
  const port = new CallPort<BackgroundTasks>(processChannel(child), {
    toGoneError: (reason) => new Error(`The background process died: ${reason.message} ${lastWords}`),
  });
  try {
    if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  } catch {
    // The process may be gone already, which its exit reports; a sandbox may forbid it, and the usual priority is
    // no fault.
  }
  return {
    run(task, args) {
      const timer = setTimeout(() => child.kill('SIGKILL'), TASK_TIMEOUT_MS);
      return port.call(task, args).finally(() => clearTimeout(timer));
    },
    async close() {
      child.kill('SIGKILL');
      await port.gone;
    },
  };
}
