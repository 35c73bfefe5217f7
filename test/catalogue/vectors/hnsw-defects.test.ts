/**
 * Every known defect of hnswlib and hnswlib-node 3.0.0, and the test that shows our index withstanding it; a test that
 * is renamed or removed is missed here.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { REPOSITORY } from '../../service-process.js';

/** What the library does, as measured (each case in a process of its own) or as its trackers report it. */
type Defect = { readonly defect: string; readonly file: string; readonly test: string };

const hazard = (defect: string, test: string): Defect => ({ defect, file: 'hnsw-hazards-child.ts', test });
const contract = (defect: string, test: string): Defect => ({ defect, file: 'vector-index-contract.ts', test });
const files = (defect: string, test: string): Defect => ({ defect, file: 'index-file.test.ts', test });

const DEFECTS: readonly Defect[] = [
  contract(
    'a vector of another length: an error of its own',
    'refuses vectors that have no direction or another length, as points and as queries',
  ),
  contract(
    'a zero vector: accepted, at distance 1 of all',
    'refuses vectors that have no direction or another length, as points and as queries',
  ),
  hazard('NaN: accepted, and some other vectors are lost', 'a NaN as the first vector loses no other'),
  hazard('an element that is no number: abort', 'an element that is no number does not abort the process'),
  hazard('a filter that throws: abort (issue 132)', 'a filter that throws does not abort the process'),
  hazard('a filter that answers no boolean: accepted', 'a filter that answers no boolean accepts nothing by it'),
  contract('capacity exceeded: an error', 'grows far beyond its first capacity'),
  hazard(
    'k above the capacity, or a search of nothing: an error',
    'more neighbours than there are, than there is room for, or none at all can be asked for',
  ),
  hazard(
    'removing twice or what is not there: an error',
    'removing twice, or what was never there, is no error and no removal',
  ),
  hazard('labels wrap at 2^32 and overwrite others', 'a label beyond 32 bits overwrites no other'),
  hazard(
    'a label that is there is overwritten; a removed one added again is an error, and concurrent duplicates deadlock (hnswlib 420)',
    'a label that is there, or was, is not taken again',
  ),
  hazard('a write into a missing folder: success', 'a save into a missing folder is an error'),
  hazard(
    'a write on a full disk: success, and a cut file',
    'a save that a full disk cut without a word is an error, and the former file stays',
  ),
  hazard(
    'reading a missing or cut file into a live object: SIGSEGV at the next search',
    'a missing or truncated file does not harm the index in use',
  ),
  hazard('random bytes as a file', 'a file of random bytes is an error'),
  files(
    'flipped bytes, holes: loads, SIGSEGV or wrong answers at search (hnswlib 143, 180, 673, 677)',
    'damaged in 76 ways are never used, and the answers are right',
  ),
  hazard('a file of another dimension: no error, garbage', 'a file of another dimension is not read'),
  files(
    'a file of another space, M, encoder or store: no error, garbage',
    'are refused where side-car and catalogue disagree in any point',
  ),
  hazard(
    'an add or a resize during a write: the file cannot be read',
    'adds, removals and growth during a write are refused and the file is whole',
  ),
  files(
    'a graph that grows while its file is checked',
    'are whole although the graph goes on growing while they are hashed',
  ),
  hazard(
    'a search during an asynchronous read into the same object: SIGSEGV',
    'an index in use is searched while its file is read into another, again and again',
  ),
  hazard(
    'a search and an insert at the same time (hnswlib 29, 100, 590)',
    'searches, adds and removals go on while a collection is saved',
  ),
  hazard('after a load ef is 10 and there is no room', 'ef and room are as before after a load'),
  hazard('mark deleted, save, load: crash (hnswlib 189)', 'nearly everything removed, saved and loaded still searches'),
  contract(
    'few results where many are deleted (hnswlib 321, 344)',
    'answers a full page although nearly all vectors were removed',
  ),
  {
    defect: 'few results behind a filter or of a small ef',
    file: 'collection-index.test.ts',
    test: 'completes an answer by scanning where the graph cannot',
  },
  contract(
    'replacing deleted labels (hnswlib 418, chroma 2621): never used, vectors get new labels',
    'finds the same vector again under a new label',
  ),
  hazard('memory of dropped indexes stays: +543 MB after 200', 'the memory of dropped graphs comes back'),
  {
    defect: 'a huge M overflows (CVE-2023-37365)',
    file: '../durable-catalogue.test.ts',
    test: 'refuses settings that hnswlib would take and die of',
  },
  {
    defect: 'the last label',
    file: '../durable-catalogue.test.ts',
    test: 'refuses an image beyond the last 32-bit number, and keeps those before it',
  },
  {
    defect: 'every call blocks its thread (pull request 366): main thread stays free',
    file: '../../acceptance/product/event-loop.acceptance.ts',
    test: 'event-loop delay p99 stays under',
  },
  {
    defect: 'not compiled, where install scripts are blocked',
    file: '../../native-modules.test.ts',
    test: 'names every native part that does not load, and the command that mends it',
  },
];

it('each known defect of hnswlib-node has a test that shows our index withstanding it', () => {
  for (const { defect, file, test } of DEFECTS) {
    const text = readFileSync(join(REPOSITORY, 'test', 'catalogue', 'vectors', file), 'utf8');
    assert.ok(text.includes(test), `${defect}: ${file} has no test "${test}"`);
  }
});
