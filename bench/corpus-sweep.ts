/**
 * Sends every file of ../shared/data/bad-images through a decoder pool and compares the outcome with the
 * manifest's `expected`. Run: node dist/bench/corpus-sweep.js [every-nth-file]. Prints each disagreement, counts per
 * error code, the slowest image and the peak of memory.
 */
import { existsSync, readFileSync } from 'node:fs';
import { SearchError } from '../src/errors.js';
import { createDecoderPool } from '../src/images/decoding/decoder-pool.js';

/** One line of the manifest that says what should become of an image file. */
export type CorpusFile = { readonly file: string; readonly expected: string; readonly kind: string };

/** What became of it: `accepted` or an error code. */
export type CorpusOutcome = CorpusFile & {
  readonly outcome: string;
  readonly agrees: boolean;
  readonly tookMs: number;
};

const CORPUS = new URL('../../../shared/data/bad-images/', import.meta.url);

/** Whether the corpus lies beside this checkout. */
export function hasCorpus(): boolean {
  return existsSync(new URL('manifest.tsv', CORPUS));
}

/**
 * Decodes every n-th image file of the corpus with a fresh pool, each `rounds` times; a file agrees only where its
 * outcome is the same every time.
 */
export async function sweepCorpus(options: {
  readonly everyNth: number;
  readonly rounds: number;
}): Promise<readonly CorpusOutcome[]> {
  const files = readManifest().filter((_, i) => i % options.everyNth === 0);
  const pool = createDecoderPool({
    preprocessing: { width: 32, height: 32, fit: 'cover', mean: [0, 0, 0], scale: [1, 1, 1], layout: 'NCHW' },
    queueLimit: files.length,
  });
  try {
    await pool.ready();
    return await Promise.all(
      files.map(async (file) => {
        const bytes = readFileSync(new URL(encodeURIComponent(file.file).replaceAll('%2F', '/'), CORPUS));
        const outcomes = new Set<string>();
        let tookMs = 0;
        for (let round = 0; round < options.rounds; round++) {
          const { outcome, decodeMs } = await outcomeOf(pool, bytes);
          outcomes.add(outcome);
          tookMs = Math.max(tookMs, decodeMs);
        }
        const outcome = [...outcomes].join(' | ');
        return { ...file, outcome, tookMs, agrees: outcomes.size === 1 && agrees(file.expected, outcome) };
      }),
    );
  } finally {
    await pool.close();
  }
}

/**
 * Accepted where the manifest accepts, an error that blames the file where it refuses, either of the two where it
 * leaves that open.
 */
function agrees(expected: string, outcome: string): boolean {
  const isRefused = ['UNSUPPORTED_FORMAT', 'HEIC_NOT_SUPPORTED', 'UNREADABLE_IMAGE', 'IMAGE_TOO_LARGE'].includes(
    outcome,
  );
  if (expected.startsWith('accept')) return outcome === 'accepted';
  if (expected.startsWith('refuse or accept') || expected.startsWith('either'))
    return isRefused || outcome === 'accepted';
  return isRefused;
}

type Pool = ReturnType<typeof createDecoderPool>;

async function outcomeOf(pool: Pool, bytes: Uint8Array): Promise<{ outcome: string; decodeMs: number }> {
  try {
    const { times } = await pool.decode(bytes, { thumbnail: true });
    return { outcome: 'accepted', decodeMs: times.decodeMs };
  } catch (error) {
    if (!(error instanceof SearchError)) throw error;
    return { outcome: error.code, decodeMs: 0 };
  }
}

function readManifest(): readonly CorpusFile[] {
  const [head = '', ...lines] = readFileSync(new URL('manifest.tsv', CORPUS), 'utf8').trimEnd().split('\n');
  const columns = head.split('\t');
  const files = lines.map((line) => {
    const cells = line.split('\t');
    const cell = (name: string) => cells[columns.indexOf(name)] ?? '';
    return { file: cell('file'), expected: cell('expected'), kind: cell('kind') };
  });
  return files.filter(({ expected }) => !expected.startsWith('use line by line')); // lists of strings, not images
}

async function main(): Promise<void> {
  const startedAt = performance.now();
  const outcomes = await sweepCorpus({ everyNth: Number(process.argv[2] ?? 1), rounds: 1 });
  const counts = new Map<string, number>();
  for (const { outcome } of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const disagreeing = outcomes.filter((outcome) => !outcome.agrees);
  for (const { file, expected, kind, outcome } of disagreeing)
    console.log(`${outcome}\texpected ${expected}\t(${kind})\t${file}`);
  const slowest = outcomes.reduce((a, b) => (a.tookMs > b.tookMs ? a : b));
  console.log(Object.fromEntries(counts));
  console.log(
    `${outcomes.length - disagreeing.length} of ${outcomes.length} agree (${((1 - disagreeing.length / outcomes.length) * 100).toFixed(2)} %)`,
  );
  console.log(
    `${((performance.now() - startedAt) / 1000).toFixed(1)} s; slowest accepted image ${slowest.tookMs.toFixed(0)} ms (${slowest.file})`,
  );
}

if (
  process.argv[1] !== undefined &&
  import.meta.url.endsWith('/corpus-sweep.js') &&
  process.argv[1].endsWith('corpus-sweep.js')
)
  await main();
