import { openSync, writeSync } from 'node:fs';
import { openCatalogue } from '../../../src/catalogue/open-catalogue.js';
import { SearchError } from '../../../src/errors.js';
import { newImage } from '../example-images.js';
import { KILL_DIMENSIONS, KILL_OPTIONS, killedContent, killedVector } from '../kill-rounds.js';

const WRITERS = 4;
const ADDS = 40;

/**
 * Adds, removes and saves on a disk that may fail; a line in the file `said` for each answer, written before the next
 * call. Ends by itself.
 */
async function main(folder: string, said: string): Promise<void> {
  const descriptor = openSync(said, 'a');
  const say = (line: string): void => void writeSync(descriptor, `${line}\n`);
  const refusal = (error: unknown): string => {
    if (error instanceof SearchError) return error.code;
    throw error;
  };
  const opened = await openCatalogue({ folder, dimensions: KILL_DIMENSIONS, ...KILL_OPTIONS }).catch(
    (error: unknown) => {
      say(`unopened - ${refusal(error)}`);
    },
  );
  if (opened === undefined) return;
  const writer = async (number: number): Promise<void> => {
    for (let count = 0; count < ADDS; count++) {
      const content = killedContent(0, number, count);
      say(`adding ${content}`);
      try {
        const { id, status } = await opened.add('default', newImage(content, killedVector(content)));
        say(`${status} ${content} ${id}`);
        if (count % 5 !== 4) continue;
        say(`removing ${content}`);
        await opened.remove('default', id);
        say(`removed ${content}`);
      } catch (error) {
        say(`refused ${content} ${refusal(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, number) => writer(number)));
  await opened.close();
  say('closed - -');
}

const [, , folder, said] = process.argv;
if (folder !== undefined && said !== undefined) await main(folder, said);
