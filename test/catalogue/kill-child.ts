import { writeSync } from 'node:fs';
import { openCatalogue } from '../../src/catalogue/open-catalogue.js';
import { newImage } from './example-images.js';
import { KILL_DIMENSIONS, KILL_OPTIONS, killedContent, killedVector } from './kill-rounds.js';

/**
 * Adds, removes and saves with eight writers until it is killed; one line on stdout (a file) for each answer, written
 * before the next call.
 */
async function main(folder: string, round: number): Promise<void> {
  const say = (line: string): void => void writeSync(1, `${line}\n`);
  const catalogue = await openCatalogue({ folder, dimensions: KILL_DIMENSIONS, ...KILL_OPTIONS });
  process.send?.('open');
  const writer = async (number: number): Promise<void> => {
    for (let count = 0; ; count++) {
      const content = killedContent(round, number, count);
      say(`adding ${content}`);
      const { id, status } = await catalogue.add('default', newImage(content, killedVector(content)));
      say(`${status} ${content} ${id}`);
      if (count % 5 === 4) {
        say(`removing ${content}`);
        await catalogue.remove('default', id);
        say(`removed ${content}`);
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, number) => writer(number)));
}

const [, , folder, round] = process.argv;
if (folder !== undefined && round !== undefined) await main(folder, Number(round));
