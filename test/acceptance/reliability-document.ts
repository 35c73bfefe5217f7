/**
 * docs/reliability.md: the records of docs/reliability/ as one table. `node
 * dist/test/acceptance/reliability-document.js` writes it without measuring anything.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { REPOSITORY } from '../service-process.js';
import { CRITERIA, criteriaOf } from './criteria.js';
import { currentRun, RECORDS, type Run, recordName, type StoredRecord, store } from './record.js';

/** Path of the table. */
export const DOCUMENT = join(REPOSITORY, 'docs', 'reliability.md');

/** All stored records, in the order of the criteria. */
export function readRecords(): readonly StoredRecord[] {
  if (!existsSync(RECORDS)) return [];
  const names = readdirSync(RECORDS).filter((name) => name.endsWith('.json'));
  // written by store() alone
  return names.sort().map((name) => JSON.parse(readFileSync(join(RECORDS, name), 'utf8')) as StoredRecord);
}

/** The table as Markdown. Runs are numbered by their start; each row says of which run it is. */
export function reliabilityDocument(records: readonly StoredRecord[]): string {
  const machines = [...new Set(records.map(({ run }) => run.machine))].sort();
  const runs = [...new Map(records.map(({ run }) => [`${run.startedAt} ${run.machine}`, run])).values()].sort((a, b) =>
    a.startedAt < b.startedAt ? -1 : 1,
  );
  const nameOf = (run: Run): string =>
    `R${runs.findIndex(({ startedAt, machine }) => startedAt === run.startedAt && machine === run.machine) + 1}, M${machines.indexOf(run.machine) + 1}`;
  const rows = CRITERIA.flatMap(({ id, title }) => {
    const own = records.filter(({ criterion }) => criterion === id);
    if (own.length === 0) return [`| **${id}** ${title} | | | | | not measured | |`];
    return own.flatMap((stored) => rowsOf(stored, `**${id}** ${title}`, nameOf(stored.run)));
  });
  const short = records.flatMap(({ measures }) => measures).filter(({ isMet }) => !isMet).length;
  const figures = records.flatMap(({ measures }) => measures).length;
  return `# Reliability

What was given, what was measured, what was asked for. ${figures - short} of ${figures} figures meet their threshold; those that do not say why.

\`\`\`
npm run test:acceptance                # everything: some hours
npm run test:acceptance -- a02 kill    # the files whose names contain a word; their rows are replaced, the others stay
ACCEPTANCE_SEED=7 ACCEPTANCE_ROUND=12 npm run test:acceptance -- NAME   # replays what a failure printed
\`\`\`

Each criterion is a file of \`test/acceptance\`. Its records lie in [reliability/](reliability); the suite writes this table from them. Short forms of most run in
\`npm test\`. Ratios hold on other machines, times in milliseconds may not.

| criterion | given | measure | measured | threshold | verdict | run, machine |
|---|---|---|---|---|---|---|
${rows.join('\n')}

## Runs

The load is the machine's mean load over the minute in which the run's last test ended, the test's own included.

| run | started | commit | load |
|---|---|---|---|
${runs.map(({ startedAt, commit, load }, at) => `| R${at + 1} | ${startedAt} | ${commit} | ${load} |`).join('\n')}

## Machines

| machine | |
|---|---|
${machines.map((machine, at) => `| M${at + 1} | ${machine} |`).join('\n')}
`;
}

/**
 * Ends a run of the suite: records of the files that ran but are of former runs go; a criterion whose file left no
 * record stands as failed or skipped, with what was said. Then writes the table.
 */
export function closeRun(
  startedAt: string,
  files: readonly string[],
  ends: ReadonlyMap<string, { readonly kind: 'failed' | 'skipped'; readonly reason: string }>,
): void {
  for (const file of files) {
    const criteria = criteriaOf(basename(file));
    for (const { id } of criteria) {
      const own = readRecords().filter(({ criterion }) => criterion === id);
      for (const stored of own) if (stored.run.startedAt !== startedAt) rmSync(join(RECORDS, recordName(stored)));
      if (own.some(({ run }) => run.startedAt === startedAt)) continue;
      const outcome = ends.get(file) ?? { kind: 'failed', reason: 'it recorded nothing' };
      store({ criterion: id, given: '', measures: [], outcome, run: { ...currentRun(), startedAt } });
    }
  }
  writeFileSync(DOCUMENT, reliabilityDocument(readRecords()));
}

function rowsOf({ given, seed, measures, outcome }: StoredRecord, title: string, run: string): string[] {
  if (outcome !== undefined)
    return [`| ${title} | ${cell(given)} | | | | **${outcome.kind}**: ${cell(outcome.reason)} | ${run} |`];
  return measures.map(({ name, measured, threshold, isMet, reason }, at) => {
    const situation = `${cell(given)}${seed === undefined ? '' : `; seed ${seed}`}`;
    const verdict = isMet ? 'met' : `**short**: ${cell(reason ?? 'not known why')}`;
    return `| ${at === 0 ? title : ''} | ${at === 0 ? situation : ''} | ${cell(name)} | ${cell(measured)} | ${cell(threshold)} | ${verdict} | ${run} |`;
  });
}

function cell(text: string): string {
  return text.replace(/\s+/g, ' ').replaceAll('|', '\\|');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(DOCUMENT, reliabilityDocument(readRecords()));
