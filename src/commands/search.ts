import { readRegularFile } from './read-file.js';
import { openService, type ServiceFlags } from './service.js';

/** Flags of `likeness search`. */
type SearchFlags = ServiceFlags & {
  readonly k: number;
  readonly minScore?: number;
  readonly filter?: string;
  readonly json: boolean;
};

/**
 * Prints the images nearest to a picture, best first: copy kind, probability that it is a copy, score, id, file name
 * and metadata; with --json the whole response. Returns the exit code.
 */
export async function runSearch(file: string, flags: SearchFlags): Promise<number> {
  const picture = await readRegularFile(file);
  const { client, close } = await openService(flags, { attempts: 8, longestPauseMs: 15_000 });
  try {
    const { collection, k, minScore, filter, json } = flags;
    const options = { ...(minScore !== undefined && { minScore }), ...(filter !== undefined && { filter }) };
    const page = await client.search({ pictures: [picture], collection, k, ...options });
    if (page.results.length === 0) {
      const { collections } = await client.collections();
      const names = collections.map(({ name }) => name);
      if (!names.includes(collection) && collection !== 'default')
        throw new Error(
          `There is no collection ${escapeControls(collection)}. There are: ${names.join(', ') || 'none'}.`,
        );
    }
    if (json) console.log(JSON.stringify(page, null, 2));
    else
      for (const { copy, probability, score, id, fileName, metadata } of page.results) {
        const columns = [copy.padEnd(6), probability.toFixed(3), score.toFixed(4), id, fileName ?? '-'];
        console.log(escapeControls([...columns, JSON.stringify(metadata)].join('  ')));
      }
    return 0;
  } finally {
    await close();
  }
}

/**
 * Text without characters that a terminal would execute or that would change the direction of the text: they are
 * written as `\u{1b}`.
 */
function escapeControls(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
