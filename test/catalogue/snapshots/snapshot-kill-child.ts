import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { openCatalogue } from '../../../src/catalogue/open-catalogue.js';
import { restoreSnapshot } from '../../../src/catalogue/snapshots/restore.js';
import { Snapshots } from '../../../src/catalogue/snapshots/snapshots.js';
import { newImage } from '../example-images.js';
import { KILL_DIMENSIONS, KILL_OPTIONS, killedContent, killedVector } from '../kill-rounds.js';

/** Adds and makes snapshots until it is killed; a line on stdout (a file) for each whole snapshot. */
async function makeSnapshots(folder: string, round: number): Promise<void> {
  const catalogue = await openCatalogue({ folder, dimensions: KILL_DIMENSIONS, ...KILL_OPTIONS });
  const snapshots = new Snapshots({ folder: join(folder, 'snapshots'), copyTo: (stage) => catalogue.copyTo(stage) });
  await snapshots.removeLeftovers();
  process.send?.('open');
  const add = async (): Promise<void> => {
    for (let count = 0; ; count++) {
      const content = killedContent(round, 0, count);
      await catalogue.add('default', newImage(content, killedVector(content)));
    }
  };
  const snap = async (): Promise<void> => {
    for (;;) {
      const { name } = await snapshots.create();
      writeSync(1, `${name}\n`);
      process.send?.('made');
    }
  };
  await Promise.all([add(), snap()]);
}

const [, , kind, folder = '', other = ''] = process.argv;
if (kind === 'snapshot') await makeSnapshots(folder, Number(other));
if (kind === 'restore') {
  process.send?.('open');
  await restoreSnapshot({ file: other, folder, maxBytes: 2 ** 40 });
}
