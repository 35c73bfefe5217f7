/** docs/benchmarks.md is written by the benchmarks. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandOf, withSection } from '../bench/benchmark-document.js';
import { REPOSITORY } from './service-process.js';

const document = readFileSync(join(REPOSITORY, 'docs/benchmarks.md'), 'utf8');
const sectionsOf = (text: string): readonly string[] => text.split(/^(?=## )/m).slice(1);

test('every section of docs/benchmarks.md names the command that prints it, with its day and machine', () => {
  for (const section of sectionsOf(document)) {
    const command = commandOf(section);
    assert.ok(command !== undefined, section.split('\n')[0]);
    assert.ok(existsSync(join(REPOSITORY, 'bench', `${command.split(' ')[0]}.ts`)), command);
  }
});

test('what a benchmark printed replaces its section alone, and is added where there is none', () => {
  const run = { machine: 'a machine', date: new Date('2030-01-02T03:04:05Z') };
  const printed = '## Graph\n\n| ef | ms |\n|---|---:|\n| 16 | 1 |\n';
  const replaced = withSection(document, { ...run, command: 'hnsw', printed });
  const others = (text: string) => sectionsOf(text).filter((section) => commandOf(section) !== 'hnsw');
  assert.deepEqual(others(replaced), others(document));
  const written =
    '## Graph\n\n`npm run bench -- hnsw`, 2030-01-02, a machine.\n\n| ef | ms |\n|---|---:|\n| 16 | 1 |\n';
  assert.ok(replaced.includes(`${written}\n## `));
  assert.equal(withSection(replaced, { ...run, command: 'hnsw', printed }), replaced);
  const added = withSection(document, { ...run, command: 'hnsw --new', printed });
  assert.ok(added.startsWith(document.trimEnd()) && added.endsWith('| 16 | 1 |\n'));
  assert.throws(() => withSection(document, { ...run, command: 'hnsw', printed: 'no heading' }), /printed no heading/);
});
