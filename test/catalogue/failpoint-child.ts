import { rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { openCatalogue } from '../../src/catalogue/open-catalogue.js';
import { imageId, newImage } from './example-images.js';
import { KILL_DIMENSIONS, KILL_OPTIONS, killedContent, killedVector } from './kill-rounds.js';

/** Images of the prepared folder: so many that their removal has the graph built anew. */
export const PREPARED = 1300;
/** Id of the n-th of them; its content too. */
export function preparedContent(count: number): string {
  return killedContent(0, 0, count);
}

const say = (line: string): void => void writeSync(1, `${line}\n`);
const open = (folder: string) =>
  openCatalogue({ folder, dimensions: KILL_DIMENSIONS, ...KILL_OPTIONS, saveEveryChanges: 10_000 });

const MODES: Readonly<Record<string, (folder: string, round: number) => Promise<void>>> = {
  /** Fills a folder and ends. */
  async prepare(folder) {
    const catalogue = await open(folder);
    for (let from = 0; from < PREPARED; from += 100) {
      await Promise.all(
        Array.from({ length: 100 }, async (_, place) => {
          const content = preparedContent(from + place);
          await catalogue.add('default', newImage(content, killedVector(content), { id: imageId(content) }));
        }),
      );
    }
    await catalogue.saveIndexes();
    await catalogue.close();
  },
  /** Opens, and adds one image. */
  async start(folder, round) {
    const catalogue = await open(folder);
    const content = killedContent(round, 0, 0);
    say(`adding ${content}`);
    const { id } = await catalogue.add('default', newImage(content, killedVector(content)));
    say(`added ${content} ${id}`);
    await catalogue.close();
  },
  /** Removes most of what was prepared, so that the graph is built anew. */
  async shrink(folder) {
    const catalogue = await open(folder);
    for (let from = 0; from < PREPARED - 100; from += 100) {
      await Promise.all(
        Array.from({ length: 100 }, async (_, place) => {
          const content = preparedContent(from + place);
          say(`removing ${content}`);
          await catalogue.remove('default', imageId(content));
          say(`removed ${content}`);
        }),
      );
    }
    for (;;) await catalogue.statistics(); // its thread goes on building between the requests
  },
  /** Removes with the reserve gone, as on a full disk: freed pages are given back after each. */
  async reclaim(folder, round) {
    const catalogue = await open(folder);
    for (let count = 0; count < 60; count++) {
      rmSync(join(folder, 'reserve'), { force: true });
      const content = preparedContent(round * 60 + count);
      say(`removing ${content}`);
      await catalogue.remove('default', imageId(content));
      say(`removed ${content}`);
    }
  },
};

const [, , mode = '', folder = '', round = '0'] = process.argv;
await MODES[mode]?.(folder, Number(round));
