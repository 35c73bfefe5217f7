/**
 * A real service in a process of its own, as a user starts it: for tests that kill it, fill it or watch it
 * from outside.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Root of the repository, wherever the compiled tests run from. */
export const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const SHARED = join(REPOSITORY, '..', 'shared', 'data');
/** The command line program. */
export const CLI = join(REPOSITORY, 'dist', 'src', 'cli.js');

/**
 * Path of test data that lives beside the repository, or undefined where it is absent: skip the test then and say so.
 */
export function sharedData(...parts: string[]): string | undefined {
  const path = join(SHARED, ...parts);
  return existsSync(path) ? path : undefined;
}

/** A running service, seen from outside. */
export type ServiceProcess = {
  readonly url: string;
  readonly process: ChildProcess;
  /** Everything it has logged so far. */
  log(): string;
  /** SIGTERM, then waits for the end; returns the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL, then waits for the end. */
  kill(): Promise<void>;
};

const running = new Set<ChildProcess>();
// A test that fails leaves its service running, and the file's process would wait for it for ever. The benches, which
// start services too, are not run as tests.
if (process.env.NODE_TEST_CONTEXT !== undefined) {
  after(() => {
    for (const child of running) child.kill('SIGKILL');
  });
}

/**
 * Starts `likeness serve` on a free loopback port and waits until it is ready. Throws with the log where it does not
 * become so.
 */
export async function startService(options: {
  readonly data: string;
  readonly flags?: readonly string[];
  readonly readyWithinMs?: number;
}): Promise<ServiceProcess> {
  const port = await freePort();
  const flags = [
    'serve',
    '--port',
    String(port),
    '--data',
    options.data,
    '--log-level',
    'warn',
    ...(options.flags ?? []),
  ];
  const child = spawn(process.execPath, [CLI, ...flags], { cwd: REPOSITORY, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (log += text));
  running.add(child);
  const exited = once(child, 'exit').finally(() => running.delete(child));
  const url = `http://127.0.0.1:${port}`;
  const deadline = performance.now() + (options.readyWithinMs ?? 180_000);
  for (;;) {
    const response = await fetch(`${url}/readyz`).catch(() => undefined);
    if (response?.ok) break;
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`The service ended at its start (${child.exitCode ?? child.signalCode}):\n${log}`);
    if (performance.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`The service was not ready in time:\n${log}`);
    }
    await sleep(50);
  }
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    await exited;
    return child.exitCode;
  };
  return {
    url,
    process: child,
    log: () => log,
    stop: () => end('SIGTERM'),
    kill: async () => void (await end('SIGKILL')),
  };
}

/** Runs one `likeness` command to its end. */
export function runCli(...flags: readonly string[]): ReturnType<typeof runNode> {
  return runNode(CLI, ...flags);
}

/** Runs Node.js with these arguments to its end. */
export async function runNode(
  ...given: readonly string[]
): Promise<{ readonly exitCode: number | null; readonly output: string }> {
  const child = spawn(process.execPath, given, { cwd: REPOSITORY, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  await once(child, 'close');
  return { exitCode: child.exitCode, output };
}

/** Peak resident memory of a process in bytes (VmHWM of /proc); Linux only. */
export function peakMemoryBytes(pid: number): number {
  const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1] ?? Number.NaN) * 1024;
}

/** A port of the loopback address that nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('A TCP server has a port. This is a bug.');
  return address.port;
}
