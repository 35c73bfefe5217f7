import { fork } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { ScoreReply, ScoreRequest, ScoreTasks } from './score-process.js';

/** The task's own fault, such as a thumbnail that is no picture; the process works on. */
export class ScoreTaskError extends Error {}

/** A process for the work of fitting scores. */
export type ScoreChild = {
  /** Rejects with {@link ScoreTaskError}; with another error where the process died, which then answers nothing more. */
  ask<Kind extends keyof ScoreTasks>(kind: Kind, task: ScoreTasks[Kind]['task']): Promise<ScoreTasks[Kind]['answer']>;
  /** Ends it at once, whatever it does. Resolves when it is gone. */
  close(): Promise<void>;
};

const ENTRY = fileURLToPath(new URL('./score-process.js', import.meta.url));
/** Of V8 alone; some 20,000 pairs take 10 MB. */
const HEAP_MIB = 256;
/** Milliseconds are usual; at the least priority on a busy machine it may stand still for long. */
const TASK_TIMEOUT_MS = 5 * 60_000;
const LAST_WORDS_MAX = 2000;

/** Starts the process at the least priority. It inherits nothing of the environment, so no secret can leak through it. */
export function startScoreChild(): ScoreChild {
  const child = fork(ENTRY, {
    serialization: 'advanced',
    execArgv: [`--max-old-space-size=${HEAP_MIB}`],
    env: { MALLOC_ARENA_MAX: '2', UV_THREADPOOL_SIZE: '2' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  giveWay(child.pid);
  const waiting = new Map<number, { readonly resolve: (answer: unknown) => void; readonly reject: (error: unknown) => void }>();
  let nextId = 1;
  let lastWords = '';
  let isAlive = true;
  child.stderr?.on('data', (chunk: Buffer) => {
    lastWords = (lastWords + chunk.toString()).slice(-LAST_WORDS_MAX);
  });
  const gone = new Promise<void>((resolve) => {
    const end = (reason: string): void => {
      isAlive = false;
      for (const { reject } of waiting.values()) reject(new Error(`The process that fits scores died: ${reason} ${lastWords}`));
      waiting.clear();
      resolve();
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(`${signal ?? `exit code ${code}`}.`));
  });
  child.on('message', (reply: ScoreReply) => {
    const asked = waiting.get(reply.id);
    waiting.delete(reply.id);
    if ('error' in reply) asked?.reject(new ScoreTaskError(reply.error.message));
    else asked?.resolve(reply.answer);
  });

  return {
    async ask(kind, task) {
      if (!isAlive) throw new Error(`The process that fits scores is gone. ${lastWords}`);
      const id = nextId++;
      const timer = setTimeout(() => child.kill('SIGKILL'), TASK_TIMEOUT_MS);
      try {
        const answer = await new Promise<unknown>((resolve, reject) => {
          waiting.set(id, { resolve, reject });
          child.send({ id, kind, task } as ScoreRequest, (error) => error !== null && reject(error)); // kind and task belong together
        });
        return answer as ScoreTasks[typeof kind]['answer'];
      } finally {
        clearTimeout(timer);
        waiting.delete(id);
      }
    },
    async close() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}

function giveWay(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_LOW);
  } catch {
    // The process may be gone already, which its exit reports; and a fit at the usual priority is no fault.
  }
}
