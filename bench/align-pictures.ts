/**
 * What it costs to tell an edited copy from a look-alike (`groups=true`): preparing the query, and laying it on one
 * candidate, in processor time on one core; beside it, what decoding a candidate's thumbnail costs the first time.
 * Candidates are pictures of the query's own class. Also a checksum of all answers, which must not change when the code
 * gets faster.
 *
 *   npm run bench -- align-pictures       (needs ../shared/data/photos)
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import sharp from 'sharp';
import { type Sketch, sketchOfThumbnail } from '../src/images/sketch.js';
import { type Alignment, alignmentQuery, alignPictures } from '../src/matching/align-pictures.js';
import { figureOf, show, tableHead, tableRow } from './measuring.js';

const PHOTOS = new URL('../../../shared/data/photos/caltech101/', import.meta.url);
const QUERIES = 50;
const CANDIDATES = 16;
const ROUNDS = 5;

const names = readdirSync(PHOTOS, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.jpg'))
  .sort();
const thumbnails: Buffer[] = [];
for (const name of names) {
  const picture = sharp(readFileSync(new URL(name, PHOTOS)));
  thumbnails.push(
    await picture.resize(256, 256, { fit: 'inside', withoutEnlargement: true }).webp({ quality: 80 }).toBuffer(),
  );
}
const sketches: Sketch[] = [];
const decodingAt = cpuMs();
for (const thumbnail of thumbnails) sketches.push(await sketchOfThumbnail(thumbnail));
const decodeMs = (cpuMs() - decodingAt) / thumbnails.length;

const step = Math.floor(sketches.length / QUERIES);
const prepareMs: number[] = [];
const pairMs: number[] = [];
let answers: (Alignment | undefined)[] = [];
for (let round = 0; round <= ROUNDS; round++) {
  const startedAt = cpuMs();
  const queries = Array.from({ length: QUERIES }, (_, at) => alignmentQuery(sketches[at * step]!));
  const preparedAt = cpuMs();
  answers = queries.flatMap((query, at) =>
    Array.from({ length: CANDIDATES }, (_, next) =>
      alignPictures(query, sketches[(at * step + next + 1) % sketches.length]!),
    ),
  );
  if (round === 0) continue; // while the code is being compiled
  prepareMs.push((preparedAt - startedAt) / QUERIES);
  pairMs.push((cpuMs() - preparedAt) / answers.length);
}
const [prepare, pair] = [figureOf(prepareMs), figureOf(pairMs)];
console.log('## Telling edited copies from look-alikes\n');
console.log(
  `\`groups=true\` lays the query on its ${CANDIDATES} nearest candidates, here of its own class. Processor time on one core.\n`,
);
console.log(tableHead('', 'ms'));
console.log(tableRow('query, once a search', show(prepare)));
console.log(tableRow('a candidate', show(pair)));
console.log(tableRow(`a search of ${CANDIDATES}`, (prepare.median + CANDIDATES * pair.median).toFixed(0)));
console.log(tableRow("decoding a candidate's thumbnail, once", decodeMs.toFixed(2)));
const found = answers.filter((answer) => answer !== undefined);
const digest = createHash('sha256').update(
  JSON.stringify(found.map(({ agreement, query }) => [agreement.toFixed(4), query.x.toFixed(4)])),
);
console.log(
  `\n${answers.length} pairs, ${found.length} looked at closely, answers ${digest.digest('hex').slice(0, 12)}.`,
);

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
