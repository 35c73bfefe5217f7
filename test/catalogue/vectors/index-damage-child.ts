import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '../../../src/seeded-random.js';
import { checkedImage, imageId } from '../example-images.js';
import { ENGINE_DIMENSIONS, nearest, openTestEngine } from '../test-engine.js';
import { clusteredVectors } from './synthetic-vectors.js';

/** Beyond the size below which every search is an exact scan, so that a bad graph would show. */
const COUNT = 1010;
const SEED = 77;

type Damage = (file: Buffer, random: () => number) => Buffer;

function flippedWithin(bytes: number): Damage {
  return (file, random) => {
    const place = Math.floor(random() * Math.min(bytes, file.length));
    file[place]! ^= 1 << Math.floor(random() * 8);
    return file;
  };
}

/**
 * Each kind of damage to the index file and how often it is done, in short and in full, at places that the seed gives.
 */
const DAMAGE: Readonly<Record<string, { readonly rounds: number; readonly full: number; readonly damage: Damage }>> = {
  'cut short': { rounds: 10, full: 50, damage: (file, random) => file.subarray(0, Math.floor(random() * file.length)) },
  'a bit of its header flipped': { rounds: 10, full: 50, damage: flippedWithin(96) },
  'a bit flipped': { rounds: 30, full: 150, damage: flippedWithin(Number.POSITIVE_INFINITY) },
  'a page zeroed': {
    rounds: 4,
    full: 50,
    damage: (file, random) => {
      const from = Math.floor(random() * (file.length - 4096));
      return file.fill(0, from, from + 4096);
    },
  },
  emptied: { rounds: 1, full: 1, damage: () => Buffer.alloc(0) },
  lengthened: { rounds: 1, full: 1, damage: (file) => Buffer.concat([file, Buffer.alloc(100)]) },
};

/**
 * Damages the index file of one catalogue again and again; after each, the catalogue must open, say so, and
 * answer rightly.
 */
async function main(isFull: boolean): Promise<void> {
  const parent = mkdtempSync(join(tmpdir(), 'likeness-damage-'));
  const whole = join(parent, 'whole');
  const damaged = join(parent, 'damaged');
  try {
    const vectors = await fill(whole);
    const random = seededRandom(SEED);
    const file = (ending: string): string =>
      join('indexes', readdirSync(join(whole, 'indexes')).find((name) => name.endsWith(ending)) ?? '');
    const round = async (name: string, damage: Damage): Promise<string> => {
      // Records and all: a start after damage saves a new file, and remembers that.
      rmSync(damaged, { recursive: true, force: true });
      cpSync(whole, damaged, { recursive: true });
      writeFileSync(join(damaged, name), damage(readFileSync(join(damaged, name)), random));
      return openAndSearch(damaged, vectors, { random, step: isFull ? 5 : 12 });
    };
    for (const [kind, { rounds, full, damage }] of Object.entries(DAMAGE)) {
      for (let number = 0; number < (isFull ? full : rounds); number++) {
        process.stdout.write(`seed ${SEED}, ${kind}, round ${number}\n`);
        assert.match(await round(file('.hnsw'), damage), /is not used and is rebuilt.*(bytes instead of|SHA-256)/);
      }
    }
    for (let number = 0; number < 20; number++) {
      process.stdout.write(`seed ${SEED}, side-car, round ${number}\n`);
      // A flipped blank does no harm: only the answers count.
      await round(
        file('.json'),
        number % 2 === 0 ? flippedWithin(Number.POSITIVE_INFINITY) : DAMAGE['cut short']!.damage,
      );
    }
    process.stdout.write('undamaged\n');
    assert.equal(await round(file('.hnsw'), (bytes) => bytes), '');
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

async function fill(folder: string): Promise<Float32Array[]> {
  const draw = clusteredVectors({ dimensions: ENGINE_DIMENSIONS, clusters: 12, seed: SEED });
  const vectors = Array.from({ length: COUNT }, draw);
  const { engine } = openTestEngine(folder);
  engine.write(
    vectors.map((embedding, place) => {
      const image = checkedImage(`${place}`, embedding, { id: imageId(`${place}`), thumbnail: new Uint8Array(16) });
      return { method: 'add', args: ['default', image] };
    }),
  );
  while (engine.hasWork) engine.work(1000);
  await engine.close();
  return vectors;
}

/** Opens, and asks before and sometimes after the graph is built anew. Returns what the operator was warned of. */
async function openAndSearch(
  folder: string,
  vectors: readonly Float32Array[],
  { random, step }: { readonly random: () => number; readonly step: number },
): Promise<string> {
  const { engine, warnings } = openTestEngine(folder);
  // Building anew takes longest; one round in five shows that it works.
  const stages = random() < 0.2 ? 2 : 1;
  for (let stage = 0; stage < stages; stage++) {
    for (let place = 0; place < COUNT; place += step) assert.equal(nearest(engine, vectors[place]!)[0]?.id, `${place}`);
    while (stages > 1 && engine.hasWork) engine.work(1000);
  }
  await engine.close();
  return warnings.join();
}

if (process.argv[2] === 'run' || process.argv[2] === 'run-full') await main(process.argv[2] === 'run-full');
