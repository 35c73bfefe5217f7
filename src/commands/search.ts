import { readFile } from 'node:fs/promises';
import { searchImage } from '../importing/service-client.js';
import { openService, type ServiceFlags } from './service.js';

/** Flags of `likeness search`. */
export type SearchFlags = ServiceFlags & {
  readonly k: number;
  readonly minScore?: number;
  readonly filter?: string;
  readonly json: boolean;
};

/** Prints the nearest images to a picture, best first: score, id and metadata, or the whole answer as JSON. Returns the exit code. */
export async function runSearch(file: string, flags: SearchFlags): Promise<number> {
  const bytes = await readFile(file);
  const service = await openService(flags);
  try {
    const { k, minScore, filter } = flags;
    const query = { bytes, k, ...(minScore !== undefined && { minScore }), ...(filter !== undefined && { filter }) };
    const answer = await searchImage(service.address, query);
    if (flags.json) console.log(JSON.stringify(answer, null, 2));
    else for (const { id, score, metadata } of answer.results) console.log(`${score.toFixed(4)}  ${id}  ${JSON.stringify(metadata)}`);
    return 0;
  } finally {
    await service.close();
  }
}
