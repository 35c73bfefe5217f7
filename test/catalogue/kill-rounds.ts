import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Catalogue, ImageRecord } from '../../src/catalogue/catalogue.js';
import { openCatalogue } from '../../src/catalogue/open-catalogue.js';
import { checkCatalogue } from '../../src/catalogue/snapshots/check.js';
import { seededRandom } from '../../src/seeded-random.js';
import { imageId, newImage, thumbnailOf } from './example-images.js';
import { unit } from './vectors/synthetic-vectors.js';

export const KILL_DIMENSIONS = 32;
/** Index files are written all the time, so that kills hit that too. */
export const KILL_OPTIONS = {
  encoderId: 'kill',
  saveEveryChanges: 40,
  lockTimeoutMs: 5000,
  reserveBytes: 65_536,
  m: 8,
  efConstruction: 60,
} as const;

export type KillReport = {
  readonly rounds: number;
  readonly acknowledged: number;
  readonly removed: number;
  readonly warnings: readonly string[];
};

/**
 * Name of the image that a writer of a round adds at this count; its bytes, vector and thumbnail all follow from it.
 */
export function killedContent(round: number, writer: number, count: number): string {
  return `${round}-${writer}-${count}`;
}

/** A unit vector that no other content has. */
export function killedVector(content: string): Float32Array {
  const random = seededRandom(createHash('sha256').update(content).digest().readUInt32LE(0));
  return unit(Float32Array.from({ length: KILL_DIMENSIONS }, () => random() - 0.5));
}

/**
 * Lets a process with eight writers run on `folder` and kills it (SIGKILL) at a random moment, `rounds` times; the
 * first moments lie in the very first start. After each kill: the catalogue opens, every acknowledged image is there,
 * whole, and the nearest to its own vector; no removed one is; nothing is there that was never sent. Throws an
 * AssertionError with seed and round otherwise.
 */
export async function killRounds(
  folder: string,
  options: { readonly rounds: number; readonly seed: number },
): Promise<KillReport> {
  const { rounds, seed } = options;
  const random = seededRandom(seed);
  const expected = new Expected();
  const warnings: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const place = `seed ${seed}, round ${round}`;
    // Every fourth kill falls somewhere in the start, the others into the writing after it.
    const lines = await runAndKill(folder, {
      round,
      duringStart: round % 4 === 0,
      afterMs: random() * (round % 4 === 0 ? 400 : 1500),
    });
    expected.learn(lines);
    const catalogue = await openCatalogue({
      folder,
      dimensions: KILL_DIMENSIONS,
      ...KILL_OPTIONS,
      onWarning: (message) => warnings.push(message),
    });
    try {
      await expected.verify(catalogue, { place, round, isLast: round === rounds - 1, random });
    } finally {
      await catalogue.close();
    }
  }
  const check = checkCatalogue(folder, { deep: true, m: KILL_OPTIONS.m });
  assert.deepEqual(check.storeProblems, [], `seed ${seed}`);
  assert.ok(
    check.collections.every(({ index }) => index === 'good'),
    JSON.stringify(check.collections),
  );
  return { rounds, acknowledged: expected.acknowledged, removed: expected.removed, warnings };
}

/** What writers were told before they were killed, and so what must and must not be there. */
export class Expected {
  readonly #there = new Map<string, string>();
  readonly #gone = new Set<string>();
  /** Asked for and never answered: either outcome is right, but not half of one. */
  readonly #open = new Set<string>();
  acknowledged = 0;

  get removed(): number {
    return this.#gone.size;
  }

  /** Takes in what they said, a line each: what they asked for, and what they were answered. */
  learn(lines: readonly string[]): void {
    for (const line of lines) {
      const [word, content = '', id = ''] = line.split(' ');
      if (word === 'adding') this.#open.add(content);
      if (word === 'added') {
        this.#there.set(content, id);
        this.acknowledged++;
        this.#open.delete(content);
      }
      if (word === 'removing') {
        this.#there.delete(content);
        this.#open.add(content);
      }
      if (word === 'removed') {
        this.#open.delete(content);
        this.#gone.add(content);
      }
    }
  }

  /**
   * Every record's presence each time; their parts and their place in the index for new ones, some of the older, and in
   * the last round all.
   */
  async verify(
    catalogue: Catalogue,
    at: { place: string; round: number; isLast: boolean; random: () => number },
  ): Promise<void> {
    const { place, round, isLast, random } = at;
    const records = await allRecords(catalogue);
    for (const [content, id] of this.#there)
      assert.equal(records.get(content)?.id, imageId(id), `${place}: ${content} was acknowledged`);
    for (const content of records.keys()) {
      assert.ok(!this.#gone.has(content), `${place}: ${content} was removed`);
      assert.ok(this.#there.has(content) || this.#open.has(content), `${place}: ${content} was never sent`);
    }
    const olderShare = isLast ? 1 : 200 / Math.max(records.size, 200);
    const isChosen = (content: string): boolean => content.startsWith(`${round}-`) || random() < olderShare;
    for (const [content, record] of records)
      if (isChosen(content)) await verifyWhole(catalogue, content, record, place);
    for (const content of this.#gone) {
      if (!isChosen(content)) continue;
      const [match] = await catalogue.neighbours({ collection: 'default', embedding: killedVector(content), k: 1 });
      assert.notEqual(match?.metadata.content, content, `${place}: ${content} was removed and is found`);
    }
    // What was open is settled now, one way or the other.
    for (const content of this.#open) {
      const record = records.get(content);
      if (record === undefined) this.#gone.add(content);
      else this.#there.set(content, record.id);
    }
    this.#open.clear();
  }
}

async function allRecords(catalogue: Catalogue): Promise<Map<string, ImageRecord>> {
  const records = new Map<string, ImageRecord>();
  let cursor: string | undefined;
  do {
    const page = await catalogue.list('default', { limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
    for (const record of page.items) records.set(String(record.metadata.content), record);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return records;
}

async function verifyWhole(catalogue: Catalogue, content: string, record: ImageRecord, place: string): Promise<void> {
  const sent = newImage(content, killedVector(content));
  const { sha256, perceptualHash, metadata, bytes, fileName } = record;
  const {
    sha256: sentSha256,
    perceptualHash: sentHash,
    metadata: sentMetadata,
    bytes: sentBytes,
    fileName: sentName,
  } = sent;
  assert.deepEqual(
    [sha256, perceptualHash, metadata, bytes, fileName],
    [sentSha256, sentHash, sentMetadata, sentBytes, sentName],
    place,
  );
  assert.deepEqual(await catalogue.embedding('default', record.id), sent.embedding, place);
  assert.deepEqual(await catalogue.thumbnail('default', record.id), thumbnailOf(content), place);
  const [match] = await catalogue.neighbours({ collection: 'default', embedding: sent.embedding, k: 1 });
  assert.equal(match?.id, record.id, `${place}: ${content} is not its own nearest`);
}

function runAndKill(
  folder: string,
  options: { readonly round: number; readonly duringStart: boolean; readonly afterMs: number },
): Promise<readonly string[]> {
  const { round, duringStart, afterMs } = options;
  // A file and not a pipe: what was written before the kill is all there, and no reader holds the writers up.
  const log = `${folder}.log`;
  const descriptor = openSync(log, 'w');
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL('./kill-child.js', import.meta.url)), folder, `${round}`],
    {
      stdio: ['ignore', descriptor, 'inherit', 'ipc'],
    },
  );
  closeSync(descriptor);
  const killLater = (): void => void setTimeout(() => child.kill('SIGKILL'), afterMs);
  if (duringStart) killLater();
  else child.once('message', killLater);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const output = readFileSync(log, 'utf8');
      rmSync(log);
      if (signal !== 'SIGKILL')
        reject(new Error(`The writers ended by themselves in round ${round}: code ${code}, signal ${signal}.`));
      // A line cut by the kill says nothing yet.
      else
        resolve(
          output
            .slice(0, output.lastIndexOf('\n') + 1)
            .trimEnd()
            .split('\n'),
        );
    });
  });
}
