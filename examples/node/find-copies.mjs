/**
 * Prints every pair of copies in a collection as tab-separated lines: kind, probability, id, id.
 * node examples/node/find-copies.mjs [http://127.0.0.1:8080] [COLLECTION]
 */
import { createClient } from 'likeness-search/client';

const [url = 'http://127.0.0.1:8080', collection = 'default'] = process.argv.slice(2);
const likeness = createClient({
  url,
  apiKey: process.env.LIKENESS_API_KEY,
  retry: { attempts: 10, longestPauseMs: 5000 },
});

let cursor;
do {
  const page = await likeness.images({ collection, limit: 100, ...(cursor && { cursor }) });
  for (const { id } of page.images) {
    const { results } = await likeness.similar(id, { collection, k: 20, groups: true });
    // Each pair is found from both sides: print it once.
    for (const result of results)
      if (result.copy !== 'none' && id < result.id)
        console.log([result.copy, result.probability.toFixed(3), id, result.id].join('\t'));
  }
  cursor = page.nextCursor;
} while (cursor);
