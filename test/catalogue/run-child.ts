import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export type ChildEnd = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
};

/**
 * Runs a compiled file in its own process, where a crash is a result and not the end of the tests; killed
 * after `timeoutMs`.
 */
export function runChild(
  file: URL,
  args: readonly string[],
  options: { readonly timeoutMs?: number; readonly prefix?: readonly string[] } = {},
): Promise<ChildEnd> {
  const path = fileURLToPath(file);
  const [command, ...rest] = [...(options.prefix ?? []), process.execPath, path, ...args];
  return new Promise((resolve, reject) => {
    const child = spawn(command!, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 60_000,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}
