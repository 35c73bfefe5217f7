/**
 * What looking for eight perceptual hashes (a query with all its turns and mirrors) costs the catalogue's thread: the
 * lists against the scan, at several sizes. Random hashes, a fifth of them near others. Processor time, so that other
 * work on the machine enters little.
 *
 *   npm run bench -- near-hashes 10000 100000 1000000
 */
import { HashIndex } from '../src/catalogue/hashes/hash-index.js';
import { HASH_BYTES, LinearHashIndex } from '../src/catalogue/hashes/linear-hash-index.js';
import { seededRandom } from '../src/seeded-random.js';
import { tableHead, tableRow } from './measuring.js';

const QUERY_HASHES = 8;
const ROUNDS = 5;
const RANGE = { maxDistance: 31, limit: 100 };

console.log('## Near perceptual hashes\n');
console.log(
  'Eight hashes at most 31 bits away (a query with all its turns and mirrors), among random hashes of which a fifth lie near others. Processor time, medians of five queries; both give the same answers.\n',
);
console.log(
  tableHead('hashes', 'one scan, ms', 'lists by chunk, ms', 'scan / lists', 'adding all, ms', 'a replacement, us'),
);
const sizes = process.argv.slice(2).map(Number);
for (const size of sizes.length > 0 ? sizes : [10_000, 100_000, 1_000_000]) {
  const random = randomBytesOf(size);
  const scan = new LinearHashIndex();
  const index = new HashIndex();
  const kept: Uint8Array[] = [];
  const hashes = Array.from({ length: size }, (_, label) => {
    const base = kept[label % 997];
    const hash = label % 5 === 0 && base !== undefined ? turned(base, random(4)) : random(HASH_BYTES);
    if (kept.length < 997) kept.push(hash);
    return hash;
  });
  for (const [label, hash] of hashes.entries()) scan.add(label, hash);
  const addMs = cpuMsOf(() => {
    for (const [label, hash] of hashes.entries()) index.add(label, hash);
  });
  const queries = Array.from({ length: ROUNDS }, () => [
    turned(kept[0]!, random(4)),
    ...Array.from({ length: QUERY_HASHES - 1 }, () => random(HASH_BYTES)),
  ]);
  for (const query of queries)
    if (JSON.stringify(scan.near(query, RANGE)) !== JSON.stringify(index.near(query, RANGE)))
      throw new Error('They differ.');
  const times = { scan: [] as number[], index: [] as number[] };
  for (const query of queries) {
    times.scan.push(cpuMsOf(() => scan.near(query, RANGE)));
    times.index.push(cpuMsOf(() => index.near(query, RANGE)));
  }
  const changes = 2000;
  const changeMs = cpuMsOf(() => {
    for (let label = 0; label < changes; label++) {
      index.remove(label);
      index.add(size + label, hashes[label]!);
    }
  });
  const [byScan, byIndex] = [median(times.scan), median(times.index)];
  const lists = index.usesMultiIndex ? byIndex.toFixed(2) : 'not kept';
  const replacementUs = ((1000 * changeMs) / changes).toFixed(1);
  console.log(tableRow(size, byScan.toFixed(2), lists, (byScan / byIndex).toFixed(1), addMs.toFixed(0), replacementUs));
}

/** Successive random bytes, the same for the same seed. */
function randomBytesOf(seed: number): (length: number) => Uint8Array {
  const random = seededRandom(seed);
  return (length) => Uint8Array.from({ length }, () => 256 * random());
}

/** The hash with one bit turned for each of these bytes. */
function turned(hash: Uint8Array, bits: Uint8Array): Uint8Array {
  const changed = hash.slice();
  for (const bit of bits) changed[bit >> 3]! ^= 1 << (bit & 7);
  return changed;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** Processor milliseconds of this process for one call. */
function cpuMsOf(call: () => unknown): number {
  const before = process.cpuUsage();
  call();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
