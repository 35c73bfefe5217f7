/**
 * What the C library's allocator costs a service in memory: the same pictures imported under glibc's, glibc's with two
 * arenas, and jemalloc, by turns. Peak and settled memory of the whole service, decoders included, and processor time.
 * Linux. `JEMALLOC=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2 npm run bench -- allocator`.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { seededRandom } from '../src/seeded-random.js';
import { inLanes } from '../test/acceptance/lanes.js';
import { sharedData, startService } from '../test/service-process.js';

const ROUNDS = Number(process.env.ROUNDS ?? 2);
const PHOTOS = 600;
const LARGE = 40;
const LANES = 8;
const SETTLE_MS = 5000;
const TICKS_PER_SECOND = 100;

type Setting = { readonly name: string; readonly environment: Readonly<Record<string, string>> };
type Figures = {
  readonly peak: number;
  readonly settled: number;
  readonly settledMain: number;
  readonly cpuSeconds: number;
};

const jemalloc = process.env.JEMALLOC;
const settings: readonly Setting[] = [
  { name: 'glibc', environment: {} },
  { name: 'glibc, MALLOC_ARENA_MAX=2', environment: { MALLOC_ARENA_MAX: '2' } },
  ...(jemalloc === undefined ? [] : [{ name: 'jemalloc', environment: { LD_PRELOAD: jemalloc } }]),
];
const pictures = [...photos(), ...(await largePictures())];
console.log(
  `${pictures.length} pictures, ${LANES} at a time; MiB of the whole service: peak, settled, settled main process; processor seconds`,
);
for (let round = 0; round < ROUNDS; round++) {
  for (const setting of settings) {
    const { peak, settled, settledMain, cpuSeconds } = await importUnder(setting);
    const [a, b, c] = [peak, settled, settledMain].map((bytes) => (bytes / 2 ** 20).toFixed(0).padStart(6));
    console.log(`${setting.name.padEnd(28)} ${a} ${b} ${c} ${cpuSeconds.toFixed(1).padStart(8)}`);
  }
}

async function importUnder({ environment }: Setting): Promise<Figures> {
  const data = mkdtempSync(join(tmpdir(), 'likeness-allocator-'));
  const former = { ...process.env };
  Object.assign(process.env, environment);
  const service = await startService({ data, flags: ['--max-images-in-flight', '64'] }).finally(() => {
    for (const name of Object.keys(environment)) if (former[name] === undefined) delete process.env[name];
  });
  try {
    const pid = service.process.pid ?? 0;
    let peak = 0;
    const watch = setInterval(() => {
      peak = Math.max(peak, memoryOf(family(pid)));
    }, 50);
    await inLanes(pictures, LANES, async (body) => {
      const response = await fetch(`${service.url}/index`, {
        method: 'POST',
        body: new Uint8Array(body),
        headers: { 'content-type': 'image/jpeg' },
      });
      if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
      await response.arrayBuffer();
    });
    await sleep(SETTLE_MS);
    clearInterval(watch);
    return {
      peak,
      settled: memoryOf(family(pid)),
      settledMain: memoryOf([pid]),
      cpuSeconds: processorSeconds(family(pid)),
    };
  } finally {
    await service.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

function photos(): Buffer[] {
  const folder = sharedData('photos');
  if (folder === undefined) throw new Error('../shared/data/photos is absent.');
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.jpg'));
  return names
    .sort()
    .slice(0, PHOTOS)
    .map((name) => readFileSync(join(folder, name)));
}

/** Of 12 megapixels, as a telephone makes them; every other one progressive. */
async function largePictures(): Promise<Buffer[]> {
  const made: Buffer[] = [];
  for (let seed = 0; seed < LARGE; seed++) {
    const random = seededRandom(seed);
    const rgb = Uint8Array.from({ length: 16 * 12 * 3 }, () => random() * 256);
    const image = sharp(rgb, { raw: { width: 16, height: 12, channels: 3 } }).resize(4000, 3000);
    made.push(await image.jpeg({ progressive: seed % 2 === 1 }).toBuffer());
  }
  return made;
}

/** A process and its children. */
function family(pid: number): number[] {
  const text = readText(`/proc/${pid}/task/${pid}/children`);
  return [pid, ...text.split(' ').filter(Boolean).map(Number)];
}

function memoryOf(pids: readonly number[]): number {
  return pids.reduce(
    (sum, pid) => sum + Number(/VmRSS:\s+(\d+) kB/.exec(readText(`/proc/${pid}/status`))?.[1] ?? 0) * 1024,
    0,
  );
}

function processorSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) =>
    readText(`/proc/${pid}/stat`)
      .replace(/^.*\) /, '')
      .split(' '),
  );
  return ticks.reduce((sum, fields) => sum + Number(fields[11] ?? 0) + Number(fields[12] ?? 0), 0) / TICKS_PER_SECOND;
}

/** Empty for a process that has just ended. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
