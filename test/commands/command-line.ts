/** Commands as the command line runs them: in this process, with what they print, or in one that can be killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { syntheticPicture, toSharp } from '../images/pictures.js';
import { REPOSITORY, sharedData } from '../service-process.js';

export const CLI = join(REPOSITORY, 'dist', 'src', 'cli.js');
const PHOTOS_PER_CLASS = 12;

/** Flags of a run on the processor in one thread, measured by searches for two edited copies only. */
export const SHORT_RUN = {
  engine: 'onnx',
  device: 'cpu',
  threads: 1,
  checkpointMinutes: 5,
  licence: 'none',
  probes: false,
  copies: 2,
  map: false,
} as const;

/**
 * Photographs of two classes from beside the repository; where there are none, pictures made here. One more file
 * is damaged.
 */
export async function pictures(t: TestContext, folder: string): Promise<string> {
  const data = join(folder, 'pictures');
  const clothing = sharedData('photos', 'clothing');
  if (clothing === undefined)
    t.diagnostic('../shared/data/photos is absent: synthetic pictures stand in for photographs');
  const classes = clothing === undefined ? ['a', 'b'] : (await readdir(clothing)).sort().slice(0, 2);
  for (const [label, name] of classes.entries()) {
    await mkdir(join(data, name), { recursive: true });
    if (clothing === undefined) await writePictures(join(data, name), PHOTOS_PER_CLASS, 100 * label);
    else {
      const files = (await readdir(join(clothing, name))).sort().slice(0, PHOTOS_PER_CLASS);
      for (const file of files) await cp(join(clothing, name, file), join(data, name, file));
    }
  }
  // Several, so that one is among the training pictures however they are split.
  for (const number of [1, 2, 3])
    await writeFile(join(data, classes[0]!, `broken-${number}.jpg`), Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 0]));
  return data;
}

/** Writes `count` different pictures into a folder. */
export async function writePictures(folder: string, count: number, seed = 0): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let index = 0; index < count; index++) {
    const picture = syntheticPicture({ width: 80, height: 60, seed: seed + index });
    await toSharp(picture)
      .jpeg()
      .toFile(join(folder, `${index}.jpg`));
  }
}

/** What a command printed, on either stream, and the exit code it returned. Rejects as the command does. */
export async function inProcess(
  t: TestContext,
  command: () => Promise<number>,
): Promise<{ readonly code: number; readonly output: string }> {
  let output = '';
  const print = (...given: unknown[]): void => {
    output += `${given.join(' ')}\n`;
  };
  const mocks = [t.mock.method(console, 'log', print), t.mock.method(console, 'error', print)];
  try {
    return { code: await command(), output };
  } finally {
    for (const mock of mocks) mock.mock.restore();
  }
}

/** Runs the command line in a process of its own, and kills that as soon as `killWhen` holds or the test ends. */
export async function killed(
  t: TestContext,
  given: readonly string[],
  killWhen: () => boolean,
): Promise<{ readonly signal: string | null; readonly output: string }> {
  const child = spawn(process.execPath, [CLI, ...given], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: t.signal,
    killSignal: 'SIGKILL',
  });
  const kill = (): boolean => child.kill('SIGKILL');
  child.on('error', kill); // the test was aborted
  process.once('SIGTERM', kill);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const watch = setInterval(() => killWhen() && kill(), 2);
  await once(child, 'close');
  clearInterval(watch);
  process.removeListener('SIGTERM', kill);
  return { signal: child.signalCode, output };
}
