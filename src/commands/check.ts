import { checkCatalogue } from '../catalogue/check.js';

/** Flags of `likeness check`. */
export type CheckFlags = { readonly data: string; readonly deep: boolean; readonly hnswM: number };

/** Verifies a data folder and prints what it found, collection by collection. Returns the exit code: 1 where records are damaged. */
export async function runCheck(flags: CheckFlags): Promise<number> {
  const result = checkCatalogue(flags.data, { deep: flags.deep, m: flags.hnswM });
  console.log(`${flags.data}: encoder ${result.encoderId?.slice(0, 12) ?? 'unknown'}, ${result.dimensions ?? 0} dimensions`);
  for (const { name, images, index, indexProblem, notYetIndexed } of result.collections) {
    const state = index === 'refused' ? `refused, the next start builds it anew (${indexProblem})` : index;
    console.log(`collection ${name}: ${images} images; index ${state}; ${notYetIndexed} images to be added to it at the next start`);
  }
  for (const problem of result.storeProblems) console.error(`damaged: ${problem}`);
  console.log(result.ok ? 'The records are whole.' : 'Records are damaged: restore the folder from a backup.');
  return result.ok ? 0 : 1;
}
