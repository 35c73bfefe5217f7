import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** One line of metrics: numbers by name at a step (how many were done then). kind: a mean over some steps, or the end of an epoch. */
export type MetricsLine = {
  readonly kind: 'steps' | 'epoch';
  readonly step: number;
  readonly epoch: number;
  readonly [name: string]: number | string;
};

/** Every whole line of a metrics file, oldest first; none where there is no file. A line cut short by a crash is passed over. */
export async function readMetrics(file: string): Promise<MetricsLine[]> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as MetricsLine]; // Written by appendMetrics.
    } catch {
      return [];
    }
  });
}

/** Adds a line. */
export async function appendMetrics(file: string, line: MetricsLine): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await appendFile(file, `${JSON.stringify(line)}\n`);
}

/** Takes back what was written after `step`: a run that goes on from a checkpoint says it again. Returns what stays. */
export async function rewindMetrics(file: string, step: number): Promise<readonly MetricsLine[]> {
  const lines = (await readMetrics(file)).filter((line) => line.step <= step);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.partial`, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  await rename(`${file}.partial`, file);
  return lines;
}
