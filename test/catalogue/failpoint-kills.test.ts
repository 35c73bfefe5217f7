import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { FAILPOINTS } from '../../src/catalogue/failpoint.js';
import { REPOSITORY } from '../service-process.js';
import { KILLED_POINTS, killAt, prepare } from './failpoint-kills.js';
import { withTemporaryFolder } from './temporary-folder.js';

/** Of all; the seed says which. The acceptance suite kills at each of them twenty times. */
const POINTS = 6;

it(`a kill at a named point loses nothing acknowledged and stops no start: ${POINTS} points, once each`, (test) =>
  withTemporaryFolder(async (folder) => {
    const seed = Number(process.hrtime.bigint() % 1_000_000n);
    const step = KILLED_POINTS.length / POINTS;
    const chosen = Array.from({ length: POINTS }, (_, at) => KILLED_POINTS[Math.floor(at * step + (seed % step))]!);
    test.diagnostic(`seed ${seed}: ${chosen.join(', ')}`);
    const prepared = await prepare(folder);
    for (const point of chosen) await killAt(point, { folder, prepared, kills: 1, seed });
  }));

it('every named point is in the code once, and nothing of ours listens for them', () => {
  const source = join(REPOSITORY, 'src');
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const text = files.map((name) => readFileSync(join(source, name), 'utf8')).join('\n');
  for (const point of FAILPOINTS) assert.equal(text.split(`reached('${point}')`).length, 2, point);
  assert.doesNotMatch(text, /\bsubscribe\b.*FAILPOINT|diagnostics_channel.*subscribe/);
});
