import type Database from 'better-sqlite3';
import { checkStoredRow, isCollectionName, removedCollectionName } from './checked-input.js';
import { CHECKSUM_VERSION, isWholeRow, partChecksum } from './checksums.js';
import { readVersion } from './store-schema.js';
import { prepareStatements } from './store-statements.js';

/**
 * Reads everything that is stored of images, and returns what is missing, not as it was stored, or against the rules of
 * the API.
 */
export function recordProblems(database: Database.Database): string[] {
  const version = readVersion(database);
  const { collections, allImages, incomplete, ...statements } = prepareStatements(database, version);
  const names = new Map(collections.all().map(({ key, name }) => [key, name]));
  const problems = incomplete.all();
  for (const [key, name] of names)
    if (!isCollectionName(name) && name !== removedCollectionName(key))
      problems.push(`collection ${JSON.stringify(name)} has a name that is not allowed`);
  for (const row of allImages.iterate()) {
    const fault = isWholeRow(row, version)
      ? faultOf(() => checkStoredRow(row))
      : 'it is not as it was stored (checksum)';
    if (fault === undefined) continue;
    const place = `number ${row.sequence}, collection ${JSON.stringify(names.get(row.collection))}`;
    problems.push(`image ${JSON.stringify(row.id)} (${place}): ${fault}`);
  }
  if (version < CHECKSUM_VERSION) return problems;
  for (const part of ['embedding', 'thumbnail', 'original'] as const)
    for (const { sequence, blob, checksum } of statements[`all_${part}`].iterate())
      if (checksum !== partChecksum(sequence, blob))
        problems.push(`${part} of image number ${sequence}: it is not as it was stored (checksum)`);
  return problems;
}

function faultOf(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
