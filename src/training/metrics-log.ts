import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Numbers by name after `step` steps. kind: means over the steps since the last line, or figures at the end of an
 * epoch.
 */
export type MetricsLine = {
  readonly kind: 'steps' | 'epoch';
  readonly step: number;
  readonly epoch: number;
  readonly [name: string]: number | string;
};

/**
 * All complete lines of a metrics file, oldest first; none where there is no file. A line cut short by a crash is
 * skipped.
 */
export async function readMetrics(file: string): Promise<MetricsLine[]> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as MetricsLine]; // as appendMetrics wrote it
    } catch {
      return [];
    }
  });
}

export async function appendMetrics(file: string, line: MetricsLine): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await appendFile(file, `${JSON.stringify(line)}\n`);
}

/** Removes the lines after `step`, which a resumed run writes again. Returns the remaining ones. */
export async function rewindMetrics(file: string, step: number): Promise<readonly MetricsLine[]> {
  const lines = (await readMetrics(file)).filter((line) => line.step <= step);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.partial`, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  await rename(`${file}.partial`, file);
  return lines;
}
