/**
 * Bytes on disk and in memory that one image costs, against the arithmetic of docs/operations.md: a catalogue of
 * vectors of the shipped encoder with thumbnails of a known size, under a real service. Memory is told from two sizes,
 * since a service that holds anything holds some tens of megabytes besides. `npm run bench -- capacity`.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fillFolder, THUMBNAIL_BYTES } from '../test/acceptance/filled-folder.js';
import { startService } from '../test/service-process.js';

const IMAGES = Number(process.env.IMAGES ?? 50_000);
const SMALL = Math.round(IMAGES * 0.4);
const REQUESTS = 50;

const folder = mkdtempSync(join(tmpdir(), 'likeness-capacity-'));
try {
  const [empty, small, filled] = [join(folder, 'empty'), join(folder, 'small'), join(folder, 'filled')];
  await fillFolder(small, SMALL, 1);
  await fillFolder(filled, IMAGES, 1);
  const none = await settledMemory(empty);
  const before = await settledMemory(small);
  const after = await settledMemory(filled);
  const slope = (after - before) / (IMAGES - SMALL);
  const { dimensions: d, m } = sideCarOf(filled);
  const each = (bytes: number): number => bytes / IMAGES;
  const database = sizeOf(filled, 'catalogue.db') + sizeOf(filled, 'catalogue.db-wal');
  const index = readdirSync(join(filled, 'indexes')).reduce(
    (sum, name) => sum + sizeOf(join(filled, 'indexes'), name),
    0,
  );
  console.log(`${IMAGES} images of ${d} dimensions, M ${m}, thumbnails of ${THUMBNAIL_BYTES} bytes; bytes an image:`);
  print('memory', slope, 4 * d + 4 * (2 * m + 1) + 12 + 140 + (4 * d + 50));
  print('database', each(database), 1.05 * (4 * d + THUMBNAIL_BYTES + 400));
  print('index file', each(index), 4 * d + 4 * (2 * m + 1) + 17);
  const besides = before - none - slope * SMALL;
  console.log(
    `an empty service holds ${(none / 2 ** 20).toFixed(0)} MiB in its main process, one with images ${(besides / 2 ** 20).toFixed(0)} more than they cost`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function print(what: string, measured: number, predicted: number): void {
  console.log(
    `${what.padEnd(12)} measured ${measured.toFixed(0)}, predicted ${predicted.toFixed(0)}, ratio ${(measured / predicted).toFixed(2)}`,
  );
}

/** Resident bytes of the main process once it has answered some requests and been left alone. */
async function settledMemory(data: string): Promise<number> {
  const service = await startService({ data, readyWithinMs: 300_000 });
  try {
    for (let request = 0; request < REQUESTS; request++)
      await (await fetch(`${service.url}/images?limit=10`)).arrayBuffer();
    await sleep(5000);
    const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${service.process.pid}/status`, 'utf8'));
    return Number(line?.[1]) * 1024;
  } finally {
    await service.stop();
  }
}

function sideCarOf(data: string): { readonly dimensions: number; readonly m: number } {
  const name = readdirSync(join(data, 'indexes')).find((each) => each.endsWith('.json')) ?? '';
  return JSON.parse(readFileSync(join(data, 'indexes', name), 'utf8')) as { dimensions: number; m: number };
}

function sizeOf(where: string, name: string): number {
  return statSync(join(where, name), { throwIfNoEntry: false })?.size ?? 0;
}
