/**
 * Stores the pictures of a folder, then searches for the first of them.
 * node examples/node/index-and-search.mjs FOLDER [http://127.0.0.1:8080]
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient, LikenessError } from 'likeness-search/client';

const [folder, url = 'http://127.0.0.1:8080'] = process.argv.slice(2);
if (folder === undefined) throw new Error('Name a folder of pictures.');

// Answers 429 and 503 are retried after the time that the service asks for.
const likeness = createClient({
  url,
  apiKey: process.env.LIKENESS_API_KEY,
  retry: { attempts: 5, longestPauseMs: 5000 },
});
const names = (await readdir(folder)).filter((name) => /\.(jpe?g|png|webp|gif|avif|tiff?)$/i.test(name)).sort();

for (const name of names) {
  try {
    const { images } = await likeness.index([new Blob([await readFile(join(folder, name))])], { id: name });
    console.log(`${name}: ${images[0].status}`);
  } catch (error) {
    if (!(error instanceof LikenessError)) throw error;
    console.log(`${name}: ${error.code} ${error.message}`); // One bad file does not end the run.
  }
}

const { results } = await likeness.search({
  pictures: [new Blob([await readFile(join(folder, names[0]))])],
  k: 5,
  groups: true,
});
for (const { id, score, copy, probability } of results)
  console.log(
    `${score.toFixed(3)}  ${copy === 'none' ? 'similar' : `${copy} copy (${(100 * probability).toFixed(0)} %)`}  ${id}`,
  );
